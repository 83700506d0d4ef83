//! What the worker tells the outside: metrics and logs, in one place, so that names and labels stay one set.

use std::time::Duration;

use domain::credits::{Problem, Target};
use metrics::{counter, gauge, histogram};
use shared::admin::Readiness;
use shared::queue::QueueError;
use shared::telemetry::COMMIT_LATENCY;
use store::check::{LedgerGauges, RULES, Violation};
use store::dead::Outcome;
use store::{Due, Status, StoreError};

use crate::handlers::HANDLERS;
use crate::item::{Fate, Item};
use crate::park::Failure;
use crate::read::Reading;
use crate::sweeper::JOBS;

/// Every value of the `outcome` label.
const OUTCOMES: [&str; 4] = ["applied", "ignored", "parked", "duplicate"];

/// Shows all counters at zero, so that a rate can be taken from the first event on.
pub(crate) fn init() {
    for outcome in OUTCOMES {
        counter!("tollgate_events_total", "outcome" => outcome).absolute(0);
    }
    for kind in ["grant", "topup", "refund", "dispute", "free", "expire"] {
        counter!("tollgate_credit_transfers_total", "kind" => kind).absolute(0);
    }
    let kinds = HANDLERS.iter().map(|handler| handler.kind.as_str());
    for what in kinds.chain(["subscription_status"]) {
        counter!("tollgate_drift_total", "what" => what).absolute(0);
    }
    for outcome in ["answered", "given_up", "refused"] {
        counter!("tollgate_refetches_total", "outcome" => outcome).absolute(0);
    }
    for outcome in OUTCOMES {
        counter!("tollgate_replayed_total", "outcome" => outcome).absolute(0);
    }
    for rule in RULES {
        gauge!("tollgate_ledger_violations", "rule" => rule).set(0.0);
    }
    for problem in Problem::WORDS {
        gauge!("tollgate_money_problems", "problem" => problem).set(0.0);
    }
    for job in JOBS {
        counter!("tollgate_swept_total", "job" => job).absolute(0);
    }
    counter!("tollgate_free_grants_refused_total").absolute(0);
    gauge!("tollgate_postgres_durable").set(1.0);
    counter!("tollgate_marks_set_aside_total").absolute(0);
    counter!("tollgate_reckoned_subjects_total").absolute(0);
    counter!("tollgate_worker_contention_total").absolute(0);
    counter!("tollgate_ties_guessed_total").absolute(0);
    counter!("tollgate_worker_acknowledge_failures_total").absolute(0);
    counter!("tollgate_worker_left_for_newer_total").absolute(0);
}

/// A chunk is done.
pub(crate) fn chunk(entries: usize, took: Duration) {
    histogram!("tollgate_worker_chunk_duration_seconds").record(took.as_secs_f64());
    counter!("tollgate_worker_chunks_total").increment(1);
    counter!("tollgate_worker_chunk_entries_total").increment(entries as u64);
}

/// A batch is committed.
pub(crate) fn fates(batch: &[Item], fates: &[Fate], now_ms: i64) {
    for (item, fate) in batch.iter().zip(fates) {
        let outcome = match fate {
            Fate::Settled(status) => status.as_str(),
            Fate::Duplicate => "duplicate",
        };
        if let (Fate::Settled(Status::Parked), Reading::Park(failure)) = (fate, &item.reading) {
            parked(item, failure);
        }
        counter!("tollgate_events_total", "outcome" => outcome).increment(1);
        if let (Fate::Settled(status), Some(entry)) = (fate, item.entry()) {
            drift(item);
            let waited = u64::try_from(now_ms.saturating_sub(entry.meta.received_at_ms)).unwrap_or(0);
            histogram!(COMMIT_LATENCY).record(Duration::from_millis(waited).as_secs_f64());
            let envelope = &entry.meta.envelope;
            tracing::debug!(
                event = envelope.id,
                r#type = envelope.event_type,
                status = status.as_str(),
                traceparent = entry.meta.traceparent,
                "settled"
            );
        }
    }
}

/// Stripe's objects are not what they used to be. Nothing is lost, but somebody should look before something is.
fn drift(item: &Item) {
    let Reading::Snapshot(snapshot) = &item.reading else {
        return;
    };
    for noted in &item.drift {
        counter!("tollgate_drift_total", "what" => snapshot.key.kind.as_str()).increment(1);
        tracing::debug!(
            event = snapshot.version.event_id,
            "drift in {}: {noted}",
            snapshot.key.kind.as_str()
        );
    }
}

/// One event needs a person.
fn parked(item: &Item, failure: &Failure) {
    let envelope = item.entry().map(|entry| &entry.meta.envelope);
    let event_type = envelope.map_or("", |envelope| &envelope.event_type);
    tracing::error!(
        entry = %item.id,
        event = envelope.map_or("", |envelope| &envelope.id),
        r#type = event_type,
        class = failure.class.as_str(),
        reason = failure.reason,
        fingerprint = failure.fingerprint(event_type),
        "event parked: {}",
        failure.detail
    );
}

/// Snapshots of one second could not be told apart: what stands is a guess, the same everywhere.
pub(crate) fn guessed(ties: usize) {
    counter!("tollgate_ties_guessed_total").increment(ties as u64);
}

/// A transaction has to be tried again; perhaps because two workers were in each other's way.
pub(crate) fn transient(error: &StoreError) {
    if error.is_contention() {
        counter!("tollgate_worker_contention_total").increment(1);
    }
}

/// Redis could not be told. The entries come back and are absorbed.
pub(crate) fn not_acknowledged(entries: usize, error: &QueueError) {
    counter!("tollgate_worker_acknowledge_failures_total").increment(1);
    tracing::warn!(entries, "not acknowledged: {error}");
}

/// A subscription has a status that is newer than this build.
pub(crate) fn unknown_status(subscription: &str, status: &str) {
    counter!("tollgate_drift_total", "what" => "subscription_status").increment(1);
    tracing::warn!(
        subscription,
        status,
        "a status this build does not know: the last known one counts"
    );
}

/// Credits were moved; what is still uncommitted may be counted twice after a failure.
pub(crate) fn credits<'a>(transfers: impl IntoIterator<Item = &'a Target>) {
    for it in transfers {
        counter!("tollgate_credit_transfers_total", "kind" => it.place.kind.as_str()).increment(1);
    }
}

/// The ledger, as it is.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; nobody reads its last digits beyond 2^53"
)]
pub(crate) fn ledger(ledger: &LedgerGauges, outstanding_max: Option<i64>) {
    let of = |tally: &[(String, i64)], word: &str| {
        let found = tally.iter().find(|(known, _)| known == word);
        found.map_or(0.0, |(_, count)| *count as f64)
    };
    for rule in RULES {
        gauge!("tollgate_ledger_violations", "rule" => rule).set(of(&ledger.violations, rule));
    }
    for problem in Problem::WORDS {
        gauge!("tollgate_money_problems", "problem" => problem).set(of(&ledger.problems, problem));
    }
    gauge!("tollgate_ledger_outstanding_credits").set(ledger.outstanding as f64);
    gauge!("tollgate_ledger_check_age_seconds").set(ledger.check_age_seconds);
    if let Some(most) = outstanding_max {
        gauge!("tollgate_ledger_capacity_left_credits").set((most - ledger.outstanding_own) as f64);
    }
}

/// Whether Postgres keeps through a crash what it confirms; said whenever that changes.
pub(crate) fn durability(unsafe_settings: &[String]) {
    gauge!("tollgate_postgres_durable").set(if unsafe_settings.is_empty() { 1.0 } else { 0.0 });
    if unsafe_settings.is_empty() {
        tracing::info!("postgres keeps what it confirms");
    } else {
        let settings = unsafe_settings.join(", ");
        tracing::warn!(
            "postgres may lose in a crash what it has confirmed, and Redis then no longer has it: {settings}"
        );
    }
}

/// A row of the ledger is broken; said once, by whoever found it.
pub(crate) fn violation(it: &Violation) {
    tracing::error!(
        rule = it.rule,
        row = it.subject,
        "the ledger is broken: {}",
        it.detail
    );
}

/// A job of the sweeper is done.
pub(crate) fn swept(job: &'static str, rows: u64) {
    counter!("tollgate_swept_total", "job" => job).increment(rows);
}

/// Free credits were not given: the platform has none left.
pub(crate) fn free_refused(grants: usize) {
    counter!("tollgate_free_grants_refused_total").increment(grants as u64);
    if grants > 0 {
        tracing::warn!(grants, "no free credits are left to give");
    }
}

/// Something that comes again anyway could not be done now.
pub(crate) fn not_now(what: &str, error: &StoreError) {
    transient(error);
    tracing::warn!(cause = error.cause(), "{what}, trying again: {}", error.message());
}

/// A batch of marks is reckoned.
pub(crate) fn reckoned(subjects: usize, took: Duration) {
    histogram!("tollgate_reckon_duration_seconds").record(took.as_secs_f64());
    counter!("tollgate_reckoned_subjects_total").increment(subjects as u64);
}

/// Stripe answered.
pub(crate) fn refetched(items: &[Item], fates: &[Fate]) {
    counter!("tollgate_refetches_total", "outcome" => "answered").increment(1);
    for (item, fate) in items.iter().zip(fates) {
        if let (Fate::Settled(Status::Parked), Reading::Park(failure)) = (fate, &item.reading) {
            parked(item, failure);
        }
    }
}

/// Dead letters were run again.
pub(crate) fn replayed(items: &[Item], outcomes: &[Outcome]) {
    for (item, outcome) in items.iter().zip(outcomes) {
        counter!("tollgate_replayed_total", "outcome" => outcome.as_str()).increment(1);
        if let (Outcome::Parked, Reading::Park(failure)) = (outcome, &item.reading) {
            parked(item, failure);
        }
    }
}

/// An object will not be asked for again.
pub(crate) fn not_refetched(due: &Due, error: &str) {
    counter!("tollgate_refetches_total", "outcome" => "given_up").increment(1);
    tracing::warn!(
        object = due.key.id,
        kind = due.key.kind.as_str(),
        reason = due.reason,
        "not fetched from Stripe, and not asked for again: {error}"
    );
}

/// The API key does not do.
pub(crate) fn refused(error: &str) {
    counter!("tollgate_refetches_total", "outcome" => "refused").increment(1);
    tracing::error!("Stripe refuses STRIPE_API_KEY: {error}");
}

/// Something marked cannot be reckoned.
pub(crate) fn not_reckoned(error: &StoreError) {
    counter!("tollgate_marks_set_aside_total").increment(1);
    tracing::error!(
        cause = error.cause(),
        "cannot reckon, set aside: {}",
        error.message()
    );
}

/// A dependency is away. Logged when that begins, not on every attempt.
pub(crate) fn waiting(readiness: &Readiness, dependency: &'static str, trouble: &str) {
    if !readiness.problems().contains_key(dependency) {
        tracing::warn!(dependency, "waiting: {trouble}");
    }
    readiness.set(dependency, Some(trouble.to_owned()));
}
