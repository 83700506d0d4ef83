//! Why an event is set aside: reason, class, fingerprint.

use std::any::Any;

use domain::Class;
use sha2::{Digest, Sha256};
use shared::entry::MalformedEntry;
use shared::queue::DELIVERIES_MAX;
use store::StoreError;

use crate::view::ReadError;

/// Longest detail kept, in bytes.
const DETAIL_BYTES_MAX: usize = 500;
/// Bytes of the hash that make a fingerprint.
const FINGERPRINT_BYTES: usize = 6;

/// A failure that belongs to one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Who must act.
    pub class: Class,
    /// A word from a closed set: `unreadable_object`, `rejected_by_database`, `panic`, `crash_loop`,
    /// `malformed_entry`.
    pub reason: &'static str,
    /// What failed, without ids, values or times: equal for failures with one cause.
    pub cause: String,
    /// For people; never the body.
    pub detail: String,
}

impl Failure {
    /// The object lacks something a rule needs, or has it in the wrong type.
    #[must_use]
    pub fn unreadable(detail: &str) -> Self {
        // "at line 3 column 14" would make every event its own group.
        let cause = detail.split(" at line ").next().unwrap_or(detail);
        // Nor does it matter which element of a list it was.
        let cause: String = cause.chars().filter(|c| !c.is_ascii_digit()).collect();
        Self::new(Class::Permanent, "unreadable_object", &cause, detail)
    }

    /// A handler panicked.
    #[must_use]
    pub fn panic(panic: &(dyn Any + Send)) -> Self {
        let text = shared::redact::panic(panic);
        Self::new(Class::Bug, "panic", &text, &text)
    }

    /// Postgres refused this event, and this one alone.
    #[must_use]
    pub fn rejected(error: &StoreError) -> Self {
        Self::new(
            error.class(),
            "rejected_by_database",
            &error.cause(),
            &error.message(),
        )
    }

    /// Every worker that had it died.
    #[must_use]
    pub fn crash_loop() -> Self {
        let detail = format!("delivered {DELIVERIES_MAX} times, and every time its worker died");
        Self::new(Class::Bug, "crash_loop", "", &detail)
    }

    /// Something that ingest did not write.
    #[must_use]
    pub fn malformed(error: &MalformedEntry) -> Self {
        Self::new(
            Class::Permanent,
            "malformed_entry",
            &error.to_string(),
            &error.to_string(),
        )
    }

    /// Groups failures with one cause, for events of one type.
    #[must_use]
    pub fn fingerprint(&self, event_type: &str) -> String {
        let text = [self.class.as_str(), self.reason, &self.cause, event_type].join("\n");
        hex::encode(&Sha256::digest(text)[..FINGERPRINT_BYTES])
    }

    fn new(class: Class, reason: &'static str, cause: &str, detail: &str) -> Self {
        // A failure that is one event's own has to end; what nobody classified waits for a person.
        let class = if class == Class::Transient {
            Class::Permanent
        } else {
            class
        };
        let mut end = detail.len().min(DETAIL_BYTES_MAX);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        // Postgres cannot hold a NUL, and a panic message may have one.
        let detail = detail[..end].replace('\0', "\u{fffd}");
        Self {
            class,
            reason,
            cause: cause.to_owned(),
            detail,
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::unreadable(&error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_has_one_fingerprint() {
        let a = Failure::unreadable("recursion limit exceeded at line 1 column 128");
        let b = Failure::unreadable("recursion limit exceeded at line 7 column 3");
        assert_eq!(a.fingerprint("charge.updated"), b.fingerprint("charge.updated"));
        assert_ne!(a.fingerprint("charge.updated"), a.fingerprint("invoice.paid"));
        assert_ne!(
            a.fingerprint("charge.updated"),
            Failure::crash_loop().fingerprint("charge.updated")
        );
    }

    #[test]
    fn detail_is_bounded_and_storable() {
        let failure = Failure::unreadable(&format!("\0{}", "ä".repeat(DETAIL_BYTES_MAX)));
        assert!(failure.detail.len() <= DETAIL_BYTES_MAX + 2);
        assert!(!failure.detail.contains('\0'));
    }
}
