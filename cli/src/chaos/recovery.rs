//! How long things took: until events are accepted again, until they are committed again, until what a killed worker
//! held is. Pure. Times are unix milliseconds.

use std::collections::BTreeMap;

use serde::Serialize;
use store::Kept;

use super::faults::Fault;
use super::load::Attempt;

/// What was done, and when.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub fault: &'static Fault,
    pub broke_ms: i64,
    pub mended_ms: i64,
    /// Entries that a killed worker held.
    pub held: Vec<String>,
    pub detail: String,
}

/// A line of the report's timeline.
#[derive(Debug, Clone, Serialize)]
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
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
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
    /// The longest wait for an answer, of those that were answered.
    pub slowest_ms: i64,
}

/// The timeline, with what was measured.
pub(super) fn lines(began_ms: i64, happened: &[Happened], attempts: &[Attempt], kept: &[Kept]) -> Vec<Line> {
    let accepted = attempts.iter().filter(|it| it.is_accepted());
    let mut accepted: Vec<(i64, i64)> = accepted.map(|it| (it.began_ms, it.ended_ms)).collect();
    accepted.sort_unstable();
    let mut settled: Vec<i64> = kept.iter().map(|it| it.settled_at_ms).collect();
    settled.sort_unstable();
    let by_entry: BTreeMap<&str, i64> = kept
        .iter()
        .map(|it| (it.entry_id.as_str(), it.settled_at_ms))
        .collect();
    let line = |it: &Happened| {
        let first_accepted = accepted
            .iter()
            .filter(|(began, _)| *began >= it.mended_ms)
            .map(|(_, ended)| *ended)
            .min();
        let first_settled = settled.iter().find(|at| **at >= it.mended_ms);
        let taken_over = it.held.iter().filter_map(|entry| by_entry.get(entry.as_str()));
        // What was committed already, and only not acknowledged, waited for nobody.
        let taken_over = taken_over.filter(|at| **at > it.broke_ms).max();
        Line {
            at_ms: it.broke_ms - began_ms,
            fault: it.fault.name,
            lasted_ms: it.mended_ms - it.broke_ms,
            accepting_after_ms: first_accepted.map(|at| at - it.mended_ms),
            committing_after_ms: first_settled.map(|at| at - it.mended_ms),
            taken_over_after_ms: taken_over.map(|at| at - it.broke_ms),
            detail: it.detail.clone(),
        }
    };
    happened.iter().map(line).collect()
}

/// What senders were told, and whether silence has a reason.
pub(super) fn answers(happened: &[Happened], attempts: &[Attempt]) -> Answers {
    let mut answers = Answers::default();
    let is_explained = |attempt: &Attempt| {
        let mut silences = happened
            .iter()
            .filter_map(|it| Some((it.broke_ms, it.mended_ms + it.fault.silences_ingest()?)));
        silences.any(|(from, until)| attempt.began_ms <= until && attempt.ended_ms >= from)
    };
    for attempt in attempts {
        *answers.by_status.entry(attempt.status.unwrap_or(0)).or_default() += 1;
        answers.without_retry_after += usize::from(attempt.status == Some(503) && !attempt.has_retry_after);
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
            held: vec!["1-0".into(), "2-0".into()],
            detail: String::new(),
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
        let line = &lines(0, &[happened("kill-worker", 1_000, 1_500)], &attempts, &kept)[0];
        assert_eq!((line.at_ms, line.lasted_ms), (1_000, 500));
        assert_eq!(
            (line.accepting_after_ms, line.committing_after_ms),
            (Some(200), Some(1_000))
        );
        assert_eq!(line.taken_over_after_ms, Some(8_000));
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
