//! What the overview's charts are drawn from: a look every few seconds, kept in this process. Costs the same whatever
//! there is: lengths of streams, counters, a row for each cause of dead letters, and the latest events.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use shared::queue::{Depth, Probe};
use store::StoreError;
use store::dead::Filter;

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
    /// Entries that were ever put into the queue.
    pub added: Option<i64>,
    /// Events written into the inbox since Postgres began to count.
    pub written: Option<i64>,
    /// Within which 99 of 100 events were committed that were so lately, milliseconds.
    pub latency_ms: Option<f64>,
    /// Dead letters that wait for a person.
    pub dead: Option<u64>,
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

/// How fast a counter grew before each look but the first, a second.
#[expect(clippy::cast_precision_loss, reason = "for a drawing")]
pub(super) fn rates(looks: &[Look], counter: fn(&Look) -> Option<i64>) -> Vec<Option<f64>> {
    let rate = |pair: &[Look]| {
        let (before, after) = (pair[0], pair[1]);
        let ms = after.at_ms - before.at_ms;
        // Whoever counts may have begun anew.
        let events = (counter(&after)? - counter(&before)?).max(0);
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
        let look = look(&ops, &mut probe).await;
        ops.pulse.keep(look);
    }
}

/// Each question for itself: what one cannot answer, another may.
async fn look(ops: &Ops, probe: &mut Probe) -> Look {
    let at_ms = ops.clock.unix_ms();
    let depth = answer(probe.depth(at_ms)).await;
    let flow = answer(probe.flow()).await;
    let waits = answer(waits(ops)).await;
    Look {
        at_ms,
        depth,
        added: flow.and_then(|flow| i64::try_from(flow.added).ok()),
        written: answer(ops.app.store.events_written()).await,
        latency_ms: waits.and_then(|(latency_ms, _)| latency_ms),
        dead: waits.map(|(_, dead)| dead),
    }
}

/// How long events take, and how many nobody takes any more.
async fn waits(ops: &Ops) -> Result<(Option<f64>, u64), StoreError> {
    let waiting = Filter {
        account: ops.app.account.clone(),
        ..Filter::default()
    };
    let mut tx = ops.app.store.begin_reading_as(&ops.app.ourselves()).await?;
    Ok((tx.latency_ms().await?, tx.dead().count(&waiting).await?))
}

/// An answer, when it comes before the next look.
async fn answer<T, E>(asked: impl Future<Output = Result<T, E>>) -> Option<T> {
    tokio::time::timeout(LOOK_EVERY, asked).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at_ms: i64, written: Option<i64>) -> Look {
        Look {
            at_ms,
            depth: None,
            added: None,
            written,
            latency_ms: None,
            dead: None,
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
        let written = |it: &Look| it.written;
        assert_eq!(rates(&looks, written), [Some(10.0), None, None, Some(0.0)]);
        assert!(rates(&looks[..1], written).is_empty() && rates(&[], written).is_empty());
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
