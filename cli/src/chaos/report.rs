//! What a run showed, and whether everything held.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::queue::LEASE;

use super::children::Seen;
use super::compare::{Findings, Found};
use super::recovery::{Answers, Line};
use crate::{answer, tool};

/// From a kill to the commit of the last event its worker held: the lease, the search, and the work on it.
const TAKEN_OVER_MAX_MS: i64 = LEASE.as_millis() as i64 + 3_000;
/// The longest answer: ingest's own limit for Redis, twice, and what a busy machine adds.
const ANSWER_MAX_MS: i64 = 5_000;
/// Lines of log in the busiest second of a process: what a person can still read.
const LINES_PER_SECOND_MAX: usize = 100;
/// How long an event may wait because another one kills whoever handles it: it was there at the first death, in a chunk
/// of suspects at the second, and then waits until it comes alone.
const CRASH_LOOP_WAIT_MAX_MS: i64 = 3 * TAKEN_OVER_MAX_MS;
/// All but one in a hundred are there at one death at most.
const CRASH_LOOP_WAIT_P99_MAX_MS: i64 = TAKEN_OVER_MAX_MS;
/// And half of them do not notice.
const CRASH_LOOP_WAIT_MEDIAN_MAX_MS: i64 = 1_000;
/// What one busy customer may do to the others' p99.
const BUSY_P99_FACTOR: i64 = 2;
/// Growth of a process, whatever the backlog.
const GROWTH_MAX_KIB: u64 = 128 * 1024;

/// The line for scripts.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether everything held.
    pub held: bool,
    pub seed: u64,
    pub start: i64,
    pub bug: Option<String>,
    pub seconds: f64,
    pub faults: usize,
    pub deliveries: usize,
    pub unaccepted: usize,
    /// Events answered with 200 at least once.
    pub acknowledged: usize,
    /// Events in Postgres.
    pub kept: usize,
    pub answers: Answers,
    /// What is left to do although nothing is broken any more.
    pub not_idle: Option<String>,
    pub recovered_ms: u128,
    #[serde(flatten)]
    pub findings: Findings,
    /// Rows that break a rule of the ledger, and transfers that are not told of once.
    pub ledger: Found,
    pub longest_take_over_ms: Option<i64>,
    pub timeline: Vec<Line>,
    /// Faults that cannot be made here, and why.
    pub not_run: BTreeMap<&'static str, String>,
    pub processes: Vec<Seen>,
    pub promises: Vec<Promise>,
}

/// Something that must hold.
#[derive(Debug, Serialize)]
pub(super) struct Promise {
    pub name: &'static str,
    pub held: bool,
    pub detail: String,
}

impl Report {
    /// Finds out whether each promise held.
    pub(super) fn judge(mut self) -> Self {
        let found = |name, found: &Found| promise(name, found.count == 0, format!("{} found", found.count));
        let (lines, growth) = (self.busiest(), self.growth());
        let ended: Vec<String> = self
            .processes
            .iter()
            .flat_map(|it| it.ended_by_itself.iter().map(|how| format!("{}: {how}", it.name)))
            .collect();
        let taken_over = self.longest_take_over_ms;
        self.promises = vec![
            found("nothing acknowledged is lost", &self.findings.lost),
            found("nothing is doubled", &self.findings.doubled),
            found("everything is what it should be", &self.findings.wrong),
            found("the ledger is true", &self.ledger),
            promise(
                "everything recovers by itself",
                self.not_idle.is_none() && self.unaccepted == 0,
                self.not_idle
                    .clone()
                    .unwrap_or_else(|| format!("idle {} ms after the load", self.recovered_ms)),
            ),
            promise(
                "what a killed worker held is committed in time",
                taken_over.is_none_or(|ms| ms <= TAKEN_OVER_MAX_MS),
                taken_over.map_or("nothing to take over".to_owned(), |ms| {
                    format!("{ms} ms, at most {TAKEN_OVER_MAX_MS}")
                }),
            ),
            promise(
                "ingest always answers, and says when to come back",
                self.answers.without_retry_after
                    + self.answers.unexplained_silence
                    + self.answers.unexplained_refusals
                    == 0
                    && self.answers.slowest_ms <= ANSWER_MAX_MS,
                format!(
                    "slowest {} ms, {} silent, {} without Retry-After, {} refused for good",
                    self.answers.slowest_ms,
                    self.answers.unexplained_silence,
                    self.answers.without_retry_after,
                    self.answers.unexplained_refusals
                ),
            ),
            promise("no process ends by itself", ended.is_empty(), ended.join(", ")),
            promise(
                "logs stay readable",
                lines <= LINES_PER_SECOND_MAX,
                format!("{lines} lines in the busiest second"),
            ),
            promise(
                "memory stays in bounds",
                growth <= GROWTH_MAX_KIB,
                format!("grew by {} MiB at most", growth / 1024),
            ),
            self.everything_broke(),
        ];
        self.promises.extend(self.crash_loops());
        self.promises.extend(self.busy_customers());
        self.held = self.promises.iter().all(|promise| promise.held);
        self
    }

    /// A fault that did not come about proves nothing.
    fn everything_broke(&self) -> Promise {
        let missed = self
            .timeline
            .iter()
            .filter_map(|line| Some(format!("{}: {}", line.fault, line.missed?)));
        let missed: Vec<String> = missed.collect();
        promise("every fault came about", missed.is_empty(), missed.join(", "))
    }

    fn crash_loops(&self) -> Option<Promise> {
        let lines = self.timeline.iter().filter(|line| line.is_crash_loop);
        let most = lines.clone().map(|line| line.waits.max_ms).max()?;
        let p99 = lines.clone().map(|line| line.waits.p99_ms).max()?;
        let median = lines.map(|line| line.waits.p50_ms).max()?;
        let is_held = most <= CRASH_LOOP_WAIT_MAX_MS
            && p99 <= CRASH_LOOP_WAIT_P99_MAX_MS
            && median <= CRASH_LOOP_WAIT_MEDIAN_MAX_MS;
        Some(promise(
            "who kills its worker does not hold up the others",
            is_held,
            format!("they wait {median} ms (median), {p99} ms (p99), {most} ms (longest)"),
        ))
    }

    fn busy_customers(&self) -> Vec<Promise> {
        let lines = self.timeline.iter().filter_map(|line| line.busy.as_ref());
        let promises = lines.flat_map(|busy| {
            let (before, meanwhile) = (busy.before.p99_ms, busy.meanwhile.p99_ms);
            [
                promise(
                    "a busy customer does not hold up the others",
                    meanwhile <= before * BUSY_P99_FACTOR,
                    format!("p99 from acceptance to commit {before} ms, then {meanwhile} ms"),
                ),
                promise(
                    "events of one customer never run at the same time",
                    busy.overlaps == 0,
                    format!("{} met another one of theirs under way", busy.overlaps),
                ),
            ]
        });
        promises.collect()
    }

    fn busiest(&self) -> usize {
        self.processes
            .iter()
            .map(|it| it.log_lines_per_second_max)
            .max()
            .unwrap_or(0)
    }

    fn growth(&self) -> u64 {
        self.processes
            .iter()
            .map(|it| it.memory_max_kib.saturating_sub(it.memory_first_kib))
            .max()
            .unwrap_or(0)
    }

    /// Shows it.
    pub(super) fn show(&self, as_json: bool) {
        if as_json {
            return answer(&tool::json(self));
        }
        self.show_timeline();
        for (fault, reason) in &self.not_run {
            answer(&format!("NOT RUN   {fault}: {reason}"));
        }
        self.show_processes();
        self.show_findings();
        answer("");
        for promise in &self.promises {
            let verdict = if promise.held { "held  " } else { "BROKEN" };
            answer(&format!("{verdict}  {:<50} {}", promise.name, promise.detail));
        }
    }

    fn show_timeline(&self) {
        let ms = |ms: Option<i64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
        answer(
            "\n      at  fault                          lasted   accepting  committing  taken over   \
             refused   slowest   p99 wait   max wait  lines/s   most",
        );
        for line in &self.timeline {
            answer(&format!(
                "{:>6.1} s  {:<25} {:>9} ms {:>11} {:>11} {:>11} {:>9} {:>6} ms {:>7} ms {:>7} ms {:>8} {:>2} MiB  {}",
                line.at_ms as f64 / 1000.0,
                line.fault,
                line.lasted_ms,
                ms(line.accepting_after_ms),
                ms(line.committing_after_ms),
                ms(line.taken_over_after_ms),
                line.refused,
                line.slowest_ms,
                line.waits.p99_ms,
                line.waits.max_ms,
                line.log_lines_per_second_max,
                line.memory_max_kib / 1024,
                line.detail
            ));
        }
    }

    fn show_processes(&self) {
        answer("\nprocess       started  log lines  busiest second  memory first   most");
        for it in &self.processes {
            answer(&format!(
                "{:<13} {:>7} {:>10} {:>15} {:>9} MiB {:>4} MiB",
                it.name,
                it.started,
                it.log_lines,
                it.log_lines_per_second_max,
                it.memory_first_kib / 1024,
                it.memory_max_kib / 1024
            ));
        }
    }

    fn show_findings(&self) {
        answer(&format!(
            "\n{} deliveries, {} events acknowledged, {} in Postgres; answers {:?} (0: none); {} s; --seed {} --start {}",
            self.deliveries,
            self.acknowledged,
            self.kept,
            self.answers.by_status,
            self.seconds,
            self.seed,
            self.start
        ));
        let Findings {
            lost,
            gap,
            doubled,
            wrong,
        } = &self.findings;
        for (name, found) in [
            ("LOST", lost),
            ("gap (Redis was emptied)", gap),
            ("DOUBLED", doubled),
            ("WRONG", wrong),
            ("LEDGER", &self.ledger),
        ] {
            if found.count > 0 {
                answer(&format!(
                    "\n{name}: {}, of which:\n  {}",
                    found.count,
                    found.first.join("\n  ")
                ));
            }
        }
    }
}

fn promise(name: &'static str, held: bool, detail: String) -> Promise {
    Promise { name, held, detail }
}
