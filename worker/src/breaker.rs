//! When Postgres refuses one event after another and nothing takes effect in between, the events are not what is at fault:
//! somebody has added a constraint or a trigger, or a release is broken. All of them would be set aside, one by one, within
//! minutes. So they wait instead, where they are in order and are tried again, but for one now and then that is set aside
//! all the same: if it was the only one at fault, the next takes effect, and everything goes on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The condition under which it is reported.
pub const REFUSED: &str = "refused";
/// Events refused in a row that may be at fault themselves: more than one customer has, or one odd hour brings.
pub const REFUSED_MAX: u32 = 500;
/// How often one is set aside when there were more.
pub const SET_ASIDE_EVERY: Duration = Duration::from_secs(30);

/// Counts for all slots of a worker. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Breaker(Arc<Mutex<Row>>);

/// What to do with an event that was refused, alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// It is at fault.
    SetAside,
    /// Try it again after so long.
    Wait(Duration),
}

/// Events that were refused in a row.
#[derive(Debug, Default)]
struct Row {
    refused: u32,
    /// When the next may be set aside, once there are too many.
    next_at: Option<Instant>,
}

impl Breaker {
    /// An event was refused, alone.
    #[must_use]
    pub fn refused(&self, now: Instant) -> Advice {
        self.lock().refused(now)
    }

    /// An event took effect. Says whether events had to wait until now.
    pub fn applied(&self) -> bool {
        std::mem::take(&mut *self.lock()).next_at.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Row> {
        // Consistent after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn refused(&mut self, now: Instant) -> Advice {
        if self.refused < REFUSED_MAX {
            self.refused += 1;
            return Advice::SetAside;
        }
        let next_at = *self.next_at.get_or_insert(now + SET_ASIDE_EVERY);
        if now < next_at {
            return Advice::Wait(next_at - now);
        }
        self.next_at = Some(now + SET_ASIDE_EVERY);
        Advice::SetAside
    }
}

#[cfg(test)]
mod tests {
    use super::Advice::{SetAside, Wait};
    use super::*;

    #[test]
    fn one_after_another_makes_them_wait_but_for_one_now_and_then() {
        let breaker = Breaker::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..REFUSED_MAX {
            assert_eq!(breaker.refused(start), SetAside);
        }
        let every = SET_ASIDE_EVERY.as_secs();
        let table = [
            (0, Wait(SET_ASIDE_EVERY), "too many"),
            (
                10,
                Wait(SET_ASIDE_EVERY - Duration::from_secs(10)),
                "another slot's",
            ),
            (every, SetAside, "one now and then"),
            (every, Wait(SET_ASIDE_EVERY), "of all slots, one"),
            (2 * every, SetAside, "again"),
        ];
        for (seconds, wanted, why) in table {
            assert_eq!(breaker.refused(at(seconds)), wanted, "{why}");
        }
        assert!(breaker.applied(), "they waited");
        assert!(!breaker.applied(), "and do not any more");
        assert_eq!(breaker.refused(at(2 * every)), SetAside, "the row is over");
    }

    #[test]
    fn what_takes_effect_in_between_ends_the_row() {
        let breaker = Breaker::default();
        let now = Instant::now();
        for _ in 0..3 * REFUSED_MAX {
            assert_eq!(breaker.refused(now), SetAside);
            assert!(!breaker.applied());
        }
    }
}
