//! What is told of one event when its fate is committed: its canonical line in the log, under the target `event`, and its
//! span. Ids, words of closed sets and numbers; never what is in a body.
//!
//! The line is at `debug`, because there may be thousands a second and metrics count them: see docs/adr/0025.

use shared::trace::traceparent::trace_id;
use shared::trace::{self, Kind};

use crate::item::Item;
use crate::meters::Outcome;
use crate::read::Reading;

/// The one line.
pub(crate) fn line(item: &Item, outcome: Outcome, began_ms: i64, now_ms: i64) {
    if !tracing::enabled!(target: "event", tracing::Level::DEBUG) {
        return;
    }
    let meta = item.entry().map(|entry| &entry.meta);
    let envelope = meta.map(|meta| &meta.envelope);
    tracing::debug!(
        target: "event",
        event = envelope.map(|it| it.id.as_str()),
        r#type = envelope.map(|it| it.event_type.as_str()),
        account = envelope.and_then(|it| it.account.as_deref()),
        outcome = outcome.as_str(),
        reason = reason(item),
        attempts = item.deliveries,
        entry = %item.id,
        shard = item.id.shard,
        commit_ms = meta.map(|meta| now_ms.saturating_sub(meta.received_at_ms)),
        work_ms = now_ms.saturating_sub(began_ms),
        trace_id = meta.and_then(|meta| meta.traceparent.as_deref()).and_then(trace_id),
        "settled"
    );
}

/// The span that follows the request's, from when work began to the commit. One for each event and not for a chunk: people
/// look for what became of an event, in the trace it came with.
pub(crate) fn span(item: &Item, outcome: Outcome, began_ms: i64, now_ms: i64, batch: usize) {
    let Some(entry) = item.entry().filter(|_| trace::is_on()) else {
        return;
    };
    let envelope = &entry.meta.envelope;
    let parent = entry.meta.traceparent.as_deref();
    let Some(mut span) = trace::begin(Kind::Consumer, "process events", parent, began_ms) else {
        return;
    };
    if !span.is_recording() {
        return;
    }
    span.set("messaging.system", "redis");
    span.set("messaging.destination.name", "events");
    span.set("messaging.destination.partition.id", item.id.shard.to_string());
    span.set("messaging.operation.name", "process");
    span.set("messaging.operation.type", "process");
    span.set("messaging.message.id", envelope.id.clone());
    span.set("tollgate.batch", i64::try_from(batch).unwrap_or(i64::MAX));
    span.set("stripe.event.type", envelope.event_type.clone());
    span.set("tollgate.outcome", outcome.as_str());
    span.set("tollgate.attempts", i64::from(item.deliveries));
    span.set(
        "tollgate.queued_ms",
        began_ms.saturating_sub(entry.meta.received_at_ms),
    );
    if let (Outcome::Parked, Reading::Park(failure)) = (outcome, &item.reading) {
        span.failed(failure.reason);
    }
    span.end_at(now_ms);
}

/// The span of an event that was run again: a trace of its own, which points at the one that it came with.
pub(crate) fn replay(item: &Item, job: i64, outcome: store::dead::Outcome, began_ms: i64, now_ms: i64) {
    let Some(entry) = item.entry().filter(|_| trace::is_on()) else {
        return;
    };
    let origin = entry.meta.traceparent.as_deref();
    let Some(mut span) = trace::begin_again(Kind::Consumer, "replay events", origin, began_ms) else {
        return;
    };
    if !span.is_recording() {
        return;
    }
    span.set("messaging.system", "postgresql");
    span.set("messaging.destination.name", "dead letters");
    span.set("messaging.operation.name", "replay");
    span.set("messaging.operation.type", "process");
    span.set("messaging.message.id", entry.meta.envelope.id.clone());
    span.set("stripe.event.type", entry.meta.envelope.event_type.clone());
    span.set("tollgate.job", job);
    span.set("tollgate.outcome", outcome.as_str());
    span.set("tollgate.attempts", i64::from(item.deliveries));
    if let (store::dead::Outcome::Parked, Reading::Park(failure)) = (outcome, &item.reading) {
        span.failed(failure.reason);
    }
    span.end_at(now_ms);
}

fn reason(item: &Item) -> Option<&'static str> {
    match &item.reading {
        Reading::Snapshot(_) => None,
        Reading::Ignore(reason) => Some(reason.as_str()),
        Reading::Park(failure) => Some(failure.reason),
    }
}
