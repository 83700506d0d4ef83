//! What events alone cannot tell, and so is asked of Stripe.

/// Why an object is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefetchReason {
    /// A thin event names it without showing it.
    ThinEvent,
    /// Its snapshots of one second could not be put in order.
    Tie,
    /// Something that was delivered refers to it, and it never came.
    MissingParent,
    /// A paid invoice names a price nobody knows.
    UnknownPrice,
    /// The event carried only its first lines.
    IncompleteLines,
    /// A person wants to see what Stripe has.
    Resync,
}

impl RefetchReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::ThinEvent,
        Self::Tie,
        Self::MissingParent,
        Self::UnknownPrice,
        Self::IncompleteLines,
        Self::Resync,
    ];

    /// The word in tables and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ThinEvent => "thin_event",
            Self::Tie => "tie",
            Self::MissingParent => "missing_parent",
            Self::UnknownPrice => "unknown_price",
            Self::IncompleteLines => "incomplete_lines",
            Self::Resync => "resync",
        }
    }

    /// How long to wait first, seconds: what is merely late comes by itself.
    #[must_use]
    pub fn patience_seconds(self) -> i64 {
        match self {
            Self::ThinEvent | Self::Tie | Self::IncompleteLines | Self::Resync => 0,
            Self::MissingParent | Self::UnknownPrice => 30,
        }
    }
}

/// Attempts before a person has to look.
pub const ATTEMPTS_MAX: u32 = 40;
/// Longest wait between two attempts, seconds.
const WAIT_MAX_SECONDS: i64 = 3600;

/// The wait before attempt number `attempt + 1`, seconds: it doubles. `None` when there is none.
#[must_use]
pub fn wait_after(attempt: u32) -> Option<i64> {
    (attempt < ATTEMPTS_MAX).then(|| (1_i64 << attempt.min(20)).min(WAIT_MAX_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        assert_eq!(
            [0, 1, 2, 11].map(wait_after),
            [Some(1), Some(2), Some(4), Some(2048)]
        );
        assert_eq!(wait_after(12), Some(3600));
        assert_eq!(wait_after(ATTEMPTS_MAX - 1), Some(3600));
        assert_eq!(wait_after(ATTEMPTS_MAX), None);
    }
}
