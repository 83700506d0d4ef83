//! What is counted: the table of everything ingest shows, and the handles, looked up once.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use shared::entry::Mismatch;
use shared::envelope::Rendering;
use shared::metric::{BODY_BYTES, DELIVERY_SECONDS, Label, Metric, REQUEST_SECONDS};
use shared::queue::ACCEPTING;

use crate::endpoint::Endpoint;
use crate::refusal::Refusal;

const ACCEPTED: &str = "tollgate_ingest_accepted_total";
const REFUSED: &str = "tollgate_ingest_refused_total";
const MISMATCH: &str = "tollgate_ingest_mismatch_total";
const SECRET_USED: &str = "tollgate_ingest_secret_used_total";
const LARGE_BODIES: &str = "tollgate_ingest_large_bodies_total";
const REQUEST_DURATION: &str = "tollgate_ingest_request_duration_seconds";
const ENQUEUE_DURATION: &str = "tollgate_ingest_enqueue_duration_seconds";
const DELIVERY_DELAY: &str = "tollgate_ingest_delivery_delay_seconds";
const PAYLOAD: &str = "tollgate_ingest_payload_bytes";
const LAST_ACCEPTED: &str = "tollgate_ingest_last_accepted_timestamp_seconds";
const IN_FLIGHT: &str = "tollgate_ingest_in_flight";
const CONNECTIONS: &str = "tollgate_ingest_connections";
const ACCEPT_ERRORS: &str = "tollgate_ingest_accept_errors_total";
pub(crate) const BODIES_BYTES: &str = "tollgate_ingest_bodies_bytes";

/// Events above this are worth a look: other destinations of Stripe cap theirs here.
const LARGE_BODY_BYTES: usize = 256 * 1024;

const ENDPOINT: Label = Label::configured("endpoint", "each endpoint of the settings");

/// Everything ingest shows.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        ACCEPTED,
        "Events answered 200 because Redis has them.",
        &[ENDPOINT, Label::of("rendering", || vec!["snapshot", "thin"])],
    ),
    Metric::counter(
        REFUSED,
        "Requests refused; in_future means that our clock is slow.",
        &[Label::of("reason", || Refusal::REASONS.to_vec())],
    ),
    Metric::counter(
        MISMATCH,
        "Accepted events of the other mode or of an unexpected account.",
        &[ENDPOINT, Label::of("kind", || vec!["livemode", "account"])],
    ),
    Metric::counter(
        SECRET_USED,
        "Accepted events by the place, in the setting, of the secret that verified them.",
        &[ENDPOINT, Label::configured("index", "each secret, from 0")],
    ),
    Metric::counter(LARGE_BODIES, "Accepted events over 256 KiB.", &[]),
    Metric::histogram(
        REQUEST_DURATION,
        "From the end of the headers to the answer.",
        REQUEST_SECONDS,
        &[Label::of("outcome", || {
            vec!["accepted", "refused", "unavailable"]
        })],
    ),
    Metric::histogram(
        ENQUEUE_DURATION,
        "How long Redis took to have an event, waiting for its turn included.",
        REQUEST_SECONDS,
        &[],
    ),
    Metric::histogram(
        DELIVERY_DELAY,
        "From when something happened at Stripe, in whole seconds, until the event was accepted.",
        DELIVERY_SECONDS,
        &[],
    ),
    Metric::histogram(PAYLOAD, "Size of accepted events.", BODY_BYTES, &[]),
    Metric::gauge(
        LAST_ACCEPTED,
        "When the last event was accepted; 0 before the first.",
        &[],
    ),
    Metric::gauge(IN_FLIGHT, "Requests being answered.", &[]),
    Metric::gauge(CONNECTIONS, "Open connections.", &[]),
    Metric::counter(
        ACCEPT_ERRORS,
        "Connections that could not be taken, as when file descriptors run out.",
        &[],
    ),
    Metric::gauge(BODIES_BYTES, "Bodies being received or enqueued.", &[]),
    Metric::gauge(
        ACCEPTING,
        "1 while events are accepted, 0 while Stripe is told to come back.",
        &[],
    ),
];

/// Handles of everything ingest counts, looked up once.
pub(crate) struct Meters {
    endpoints: Vec<EndpointMeters>,
    large_bodies: Counter,
    accepted_duration: Histogram,
    refused_duration: Histogram,
    unavailable_duration: Histogram,
    enqueue_duration: Histogram,
    delivery_delay: Histogram,
    payload: Histogram,
    last_accepted: Gauge,
    pub(crate) in_flight: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) accept_errors: Counter,
}

struct EndpointMeters {
    snapshots: Counter,
    thin: Counter,
    other_livemode: Counter,
    other_account: Counter,
    /// By place of the secret in the setting.
    secrets: Vec<Counter>,
}

impl Meters {
    pub(crate) fn new(endpoints: &[Endpoint]) -> Self {
        let duration = |outcome: &'static str| histogram!(REQUEST_DURATION, "outcome" => outcome);
        Self {
            endpoints: endpoints.iter().map(EndpointMeters::new).collect(),
            large_bodies: counter!(LARGE_BODIES),
            accepted_duration: duration("accepted"),
            refused_duration: duration("refused"),
            unavailable_duration: duration("unavailable"),
            enqueue_duration: histogram!(ENQUEUE_DURATION),
            delivery_delay: histogram!(DELIVERY_DELAY),
            payload: histogram!(PAYLOAD),
            last_accepted: gauge!(LAST_ACCEPTED),
            in_flight: gauge!(IN_FLIGHT),
            connections: gauge!(CONNECTIONS),
            accept_errors: counter!(ACCEPT_ERRORS),
        }
    }

    /// One event is in Redis.
    pub(crate) fn accepted(&self, event: &AcceptedEvent, took: Duration) {
        let endpoint = &self.endpoints[event.endpoint];
        match event.rendering {
            Rendering::Snapshot => endpoint.snapshots.increment(1),
            // Nothing Stripe delivers is a fetched object.
            Rendering::Thin | Rendering::Fetched => endpoint.thin.increment(1),
        }
        match event.mismatch {
            Some(Mismatch::Livemode) => endpoint.other_livemode.increment(1),
            Some(Mismatch::Account) => endpoint.other_account.increment(1),
            None => {}
        }
        endpoint.secrets[event.secret_index].increment(1);
        if event.body_bytes > LARGE_BODY_BYTES {
            self.large_bodies.increment(1);
        }
        self.accepted_duration.record(took);
        self.enqueue_duration.record(event.enqueue_took);
        self.payload.record(lossless(event.body_bytes));
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        let at = event.received_at_ms as f64 / 1_000.0;
        self.last_accepted.set(at);
        // Stripe's clock has whole seconds, and is not ours.
        let delay_ms = event.received_at_ms - event.created.saturating_mul(1_000);
        self.delivery_delay
            .record(Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0)));
    }

    /// One request was refused.
    pub(crate) fn refused(&self, refusal: &Refusal, took: Duration) {
        count_refusal(refusal.reason());
        if refusal.status().is_client_error() {
            self.refused_duration.record(took);
        } else {
            self.unavailable_duration.record(took);
        }
    }
}

/// What is worth counting about an accepted event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AcceptedEvent {
    /// Place in the list of endpoints.
    pub(crate) endpoint: usize,
    pub(crate) rendering: Rendering,
    pub(crate) mismatch: Option<Mismatch>,
    pub(crate) secret_index: usize,
    pub(crate) body_bytes: usize,
    /// By our clock, milliseconds.
    pub(crate) received_at_ms: i64,
    /// By Stripe's, seconds.
    pub(crate) created: i64,
    pub(crate) enqueue_took: Duration,
}

/// Bodies are no longer than a few MiB.
fn lossless(bytes: usize) -> f64 {
    u32::try_from(bytes).map_or(f64::from(u32::MAX), f64::from)
}

impl EndpointMeters {
    fn new(endpoint: &Endpoint) -> Self {
        let name = &endpoint.name;
        let accepted = |rendering: &'static str| counter!(ACCEPTED, "endpoint" => name.clone(), "rendering" => rendering);
        let mismatch = |kind: &'static str| counter!(MISMATCH, "endpoint" => name.clone(), "kind" => kind);
        let secret =
            |index: usize| counter!(SECRET_USED, "endpoint" => name.clone(), "index" => index.to_string());
        Self {
            snapshots: accepted("snapshot"),
            thin: accepted("thin"),
            other_livemode: mismatch("livemode"),
            other_account: mismatch("account"),
            secrets: (0..endpoint.secrets.len()).map(secret).collect(),
        }
    }
}

/// Counts a refusal by its reason; see [`Refusal::REASONS`].
pub(crate) fn count_refusal(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

/// One more in a gauge, for as long as it lives.
pub(crate) struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    pub(crate) fn new(gauge: &'a Gauge) -> Self {
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
