//! How long events waited, from the first answer with 200 to the commit. Pure. Times are unix milliseconds.

use std::collections::BTreeMap;

use serde::Serialize;
use store::Kept;

use super::load::{Attempt, Load};

/// Every event of the load that was accepted and committed, in the order of acceptance.
#[derive(Debug, Default)]
pub(super) struct Waits(Vec<(i64, i64)>);

/// Of some events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Spread {
    pub count: usize,
    pub p50_ms: i64,
    pub p99_ms: i64,
    pub max_ms: i64,
}

impl Waits {
    pub(super) fn new(load: &Load, attempts: &[Attempt], kept: &[Kept]) -> Self {
        let mut accepted: BTreeMap<&str, i64> = BTreeMap::new();
        for attempt in attempts.iter().filter(|it| it.is_accepted()) {
            let first = accepted
                .entry(&load.events[attempt.event].id)
                .or_insert(attempt.ended_ms);
            *first = attempt.ended_ms.min(*first);
        }
        let wait = |kept: &Kept| {
            let accepted_ms = *accepted.get(kept.id.as_str())?;
            // The commit may be quicker than the answer.
            Some((accepted_ms, (kept.settled_at_ms - accepted_ms).max(0)))
        };
        let mut waits: Vec<(i64, i64)> = kept.iter().filter_map(wait).collect();
        waits.sort_unstable();
        Self(waits)
    }

    /// Of those accepted in between.
    pub(super) fn between(&self, from_ms: i64, until_ms: i64) -> Spread {
        let within = self.0.iter().filter(|(at, _)| (from_ms..until_ms).contains(at));
        let mut waits: Vec<i64> = within.map(|(_, wait)| *wait).collect();
        waits.sort_unstable();
        let at = |percent: usize| {
            let place = (waits.len() * percent).div_ceil(100).max(1) - 1;
            waits.get(place).copied().unwrap_or(0)
        };
        Spread {
            count: waits.len(),
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_accepted_in_between_count() {
        let waits = Waits((1..=200).map(|n| (n, n)).collect());
        let spread = |count, p50_ms, p99_ms, max_ms| Spread {
            count,
            p50_ms,
            p99_ms,
            max_ms,
        };
        assert_eq!(waits.between(1, 101), spread(100, 50, 99, 100));
        assert_eq!(waits.between(200, 900), spread(1, 200, 200, 200));
        assert_eq!(waits.between(900, 999), Spread::default());
    }
}
