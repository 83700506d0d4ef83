//! Which entries this process holds, so that one loop can renew them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StreamId;

/// Longest a chunk is renewed without a sign of progress. A handler that hangs past it loses its lease,
/// and its entries count one delivery more.
pub(super) const HOLD_MAX: Duration = Duration::from_secs(120);

/// The entries held by this process. Clones share one set.
#[derive(Debug, Clone, Default)]
pub struct Leases(Arc<Mutex<BTreeMap<StreamId, Instant>>>);

impl Leases {
    /// Starts holding `ids`, or shows that they still make progress.
    pub fn touch<'a>(&self, ids: impl IntoIterator<Item = &'a StreamId>, now: Instant) {
        let mut held = self.lock();
        for id in ids {
            held.insert(*id, now);
        }
    }

    /// Stops holding `ids`: done, handed back, or lost.
    pub fn let_go<'a>(&self, ids: impl IntoIterator<Item = &'a StreamId>) {
        let mut held = self.lock();
        for id in ids {
            held.remove(id);
        }
    }

    /// The ids to renew now, in stream order; those without progress for `HOLD_MAX` are left out.
    #[must_use]
    pub fn due(&self, now: Instant) -> Vec<StreamId> {
        let fresh = |since: &Instant| now.saturating_duration_since(*since) < HOLD_MAX;
        self.lock()
            .iter()
            .filter(|(_, since)| fresh(since))
            .map(|(id, _)| *id)
            .collect()
    }

    /// How many entries are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StreamId, Instant>> {
        // The map is consistent after every statement, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_without_progress_is_no_longer_renewed() {
        let leases = Leases::default();
        let start = Instant::now();
        let (a, b) = (StreamId { ms: 1, seq: 0 }, StreamId { ms: 2, seq: 0 });
        leases.touch([&a, &b], start);
        leases.touch([&b], start + HOLD_MAX);
        assert_eq!(leases.due(start + HOLD_MAX), [b]);
        leases.let_go([&a, &b]);
        assert!(leases.is_empty());
    }
}
