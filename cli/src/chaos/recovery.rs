//! How long things took: until events are accepted again, until they are committed again, until what a killed worker
//! held is. Pure. Times are unix milliseconds.

use std::collections::BTreeMap;

use serde::Serialize;
use store::Kept;

use super::busy::Busy;
use super::children::Seen;
use super::deeds::Broken;
use super::faults::Fault;
use super::load::Attempt;
use super::waits::{Spread, Waits};

/// How long after its mending what goes on is still a fault's.
const AFTERMATH_MS: i64 = 1_000;

/// What was done, and when.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub fault: &'static Fault,
    pub broke_ms: i64,
    pub mended_ms: i64,
    pub broken: Broken,
}

/// A line of the report's timeline.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Line {
    /// Milliseconds since the load began.
    pub at_ms: i64,
    pub fault: &'static str,
    pub lasted_ms: i64,
    /// From mending it to the first event accepted, and to the first committed.
    pub accepting_after_ms: Option<i64>,
    pub committing_after_ms: Option<i64>,
    /// From a kill to the commit of the last event its worker held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_over_after_ms: Option<i64>,
    /// How long those events waited that were accepted meanwhile, and up to a moment later.
    pub waits: Spread,
    /// Deliveries refused meanwhile.
    pub refused: usize,
    /// The longest wait for an answer.
    pub slowest_ms: i64,
    /// Lines of log in the busiest second of a process.
    pub log_lines_per_second_max: usize,
    /// Of the largest process.
    pub memory_max_kib: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Why nothing broke, where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy: Option<BusyLine>,
    #[serde(skip)]
    pub is_crash_loop: bool,
}

/// What the others noticed of one busy customer.
#[derive(Debug, Clone, Serialize)]
pub(super) struct BusyLine {
    pub events: usize,
    pub before: Spread,
    pub meanwhile: Spread,
    /// Events of theirs that met another one under way.
    pub overlaps: i64,
}

/// What answers there were.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Answers {
    /// By status; 0 is none at all.
    pub by_status: BTreeMap<u16, usize>,
    /// 503 without a `Retry-After`.
    pub without_retry_after: usize,
    /// No answer although nothing was broken between the sender and ingest, nor ingest itself.
    pub unexplained_silence: usize,
    /// Correctly signed events that were refused for good, with clocks that are right.
    pub unexplained_refusals: usize,
    /// The longest wait for an answer, of those that were answered.
    pub slowest_ms: i64,
}

/// What is known of a run, for its timeline.
pub(super) struct Records<'a> {
    /// When the load began.
    pub began_ms: i64,
    pub attempts: &'a [Attempt],
    pub kept: &'a [Kept],
    pub waits: &'a Waits,
    pub processes: &'a [Seen],
}

/// The timeline, with what was measured.
pub(super) fn lines(records: &Records<'_>, happened: &[Happened]) -> Vec<Line> {
    let accepted = records.attempts.iter().filter(|it| it.is_accepted());
    let mut accepted: Vec<(i64, i64)> = accepted.map(|it| (it.began_ms, it.ended_ms)).collect();
    accepted.sort_unstable();
    let mut settled: Vec<i64> = records.kept.iter().map(|it| it.settled_at_ms).collect();
    settled.sort_unstable();
    let by_entry: BTreeMap<&str, i64> = records
        .kept
        .iter()
        .map(|it| (it.entry_id.as_str(), it.settled_at_ms))
        .collect();
    let line = |it: &Happened| {
        let Happened { broken, .. } = it;
        let first_accepted = accepted
            .iter()
            .filter(|(began, _)| *began >= it.mended_ms)
            .map(|(_, ended)| *ended)
            .min();
        let first_settled = settled.iter().find(|at| **at >= it.mended_ms);
        let taken_over = broken
            .held
            .iter()
            .filter_map(|entry| by_entry.get(entry.as_str()));
        // What was committed already, and only not acknowledged, waited for nobody.
        let taken_over = taken_over.filter(|at| **at > it.broke_ms).max();
        Line {
            at_ms: it.broke_ms - records.began_ms,
            fault: it.fault.name,
            lasted_ms: it.mended_ms - it.broke_ms,
            accepting_after_ms: first_accepted.map(|at| at - it.mended_ms),
            committing_after_ms: first_settled.map(|at| at - it.mended_ms),
            taken_over_after_ms: taken_over.map(|at| at - it.broke_ms),
            detail: broken.detail.clone(),
            missed: broken.missed,
            busy: broken.busy.as_ref().map(|busy| busy_line(busy, records.waits)),
            is_crash_loop: it.fault.is_crash_loop(),
            ..meanwhile(records, it.broke_ms, it.mended_ms + AFTERMATH_MS)
        }
    };
    happened.iter().map(line).collect()
}

/// What went on in between.
fn meanwhile(records: &Records<'_>, from_ms: i64, until_ms: i64) -> Line {
    let within = from_ms..until_ms;
    let attempts = records.attempts.iter().filter(|it| within.contains(&it.began_ms));
    let answered = attempts.clone().filter(|it| it.status.is_some());
    let moments = records.processes.iter().flat_map(|it| &it.moments);
    let moments = moments.filter(|it| within.contains(&it.at_ms));
    Line {
        waits: records.waits.between(from_ms, until_ms),
        refused: attempts.filter(|it| !it.is_accepted()).count(),
        slowest_ms: answered.map(|it| it.ended_ms - it.began_ms).max().unwrap_or(0),
        log_lines_per_second_max: moments.clone().map(|it| it.log_lines).max().unwrap_or(0),
        memory_max_kib: moments.map(|it| it.memory_kib).max().unwrap_or(0),
        ..Line::default()
    }
}

fn busy_line(busy: &Busy, waits: &Waits) -> BusyLine {
    BusyLine {
        events: busy.events,
        before: waits.between(busy.before_ms, busy.began_ms),
        meanwhile: waits.between(busy.began_ms, busy.drained_ms),
        overlaps: busy.overlaps,
    }
}

/// What senders were told, and whether silence has a reason.
pub(super) fn answers(happened: &[Happened], attempts: &[Attempt]) -> Answers {
    let mut answers = Answers::default();
    let meets = |attempt: &Attempt, it: &Happened, longer_ms: i64| {
        attempt.began_ms <= it.mended_ms + longer_ms && attempt.ended_ms >= it.broke_ms
    };
    let is_explained = |attempt: &Attempt| {
        let mut happened = happened.iter();
        happened.any(|it| {
            it.fault
                .silences_ingest()
                .is_some_and(|longer| meets(attempt, it, longer))
        })
    };
    let is_confused = |attempt: &Attempt| {
        let mut happened = happened.iter();
        happened.any(|it| it.fault.confuses_ingest() && meets(attempt, it, 0))
    };
    for attempt in attempts {
        *answers.by_status.entry(attempt.status.unwrap_or(0)).or_default() += 1;
        answers.without_retry_after += usize::from(attempt.status == Some(503) && !attempt.has_retry_after);
        let is_refused_for_good = attempt.status.is_some_and(|it| (400..500).contains(&it));
        answers.unexplained_refusals += usize::from(is_refused_for_good && !is_confused(attempt));
        if attempt.status.is_none() {
            answers.unexplained_silence += usize::from(!is_explained(attempt));
        } else {
            answers.slowest_ms = answers.slowest_ms.max(attempt.ended_ms - attempt.began_ms);
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::super::children::Moment;
    use super::super::faults::find;
    use super::*;

    fn attempt(began_ms: i64, ended_ms: i64, status: Option<u16>) -> Attempt {
        Attempt {
            event: 0,
            began_ms,
            ended_ms,
            status,
            has_retry_after: true,
        }
    }

    fn happened(name: &str, broke_ms: i64, mended_ms: i64) -> Happened {
        let fault = find(name).expect("listed");
        Happened {
            fault,
            broke_ms,
            mended_ms,
            broken: Broken {
                held: vec!["1-0".into(), "2-0".into()],
                ..Broken::default()
            },
        }
    }

    #[test]
    fn recovery_is_counted_from_the_mending() {
        let settled = |entry: &str, at| Kept {
            account: String::new(),
            id: String::new(),
            status: String::new(),
            entry_id: entry.to_owned(),
            settled_at_ms: at,
        };
        let kept = [settled("0-0", 900), settled("1-0", 2_500), settled("2-0", 9_000)];
        // One was accepted during the fault, one began in it, one after it.
        let attempts = [
            attempt(900, 950, Some(200)),
            attempt(1_400, 1_900, Some(200)),
            attempt(1_600, 1_700, Some(200)),
        ];
        let records = Records {
            began_ms: 0,
            attempts: &attempts,
            kept: &kept,
            waits: &Waits::default(),
            processes: &[],
        };
        let line = &lines(&records, &[happened("kill-worker", 1_000, 1_500)])[0];
        assert_eq!((line.at_ms, line.lasted_ms), (1_000, 500));
        assert_eq!(
            (line.accepting_after_ms, line.committing_after_ms),
            (Some(200), Some(1_000))
        );
        assert_eq!(line.taken_over_after_ms, Some(8_000));
    }

    #[test]
    fn what_goes_on_meanwhile_is_the_fault_s() {
        let attempts = [
            attempt(900, 2_000, Some(503)),
            attempt(1_100, 1_900, Some(503)),
            attempt(1_200, 1_210, Some(200)),
        ];
        let moment = |at_ms, log_lines| Moment {
            at_ms,
            log_lines,
            memory_kib: 7,
        };
        let process = Seen {
            moments: vec![moment(900, 9), moment(1_400, 3), moment(1_450, 2)],
            ..Seen::default()
        };
        let records = Records {
            began_ms: 0,
            attempts: &attempts,
            kept: &[],
            waits: &Waits::default(),
            processes: &[process],
        };
        let line = &lines(&records, &[happened("kill-redis", 1_000, 1_500)])[0];
        assert_eq!((line.refused, line.slowest_ms), (1, 800));
        assert_eq!((line.log_lines_per_second_max, line.memory_max_kib), (3, 7));
    }

    #[test]
    fn refusing_for_good_needs_a_reason() {
        let attempts = [attempt(1_200, 1_300, Some(400)), attempt(1_200, 1_300, Some(503))];
        assert_eq!(
            answers(&[happened("kill-redis", 1_000, 1_500)], &attempts).unexplained_refusals,
            1
        );
        #[cfg(feature = "planted-bugs")]
        assert_eq!(
            answers(&[happened("step-clocks-hours", 1_000, 1_500)], &attempts).unexplained_refusals,
            0
        );
    }

    #[test]
    fn silence_needs_a_reason() {
        let attempts = [
            attempt(1_200, 1_300, None),
            attempt(5_000, 5_001, None),
            attempt(5_000, 5_040, Some(503)),
        ];
        let count = |name| answers(&[happened(name, 1_000, 1_500)], &attempts).unexplained_silence;
        assert_eq!((count("kill-ingest"), count("kill-redis")), (1, 2));
        let answers = answers(&[], &attempts);
        assert_eq!(
            (answers.slowest_ms, answers.by_status[&0], answers.by_status[&503]),
            (40, 2, 1)
        );
    }
}
