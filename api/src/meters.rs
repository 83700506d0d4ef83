//! What operators see of the API.

use metrics::{Unit, describe_counter, describe_histogram};

/// Requests, by route, method and status class.
pub(crate) const REQUESTS: &str = "tollgate_api_requests_total";
/// How long they took.
pub(crate) const DURATION: &str = "tollgate_api_request_duration_seconds";
/// Looks into the cache of states, by what came of it.
pub(crate) const CACHE: &str = "tollgate_api_state_cache_total";

/// Times Stripe was asked to do something, by what and by what came of it.
pub(crate) const INTENTS: &str = "tollgate_api_intents_total";

/// Says what the metrics mean.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, "Requests answered, by route, method and status.");
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "From a request's head to its answer, by route."
    );
    describe_counter!(
        CACHE,
        "Looks into the cache of subscription states: hit, miss, away."
    );
    describe_counter!(
        INTENTS,
        "Times Stripe was asked to do something, by kind and outcome."
    );
    describe_counter!(
        "tollgate_api_unauthenticated_total",
        "Requests without a good token, by reason."
    );
    describe_counter!(
        "tollgate_api_throttled_total",
        "Requests refused because of too many."
    );
}
