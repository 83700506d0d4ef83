//! What is counted: the table of everything a worker shows, and the handles of what is counted for each event, looked
//! up once.

use std::sync::LazyLock;
use std::time::Duration;

use domain::State;
use domain::credits::{Problem, TransferKind};
use domain::sample::{Finding, Walk};
use domain::silence::Verdict;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use shared::metric::{FINE_SECONDS, Label, Metric, WAIT_SECONDS, WORK_SECONDS};
use shared::telemetry::COMMIT_LATENCY;
use store::StoreError;
use store::check::RULES;

use crate::event_types;
use crate::handlers::HANDLERS;
use crate::sweeper::JOBS;

pub(crate) const EVENTS: &str = "tollgate_events_total";
pub(crate) const REPLAYED: &str = "tollgate_replayed_total";
pub(crate) const WAIT: &str = "tollgate_event_wait_seconds";
pub(crate) const ATTEMPTS: &str = "tollgate_worker_attempts";
pub(crate) const RETRIES: &str = "tollgate_worker_retries_total";
pub(crate) const CHUNK_DURATION: &str = "tollgate_worker_chunk_duration_seconds";
pub(crate) const CHUNKS: &str = "tollgate_worker_chunks_total";
pub(crate) const CHUNK_ENTRIES: &str = "tollgate_worker_chunk_entries_total";
pub(crate) const TAKEN_OVER: &str = "tollgate_worker_taken_over_total";
pub(crate) const ACKNOWLEDGE_FAILURES: &str = "tollgate_worker_acknowledge_failures_total";
pub(crate) const LEFT_FOR_NEWER: &str = "tollgate_worker_left_for_newer_total";
pub(crate) const CONTENTION: &str = "tollgate_worker_contention_total";
pub(crate) const SLOTS: &str = "tollgate_worker_slots";
pub(crate) const SLOTS_BUSY: &str = "tollgate_worker_slots_busy";
pub(crate) const SHARDS: &str = "tollgate_worker_shards";
pub(crate) const DRAINING: &str = "tollgate_worker_draining";
pub(crate) const ALL_REFUSED: &str = "tollgate_worker_all_refused";
pub(crate) const TIES_GUESSED: &str = "tollgate_ties_guessed_total";
pub(crate) const DRIFT: &str = "tollgate_drift_total";
pub(crate) const REFETCHES: &str = "tollgate_refetches_total";
pub(crate) const COVERAGE_LAG: &str = "tollgate_coverage_lag_seconds";
pub(crate) const COVERAGE_HOLES: &str = "tollgate_coverage_holes";
pub(crate) const RECONCILE_AGE: &str = "tollgate_reconcile_age_seconds";
pub(crate) const RECONCILED: &str = "tollgate_reconciled_events_total";
pub(crate) const OBJECTS_COMPARED: &str = "tollgate_objects_compared_total";
pub(crate) const OBJECT_DIFFERENCES: &str = "tollgate_object_differences_total";
pub(crate) const DELIVERY_VERDICTS: &str = "tollgate_delivery_verdicts";
pub(crate) const RECKON_DURATION: &str = "tollgate_reckon_duration_seconds";
pub(crate) const RECKONED: &str = "tollgate_reckoned_subjects_total";
pub(crate) const MARKS_SET_ASIDE: &str = "tollgate_marks_set_aside_total";
pub(crate) const TRANSITIONS: &str = "tollgate_subscription_transitions_total";
pub(crate) const SUBSCRIPTIONS: &str = "tollgate_subscriptions";
pub(crate) const TRANSFERS: &str = "tollgate_credit_transfers_total";
pub(crate) const CREDITS_GIVEN: &str = "tollgate_credits_given_total";
pub(crate) const CREDITS_TAKEN: &str = "tollgate_credits_taken_total";
pub(crate) const FREE_REFUSED: &str = "tollgate_free_grants_refused_total";
pub(crate) const SWEPT: &str = "tollgate_swept_total";
pub(crate) const LEDGER_VIOLATIONS: &str = "tollgate_ledger_violations";
pub(crate) const LEDGER_OUTSTANDING: &str = "tollgate_ledger_outstanding_credits";
pub(crate) const LEDGER_CHECK_AGE: &str = "tollgate_ledger_check_age_seconds";
pub(crate) const LEDGER_CAPACITY: &str = "tollgate_ledger_capacity_left_credits";
pub(crate) const MONEY_PROBLEMS: &str = "tollgate_money_problems";
pub(crate) const PARKED: &str = "tollgate_parked_events";
pub(crate) const POSTGRES_DURABLE: &str = "tollgate_db_durable";
pub(crate) const MIGRATION: &str = "tollgate_db_migration_version";
pub(crate) const EVENTS_BYTES: &str = "tollgate_db_events_bytes";

/// What can become of an event.
pub(crate) const OUTCOMES: [&str; 4] = ["applied", "ignored", "parked", "duplicate"];
/// What can become of asking Stripe for an object.
const REFETCHED: [&str; 3] = ["answered", "given_up", "refused"];
/// Stripe's answer is none, or not what was asked for.
pub(crate) const UNREADABLE: &str = "unreadable";
/// What is not one of Stripe's objects, and drifts nevertheless.
pub(crate) const SUBSCRIPTION_STATUS: &str = "subscription_status";
/// Stripe's words, and what is none of them.
/// <https://docs.stripe.com/api/subscriptions/object#subscription_object-status>
pub(crate) const STATUSES: [&str; 9] = [
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "canceled",
    "unpaid",
    "paused",
    OTHER_STATUS,
];
/// See [`STATUSES`].
pub(crate) const OTHER_STATUS: &str = "other";
/// Who must act on a parked event.
pub(crate) const CLASSES: [&str; 3] = ["transient", "permanent", "bug"];
/// Deliveries, up to where an event counts as one that kills its worker.
const DELIVERIES: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

fn states() -> Vec<&'static str> {
    State::ALL.map(State::as_str).to_vec()
}

fn transfer_kinds() -> Vec<&'static str> {
    TransferKind::ALL.map(TransferKind::as_str).to_vec()
}

/// Everything a worker shows.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        EVENTS,
        "Events settled, by type and by what became of them.",
        &[
            Label::of("event_type", event_types::all),
            Label::of("outcome", || OUTCOMES.to_vec()),
        ],
    ),
    Metric::counter(
        REPLAYED,
        "Dead letters run again, by what became of them.",
        &[Label::of("outcome", || OUTCOMES.to_vec())],
    ),
    Metric::histogram(
        COMMIT_LATENCY,
        "From when ingest accepted an event until what it changes was committed.",
        FINE_SECONDS,
        &[],
    ),
    Metric::histogram(
        WAIT,
        "From when ingest accepted an event until a worker began with it.",
        WAIT_SECONDS,
        &[],
    ),
    Metric::histogram(
        ATTEMPTS,
        "How often an event had been given to a worker when it was settled.",
        DELIVERIES,
        &[],
    ),
    Metric::counter(
        RETRIES,
        "Times a batch of events was tried again, by why.",
        &[Label::of("reason", || StoreError::RETRY_REASONS.to_vec())],
    ),
    Metric::histogram(
        CHUNK_DURATION,
        "How long a chunk of events took, from the first look to the acknowledgement.",
        WORK_SECONDS,
        &[],
    ),
    Metric::counter(CHUNKS, "Chunks done.", &[]),
    Metric::counter(CHUNK_ENTRIES, "Entries of the chunks done.", &[]),
    Metric::counter(
        TAKEN_OVER,
        "Entries taken over because the lease of their worker ran out.",
        &[],
    ),
    Metric::counter(
        ACKNOWLEDGE_FAILURES,
        "Times Redis could not be told that events are settled; they come again and are duplicates.",
        &[],
    ),
    Metric::counter(
        LEFT_FOR_NEWER,
        "Entries moved out of the way, for a newer build to read.",
        &[],
    ),
    Metric::counter(
        CONTENTION,
        "Deadlocks and serialization failures; each was tried again.",
        &[],
    ),
    Metric::gauge(SLOTS, "Chunks that can be worked on at a time.", &[]),
    Metric::gauge(SLOTS_BUSY, "Chunks being worked on.", &[]),
    Metric::gauge(
        SHARDS,
        "Shards of the queue that this worker reads; a spare has none.",
        &[],
    ),
    Metric::gauge(DRAINING, "1 once the worker was told to end.", &[]),
    Metric::gauge(
        ALL_REFUSED,
        "1 while one event after another is refused, so that they wait instead of being set aside.",
        &[],
    ),
    Metric::counter(
        TIES_GUESSED,
        "Contests of snapshots that only the event id could settle.",
        &[],
    ),
    Metric::counter(
        DRIFT,
        "Members of Stripe's objects that are not what they used to be, and that no rule needs.",
        &[Label::of("what", || {
            let kinds = HANDLERS.iter().map(|handler| handler.kind.as_str());
            kinds.chain([SUBSCRIPTION_STATUS]).collect()
        })],
    ),
    Metric::counter(
        REFETCHES,
        "Objects that Stripe was asked for, by what came of it.",
        &[Label::of("outcome", || REFETCHED.to_vec())],
    ),
    Metric::gauge(
        COVERAGE_LAG,
        "How long ago that was up to which every event of Stripe's is here, of the account that is furthest behind; 0 while nothing is compared.",
        &[],
    ),
    Metric::gauge(
        COVERAGE_HOLES,
        "Events of Stripe's that are not here: to be filled in, or gone from Stripe, too.",
        &[Label::of("state", || vec!["open", "gone"])],
    ),
    Metric::gauge(
        RECONCILE_AGE,
        "How long ago Stripe's list of events was last compared, of the account where that is longest; 0 while nothing is compared.",
        &[],
    ),
    Metric::counter(
        RECONCILED,
        "Events of Stripe's list that were missing, and those that were put into the queue for that.",
        &[Label::of("outcome", || vec!["missing", "queued"])],
    ),
    Metric::counter(
        OBJECTS_COMPARED,
        "Objects that were compared with Stripe's, by what was found.",
        &[Label::of("finding", || {
            let findings = Finding::ALL.map(Finding::as_str);
            findings.into_iter().chain([UNREADABLE]).collect()
        })],
    ),
    Metric::counter(
        OBJECT_DIFFERENCES,
        "Objects that are not as Stripe has them though no event says so, each once until it is settled, by kind.",
        &[Label::of("kind", || {
            Walk::ALL[1..].iter().map(|walk| walk.kind().as_str()).collect()
        })],
    ),
    Metric::gauge(
        DELIVERY_VERDICTS,
        "Accounts by why events arrive or do not.",
        &[Label::of("verdict", || {
            Verdict::ALL.map(Verdict::as_str).to_vec()
        })],
    ),
    Metric::histogram(
        RECKON_DURATION,
        "How long a batch of marks took to be reckoned.",
        WORK_SECONDS,
        &[],
    ),
    Metric::counter(
        RECKONED,
        "Customers, subscriptions, users and sources reckoned anew.",
        &[],
    ),
    Metric::counter(
        MARKS_SET_ASIDE,
        "Marks that could not be reckoned and wait for a person.",
        &[],
    ),
    Metric::counter(
        TRANSITIONS,
        "Users whose standing changed, from which state to which.",
        &[Label::of("from", states), Label::of("to", states)],
    ),
    Metric::gauge(
        SUBSCRIPTIONS,
        "Subscriptions by Stripe's status.",
        &[Label::of("status", || STATUSES.to_vec())],
    ),
    Metric::counter(
        TRANSFERS,
        "Transfers appended to the ledger for events and the clock, by why.",
        &[Label::of("kind", transfer_kinds)],
    ),
    Metric::counter(
        CREDITS_GIVEN,
        "Credits given to users and teams, by why.",
        &[Label::of("kind", transfer_kinds)],
    ),
    Metric::counter(
        CREDITS_TAKEN,
        "Credits taken back from users and teams, by why; what they spend is not among them.",
        &[Label::of("kind", transfer_kinds)],
    ),
    Metric::counter(
        FREE_REFUSED,
        "Free credits that were not given because the platform gives no more.",
        &[],
    ),
    Metric::counter(
        SWEPT,
        "What the clock wanted done and is done, by job.",
        &[Label::of("job", || JOBS.to_vec())],
    ),
    Metric::gauge(
        LEDGER_VIOLATIONS,
        "Rows that break a rule of the ledger; anything but 0 is wrong. sum_is_zero is the imbalance.",
        &[Label::of("rule", || RULES.to_vec())],
    ),
    Metric::gauge(
        LEDGER_OUTSTANDING,
        "Credits that users and teams have, less what some owe.",
        &[],
    ),
    Metric::gauge(
        LEDGER_CHECK_AGE,
        "How long ago the last round of the ledger's check ended.",
        &[],
    ),
    Metric::gauge(
        LEDGER_CAPACITY,
        "Free credits that may still be given; +Inf without a limit.",
        &[],
    )
    .starting_at(f64::INFINITY),
    Metric::gauge(
        MONEY_PROBLEMS,
        "Payments that do not grant what they might, by why.",
        &[Label::of("problem", || Problem::WORDS.to_vec())],
    ),
    Metric::gauge(
        PARKED,
        "Events set aside for a person, by who must act; counted up to 100000.",
        &[Label::of("class", || CLASSES.to_vec())],
    ),
    Metric::gauge(
        POSTGRES_DURABLE,
        "1 while Postgres keeps through a crash what it confirms.",
        &[],
    )
    .starting_at(1.0),
    Metric::gauge(MIGRATION, "The newest migration that is applied.", &[]),
    Metric::gauge(EVENTS_BYTES, "The inbox on disk, with its indexes.", &[]),
];

/// Handles of what is counted for each event.
pub(crate) struct Meters {
    /// By place in [`event_types::all`], then in [`OUTCOMES`].
    events: Vec<[Counter; OUTCOMES.len()]>,
    pub(crate) commit_latency: Histogram,
    pub(crate) wait: Histogram,
    pub(crate) attempts: Histogram,
    pub(crate) slots_busy: Gauge,
}

static METERS: LazyLock<Meters> = LazyLock::new(|| {
    let events = event_types::all().into_iter().map(|event_type| {
        OUTCOMES.map(|outcome| counter!(EVENTS, "event_type" => event_type, "outcome" => outcome))
    });
    Meters {
        events: events.collect(),
        commit_latency: histogram!(COMMIT_LATENCY),
        wait: histogram!(WAIT),
        attempts: histogram!(ATTEMPTS),
        slots_busy: gauge!(SLOTS_BUSY),
    }
});

/// Of this process. To be asked for after the recorder is installed.
pub(crate) fn meters() -> &'static Meters {
    &METERS
}

impl Meters {
    /// One event is settled.
    pub(crate) fn event(&self, event_type: &str, outcome: Outcome) {
        self.events[event_types::place(event_type)][outcome as usize].increment(1);
    }

    /// One event has waited so long.
    pub(crate) fn waited(&self, ms: i64) {
        self.wait
            .record(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    }
}

/// A place in [`OUTCOMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    Ignored,
    Parked,
    Duplicate,
}

impl Outcome {
    /// The word.
    pub(crate) fn as_str(self) -> &'static str {
        OUTCOMES[self as usize]
    }
}

/// A slot in work, for as long as it lives.
pub(crate) struct Busy;

impl Busy {
    pub(crate) fn new() -> Self {
        meters().slots_busy.increment(1);
        Self
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        meters().slots_busy.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_at_their_places() {
        for (outcome, word) in [
            (Outcome::Applied, "applied"),
            (Outcome::Ignored, "ignored"),
            (Outcome::Parked, "parked"),
            (Outcome::Duplicate, "duplicate"),
        ] {
            assert_eq!(OUTCOMES[outcome as usize], word);
        }
    }
}
