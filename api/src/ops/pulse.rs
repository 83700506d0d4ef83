//! What the overview's charts are drawn from: a look every few seconds, kept in this process. Costs the same whatever
//! there is: lengths of streams and a counter of Postgres, no row.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use shared::queue::Depth;

use super::Ops;

/// How often somebody looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Looks that are kept: a quarter of an hour.
pub(super) const LOOKS_MAX: usize = 180;

/// What was seen once. `None`: whoever knows did not answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    at_ms: i64,
    pub depth: Option<Depth>,
    /// Events written into the inbox since Postgres began to count.
    written: Option<i64>,
}

/// Looks, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<VecDeque<Look>>);

impl Pulse {
    pub(super) fn looks(&self) -> Vec<Look> {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.iter().copied().collect()
    }

    fn keep(&self, look: Look) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.push_back(look);
        if looks.len() > LOOKS_MAX {
            looks.pop_front();
        }
    }
}

/// Events a second that came into the inbox before each look but the first.
#[expect(clippy::cast_precision_loss, reason = "for a drawing")]
pub(super) fn rates(looks: &[Look]) -> Vec<Option<f64>> {
    let rate = |pair: &[Look]| {
        let (before, after) = (pair[0], pair[1]);
        let ms = after.at_ms - before.at_ms;
        // Postgres may have begun to count anew.
        let events = (after.written? - before.written?).max(0);
        (ms > 0).then(|| events as f64 * 1_000.0 / ms as f64)
    };
    looks.windows(2).map(rate).collect()
}

/// Looks, until dropped.
pub(crate) async fn watch(ops: Ops) {
    let mut probe = ops.probe.clone();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let at_ms = ops.clock.unix_ms();
        let depth = tokio::time::timeout(LOOK_EVERY, probe.depth(at_ms)).await;
        let written = tokio::time::timeout(LOOK_EVERY, ops.app.store.events_written()).await;
        ops.pulse.keep(Look {
            at_ms,
            depth: depth.ok().and_then(Result::ok),
            written: written.ok().and_then(Result::ok),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at_ms: i64, written: Option<i64>) -> Look {
        Look {
            at_ms,
            depth: None,
            written,
        }
    }

    #[test]
    fn rates_are_between_looks() {
        let looks = [
            look(0, Some(10)),
            look(5_000, Some(60)),
            look(10_000, None),
            look(15_000, Some(5)),
            look(20_000, Some(1)),
        ];
        assert_eq!(rates(&looks), [Some(10.0), None, None, Some(0.0)]);
        assert!(rates(&looks[..1]).is_empty() && rates(&[]).is_empty());
    }

    #[test]
    fn only_so_many_looks_are_kept() {
        let pulse = Pulse::default();
        for at in 0..=LOOKS_MAX as i64 {
            pulse.keep(look(at, None));
        }
        let looks = pulse.looks();
        assert_eq!((looks.len(), looks[0].at_ms), (LOOKS_MAX, 1));
    }
}
