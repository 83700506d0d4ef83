//! How many workers. Pure.

use std::time::Duration;

use serde::Serialize;
use shared::queue::Flow;

/// Events a second of one worker, where nobody has measured it: a third of what docs/benchmark.md has with full money
/// effects and everything else on the same two cores.
pub(super) const CAPACITY_DEFAULT: u32 = 2_000;

/// What was seen, and what is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub before: Flow,
    pub after: Flow,
    pub living: usize,
    pub shards: usize,
    pub in_flight: u64,
    pub is_paused: bool,
    pub drain: Duration,
    pub per_worker: u32,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Hint {
    pub workers: u64,
    pub living: u64,
    shards: u64,
    waiting: u64,
    in_flight: u64,
    /// Events a second, rounded.
    per_second_in: u64,
    per_second_out: u64,
    per_worker: u64,
    /// Whether that was seen here and now.
    is_measured: bool,
    paused: bool,
    /// The reasons, for people.
    pub why: Vec<String>,
}

pub(super) fn decide(facts: &Facts) -> Hint {
    let (before, after) = (facts.before, facts.after);
    let ms = u64::try_from(after.at_ms - before.at_ms).unwrap_or(0).max(1);
    let came = after.added.saturating_sub(before.added);
    let went = (before.entries + came).saturating_sub(after.entries);
    let per_second = |count: u64| (count * 1_000).div_ceil(ms);
    let (shards, living) = (facts.shards as u64, facts.living as u64);
    let waiting = after.entries.saturating_sub(facts.in_flight);
    // Who is behind shows what it can; who waits for events does not. More workers than shards are spares.
    let reading = living.min(shards);
    let is_behind = waiting > 0 && before.entries > facts.in_flight && went > 0 && reading > 0;
    let per_worker = if is_behind {
        (per_second(went) / reading).max(1)
    } else {
        u64::from(facts.per_worker)
    };
    let drain_ms = u64::try_from(facts.drain.as_millis()).unwrap_or(u64::MAX).max(1);
    let wanted = per_second(came) + (waiting.saturating_mul(1_000)).div_ceil(drain_ms);
    let hint = Hint {
        workers: wanted.div_ceil(per_worker).clamp(1, shards.max(1)),
        living,
        shards,
        waiting,
        in_flight: facts.in_flight,
        per_second_in: per_second(came),
        per_second_out: per_second(went),
        per_worker,
        is_measured: is_behind,
        paused: facts.is_paused,
        why: Vec::new(),
    };
    if facts.is_paused {
        let why = vec!["the queue is paused: more workers would do nothing either".to_owned()];
        return Hint {
            workers: living.max(1),
            why,
            ..hint
        };
    }
    Hint {
        why: reasons(&hint, wanted, facts.drain),
        ..hint
    }
}

fn reasons(hint: &Hint, wanted: u64, drain: Duration) -> Vec<String> {
    let how = if hint.is_measured {
        "as seen now"
    } else {
        "as assumed"
    };
    let mut why = vec![
        format!(
            "{} a second come in, and {} go out",
            hint.per_second_in, hint.per_second_out
        ),
        format!(
            "{} wait, to be worked off in {drain:?}: {wanted} a second in all",
            hint.waiting
        ),
        format!("one worker settles {} a second, {how}", hint.per_worker),
    ];
    if wanted.div_ceil(hint.per_worker) > hint.shards {
        why.push(format!(
            "no more than {} can share the work: raise TOLLGATE_QUEUE_SHARDS, or TOLLGATE_WORKER_CONCURRENCY",
            hint.shards
        ));
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(at_ms: i64, added: u64, entries: u64) -> Flow {
        Flow {
            added,
            entries,
            at_ms,
        }
    }

    fn facts(before: Flow, after: Flow) -> Facts {
        Facts {
            before,
            after,
            living: 2,
            shards: 8,
            in_flight: 0,
            is_paused: false,
            drain: Duration::from_secs(60),
            per_worker: 1_000,
        }
    }

    #[test]
    fn as_many_as_take_what_comes_and_what_waits() {
        // Nothing to do; 2,500 a second and nothing waits; the same, and 60,000 wait that nobody takes.
        let idle = decide(&facts(flow(0, 10, 0), flow(5_000, 10, 0)));
        assert_eq!((idle.workers, idle.is_measured), (1, false));
        let steady = decide(&facts(flow(0, 0, 0), flow(4_000, 10_000, 0)));
        assert_eq!(
            (steady.workers, steady.per_second_in, steady.per_second_out),
            (3, 2_500, 2_500)
        );
        let stuck = decide(&facts(flow(0, 0, 50_000), flow(4_000, 10_000, 60_000)));
        assert_eq!(
            (stuck.workers, stuck.waiting, stuck.is_measured),
            (4, 60_000, false)
        );
    }

    #[test]
    fn workers_that_are_behind_show_what_they_can() {
        // 2 workers settle 400 a second together; 300 come, and 12,000 wait: 200 more for a minute.
        let hint = decide(&facts(flow(0, 0, 13_000), flow(10_000, 3_000, 12_000)));
        assert_eq!(
            (hint.per_second_out, hint.per_worker, hint.is_measured),
            (400, 200, true)
        );
        assert_eq!(hint.workers, 3);
    }

    #[test]
    fn never_more_than_shards_and_a_paused_queue_wants_no_change() {
        let flood = facts(flow(0, 0, 1_000_000), flow(1_000, 0, 1_000_000));
        let hint = decide(&flood);
        assert_eq!(hint.workers, 8);
        assert!(hint.why.iter().any(|it| it.contains("TOLLGATE_QUEUE_SHARDS")));
        let paused = decide(&Facts {
            is_paused: true,
            ..flood
        });
        assert_eq!(paused.workers, 2);
    }
}
