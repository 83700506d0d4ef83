//! Failures, sorted by who must act.

/// Who must act on a failure. What nobody classified is [`Class::Permanent`]: nothing retries for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Time: the same work succeeds later. A lost connection, a deadlock.
    Transient,
    /// A person, later: this event needs a decision. An object that cannot be read.
    Permanent,
    /// A developer, now: a promise of the code is broken. A panic, a row that had to be there and is not.
    Bug,
}

impl Class {
    /// The word used in tables, metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Bug => "bug",
        }
    }
}
