//! Which entries this process holds, so that one loop can renew them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StreamId;

/// Longest entries are renewed without a sign of progress. A handler that hangs past it loses its lease,
/// and its entries count one delivery more. Waiting for Postgres is progress: every attempt is a sign.
pub(super) const HOLD_MAX: Duration = Duration::from_secs(120);

/// The entries held by this process. Clones share one set.
#[derive(Debug, Clone)]
pub struct Leases(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    /// When somebody last worked on an entry; `None` while it waits for a free slot.
    entries: BTreeMap<StreamId, Option<Instant>>,
    /// When anybody last worked on anything.
    progress_at: Instant,
}

impl Leases {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Held {
            entries: BTreeMap::new(),
            progress_at: now,
        })))
    }

    /// Starts holding `ids`, which wait for a free slot.
    pub fn hold<'a>(&self, ids: impl IntoIterator<Item = &'a StreamId>) {
        self.lock().entries.extend(ids.into_iter().map(|id| (*id, None)));
    }

    /// Shows that `ids` are being worked on.
    pub fn touch<'a>(&self, ids: impl IntoIterator<Item = &'a StreamId>, now: Instant) {
        let mut held = self.lock();
        held.entries.extend(ids.into_iter().map(|id| (*id, Some(now))));
        held.progress_at = now;
    }

    /// Stops holding `ids`: done, handed back, or lost.
    pub fn let_go<'a>(&self, ids: impl IntoIterator<Item = &'a StreamId>) {
        let mut held = self.lock();
        for id in ids {
            held.entries.remove(id);
        }
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().entries.is_empty()
    }

    /// Whether anything of a shard is held.
    #[must_use]
    pub fn holds_of(&self, shard: u16) -> bool {
        let (first, last) = (0, u64::MAX);
        let first = StreamId {
            shard,
            ms: first,
            seq: first,
        };
        let last = StreamId {
            shard,
            ms: last,
            seq: last,
        };
        self.lock().entries.range(first..=last).next().is_some()
    }

    /// The ids to renew now, in stream order. Left out are those without progress for `HOLD_MAX`; what waits
    /// for a slot is judged by whether anything makes progress at all, or a long outage would be blamed on it.
    #[must_use]
    pub fn due(&self, now: Instant) -> Vec<StreamId> {
        let held = self.lock();
        let is_due = |worked_at: Option<Instant>| {
            now.saturating_duration_since(worked_at.unwrap_or(held.progress_at)) < HOLD_MAX
        };
        held.entries
            .iter()
            .filter(|(_, worked_at)| is_due(**worked_at))
            .map(|(id, _)| *id)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // The map is consistent after every statement, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_no_longer_renewed() {
        let start = Instant::now();
        let leases = Leases::new(start);
        let (hangs, works, waits) = (id(1), id(2), id(3));
        leases.touch([&hangs, &works], start);
        leases.hold([&waits]);
        leases.touch([&works], start + HOLD_MAX);
        assert_eq!(leases.due(start + HOLD_MAX), [works, waits]);
        assert!(leases.holds_of(0) && !leases.holds_of(1));
        leases.let_go([&hangs, &works]);
        assert_eq!(leases.due(start + HOLD_MAX), [waits]);
        assert!(
            leases.due(start + 2 * HOLD_MAX).is_empty(),
            "nothing works any more"
        );
    }

    fn id(ms: u64) -> StreamId {
        StreamId { shard: 0, ms, seq: 0 }
    }
}
