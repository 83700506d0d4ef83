//! What the worker tells the outside: metrics and logs, in one place, so that names and labels stay one set.

use std::time::Duration;

use metrics::{counter, histogram};
use shared::admin::Readiness;
use shared::queue::QueueError;
use shared::telemetry::COMMIT_LATENCY;
use store::{Due, PostedTransfer, Status, StoreError};

use crate::handlers::HANDLERS;
use crate::item::{Fate, Item};
use crate::park::Failure;
use crate::read::Reading;

/// Every value of the `outcome` label.
const OUTCOMES: [&str; 4] = ["applied", "ignored", "parked", "duplicate"];

/// Shows all counters at zero, so that a rate can be taken from the first event on.
pub(crate) fn init() {
    for outcome in OUTCOMES {
        counter!("tollgate_events_total", "outcome" => outcome).absolute(0);
    }
    for kind in ["grant", "topup", "refund", "dispute"] {
        counter!("tollgate_credit_transfers_total", "kind" => kind).absolute(0);
    }
    let kinds = HANDLERS.iter().map(|handler| handler.kind.as_str());
    for what in kinds.chain(["subscription_status"]) {
        counter!("tollgate_drift_total", "what" => what).absolute(0);
    }
    for outcome in ["answered", "given_up", "refused"] {
        counter!("tollgate_refetches_total", "outcome" => outcome).absolute(0);
    }
    counter!("tollgate_marks_set_aside_total").absolute(0);
    counter!("tollgate_reckoned_subjects_total").absolute(0);
    counter!("tollgate_worker_contention_total").absolute(0);
    counter!("tollgate_ties_guessed_total").absolute(0);
    counter!("tollgate_worker_acknowledge_failures_total").absolute(0);
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
pub(crate) fn credits(transfers: &[PostedTransfer]) {
    for it in transfers {
        let kind = it.transfer.place.kind.as_str();
        counter!("tollgate_credit_transfers_total", "kind" => kind).increment(1);
    }
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
