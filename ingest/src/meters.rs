//! What is counted. Every label value is known when the process starts, and starts at zero, so that a
//! dashboard can tell "none" from "not there".

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use shared::entry::Mismatch;
use shared::envelope::Rendering;

use crate::endpoint::Endpoint;
use crate::refusal::Refusal;

const ACCEPTED: &str = "tollgate_ingest_accepted_total";
const REFUSED: &str = "tollgate_ingest_refused_total";
const MISMATCH: &str = "tollgate_ingest_mismatch_total";
const SECRET_USED: &str = "tollgate_ingest_secret_used_total";
const LARGE_BODIES: &str = "tollgate_ingest_large_bodies_total";
const REQUEST_DURATION: &str = "tollgate_ingest_request_duration_seconds";
const CONNECTIONS: &str = "tollgate_ingest_connections";
const ACCEPT_ERRORS: &str = "tollgate_ingest_accept_errors_total";

/// Events above this are worth a look: other destinations of Stripe cap theirs here.
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// Handles of everything ingest counts, looked up once.
pub(crate) struct Meters {
    endpoints: Vec<EndpointMeters>,
    large_bodies: Counter,
    accepted_duration: Histogram,
    refused_duration: Histogram,
    unavailable_duration: Histogram,
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
        describe();
        for reason in Refusal::REASONS {
            counter!(REFUSED, "reason" => reason).increment(0);
        }
        let duration = |outcome: &'static str| histogram!(REQUEST_DURATION, "outcome" => outcome);
        Self {
            endpoints: endpoints.iter().map(EndpointMeters::new).collect(),
            large_bodies: counter!(LARGE_BODIES),
            accepted_duration: duration("accepted"),
            refused_duration: duration("refused"),
            unavailable_duration: duration("unavailable"),
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

fn describe() {
    describe_counter!(ACCEPTED, "Events answered 200 because Redis has them.");
    describe_counter!(
        REFUSED,
        "Requests refused, by reason; in_future means that our clock is slow."
    );
    describe_counter!(
        MISMATCH,
        "Accepted events of the other mode or of an unexpected account."
    );
    describe_counter!(
        SECRET_USED,
        "Accepted events by the place of the secret that verified them."
    );
    describe_counter!(LARGE_BODIES, "Accepted events over 256 KiB.");
    describe_histogram!(REQUEST_DURATION, "From the end of the headers to the answer.");
    describe_gauge!(CONNECTIONS, "Open connections.");
    describe_counter!(
        ACCEPT_ERRORS,
        "Connections that could not be taken, as when file descriptors run out."
    );
}
