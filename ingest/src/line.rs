//! The canonical line: one for each request, under the target `request`, with everything there is to say about it. Ids
//! and words of closed sets; never a header, a path, or anything of a body but what names the event.
//!
//! Accepted events are told at `debug`, because there may be ten thousand a second and metrics count them; refusals at
//! `info`, some per second, because strangers cause them. See docs/adr/0025.

use std::time::Instant;

use shared::entry::{Entry, Mismatch};
use shared::signature::SignatureError;
use shared::trace::traceparent::trace_id;

use crate::refusal::Refusal;
use crate::throttle::Throttle;

/// Told refusals per second.
const REFUSALS_PER_SECOND: u32 = 5;

static REFUSALS: Throttle = Throttle::new(REFUSALS_PER_SECOND);
/// Apart, so that strangers cannot use it up.
static SLOW_CLOCK: Throttle = Throttle::new(1);

/// Redis has the event.
pub(crate) fn accepted(entry: &Entry, start: Instant) {
    let (meta, envelope) = (&entry.meta, &entry.meta.envelope);
    tracing::debug!(
        target: "request",
        event = envelope.id,
        r#type = envelope.event_type,
        account = envelope.account,
        endpoint = meta.endpoint,
        mismatch = meta.mismatch.map(Mismatch::as_str),
        bytes = entry.body.len(),
        status = 200,
        took_us = micros(start),
        trace_id = meta.traceparent.as_deref().and_then(trace_id),
        "accepted"
    );
}

/// The reason and nothing of the request: what a stranger sent has no place in a log.
pub(crate) fn refused(refusal: &Refusal, start: Instant) {
    if matches!(refusal, Refusal::Signature(SignatureError::InFuture)) && SLOW_CLOCK.allows(start) {
        tracing::warn!("a correctly signed event is from the future: this machine's clock is slow");
    }
    if tracing::enabled!(target: "request", tracing::Level::INFO) && REFUSALS.allows(start) {
        let (reason, status) = (refusal.reason(), refusal.status().as_u16());
        tracing::info!(target: "request", reason, status, took_us = micros(start), "refused");
    }
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
