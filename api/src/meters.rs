//! What is counted: the table of everything the API shows.

use metrics::{counter, histogram};
use shared::metric::{Label, Metric, REQUEST_SECONDS};
use store::api::IntentKind;
use utoipa::openapi::OpenApi;

use crate::auth::TokenError;

/// How long requests took; the name and the labels are OpenTelemetry's.
const DURATION: &str = "http_server_request_duration_seconds";
/// Looks into the cache of states, by what came of it.
pub(crate) const CACHE: &str = "tollgate_api_state_cache_total";
/// Times Stripe was asked to do something, by what and by what came of it.
pub(crate) const INTENTS: &str = "tollgate_api_intents_total";
/// Requests without a good token.
pub(crate) const UNAUTHENTICATED: &str = "tollgate_api_unauthenticated_total";
/// Requests that were too many.
pub(crate) const THROTTLED: &str = "tollgate_api_throttled_total";
/// Credits that users spent.
const CONSUMED: &str = "tollgate_credits_consumed_total";
/// Credits that users wanted to spend and could not.
const REJECTED: &str = "tollgate_credits_rejected_total";

/// The route of requests that have none.
pub(crate) const NO_ROUTE: &str = "none";
/// Why credits are not to be had.
const REJECTIONS: [&str; 2] = ["insufficient", "owing"];

/// Everything the API shows.
pub const METRICS: &[Metric] = &[
    Metric::histogram(
        DURATION,
        "From a request's head to its answer; each route is there from the start with status 200.",
        REQUEST_SECONDS,
        &[
            Label::configured("http_route", "each path of `/openapi.json`, `/docs`, `none`"),
            Label::configured("http_request_method", "the methods of HTTP, `other`"),
            Label::configured("http_response_status_code", "what the API answers"),
        ],
    ),
    Metric::counter(
        CACHE,
        "Looks into the cache of subscription states; away is a Redis that does not answer.",
        &[Label::of("outcome", || vec!["hit", "miss", "away"])],
    ),
    Metric::counter(
        INTENTS,
        "Times Stripe was asked to do something, by what and by what came of it.",
        &[
            Label::of("kind", || IntentKind::ALL.map(IntentKind::as_str).to_vec()),
            Label::of("outcome", || crate::intents::OUTCOMES.to_vec()),
        ],
    ),
    Metric::counter(
        UNAUTHENTICATED,
        "Requests without a good token, by why it is none.",
        &[Label::of("reason", || TokenError::REASONS.to_vec())],
    ),
    Metric::counter(
        THROTTLED,
        "Requests refused because their user sends too many.",
        &[],
    ),
    Metric::counter(
        CONSUMED,
        "Credits that users and teams spent or reserved; what was reserved may have been given back.",
        &[],
    ),
    Metric::counter(
        REJECTED,
        "Credits that were to be spent or reserved and were not to be had.",
        &[Label::of("reason", || REJECTIONS.to_vec())],
    ),
];

/// Shows every route before it was asked for.
pub(crate) fn show_routes(described: &OpenApi) {
    for (path, item) in &described.paths.paths {
        let methods = [
            ("GET", item.get.is_some()),
            ("POST", item.post.is_some()),
            ("PUT", item.put.is_some()),
            ("PATCH", item.patch.is_some()),
            ("DELETE", item.delete.is_some()),
        ];
        for (method, _) in methods.into_iter().filter(|(_, is_there)| *is_there) {
            drop(duration(path.clone(), method, 200));
        }
    }
}

/// How long requests of a route took that were answered so.
pub(crate) fn duration(route: String, method: &'static str, status: u16) -> metrics::Histogram {
    histogram!(DURATION, "http_route" => route, "http_request_method" => method,
        "http_response_status_code" => status.to_string())
}

/// Credits were spent or reserved.
pub(crate) fn consumed(credits: i64) {
    counter!(CONSUMED).increment(credits.unsigned_abs());
}

/// Credits were not to be had: of [`REJECTIONS`].
pub(crate) fn rejected(reason: &'static str, credits: i64) {
    counter!(REJECTED, "reason" => reason).increment(credits.unsigned_abs());
}
