//! Reading is pure and takes microseconds, so whoever reads one entry for seconds will never end. Nobody can stop a thread,
//! so the watchdog ends the process: the entry then counts as one that kills its worker, and everything else goes on
//! elsewhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use shared::lifecycle::{EXIT_BROKEN, cut_short};
use shared::queue::StreamId;

/// How often the watchdog looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks at which the same entry is still being read before that is called hanging. Counted in looks and not in time,
/// because whoever is stopped for a while (SIGSTOP, a suspended machine) does not hang.
const LOOKS_MAX: u32 = 5;

/// What is being read, each under a number of its own: two streams of one process may have entries with the same id.
static READING: Mutex<BTreeMap<u64, Seen>> = Mutex::new(BTreeMap::new());

/// An entry, and how often the watchdog has seen it being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    id: StreamId,
    looks: u32,
}

/// Reading has begun. Dropped, it has ended.
pub(crate) struct Reading(u64);

impl Reading {
    pub(crate) fn of(id: StreamId) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        reading().insert(number, Seen { id, looks: 0 });
        Self(number)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        reading().remove(&self.0);
    }
}

/// Looks until the process ends; once, however many workers share it, because every look counts.
pub(crate) fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        thread::spawn(watch);
    });
}

fn watch() {
    loop {
        thread::sleep(LOOK_EVERY);
        if let Some(id) = look(&mut reading()) {
            tracing::error!(
                entry = %id,
                "reading this entry does not end: ending the process, so that the others go on"
            );
            cut_short(EXIT_BROKEN);
        }
    }
}

/// Who has been read for too long.
fn look(reading: &mut BTreeMap<u64, Seen>) -> Option<StreamId> {
    reading.values_mut().for_each(|seen| seen.looks += 1);
    reading
        .values()
        .find_map(|seen| (seen.looks >= LOOKS_MAX).then_some(seen.id))
}

fn reading() -> MutexGuard<'static, BTreeMap<u64, Seen>> {
    // The map is consistent after every statement.
    READING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_seen_too_often_hangs() {
        let id = |ms| StreamId { shard: 0, ms, seq: 0 };
        let seen = |ms, looks| Seen { id: id(ms), looks };
        let mut reading = BTreeMap::from([(1, seen(1, 0)), (2, seen(2, LOOKS_MAX - 2))]);
        assert_eq!(look(&mut reading), None);
        assert_eq!(look(&mut reading), Some(id(2)));
    }
}
