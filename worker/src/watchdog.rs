//! Reading is pure and takes microseconds, so whoever reads one entry for seconds will never end. Nobody can stop a thread,
//! so the watchdog ends the process: the entry then counts as one that kills its worker, and everything else goes on
//! elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use shared::lifecycle::{EXIT_HUNG, cut_short};
use shared::queue::StreamId;

/// How often the watchdog looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks at which the same entry is still being read before that is called hanging. Counted in looks and not in time,
/// because whoever is stopped for a while (SIGSTOP, a suspended machine) does not hang.
const LOOKS_MAX: u32 = 5;

/// What is being read, and how often the watchdog has seen it.
static READING: Mutex<BTreeMap<StreamId, u32>> = Mutex::new(BTreeMap::new());

/// Reading has begun. Dropped, it has ended.
pub(crate) struct Reading(StreamId);

impl Reading {
    pub(crate) fn of(id: StreamId) -> Self {
        reading().insert(id, 0);
        Self(id)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        reading().remove(&self.0);
    }
}

/// Looks until the process ends.
pub(crate) fn start() {
    thread::spawn(|| {
        loop {
            thread::sleep(LOOK_EVERY);
            if let Some(id) = look(&mut reading()) {
                tracing::error!(
                    entry = %id,
                    "reading this entry does not end: ending the process, so that the others go on"
                );
                cut_short(EXIT_HUNG);
            }
        }
    });
}

/// Who has been read for too long.
fn look(reading: &mut BTreeMap<StreamId, u32>) -> Option<StreamId> {
    reading.values_mut().for_each(|looks| *looks += 1);
    reading
        .iter()
        .find_map(|(id, looks)| (*looks >= LOOKS_MAX).then_some(*id))
}

fn reading() -> MutexGuard<'static, BTreeMap<StreamId, u32>> {
    // The map is consistent after every statement.
    READING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_seen_too_often_hangs() {
        let id = |ms| StreamId { ms, seq: 0 };
        let mut reading = BTreeMap::from([(id(1), 0), (id(2), LOOKS_MAX - 2)]);
        assert_eq!(look(&mut reading), None);
        assert_eq!(look(&mut reading), Some(id(2)));
    }
}
