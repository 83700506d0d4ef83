//! Metrics. All labels are bounded, and all series are there from the start.

use std::time::Duration;

use metrics::{Counter, counter, gauge, histogram};
use shared::metric::{Label, Metric, REQUEST_SECONDS};

use crate::error::FetchError;
use crate::object::Endpoint;

/// Attempts that were answered or failed, by kind and outcome.
pub const REQUESTS: &str = "tollgate_stripe_requests_total";
/// Seconds from asking to the last byte, or to the failure.
pub const REQUEST_DURATION: &str = "tollgate_stripe_request_duration_seconds";
/// Times the budget said to wait, by reason.
pub const BUDGET_WAITS: &str = "tollgate_stripe_budget_waits_total";

/// Attempts that were not the first of their request.
const RETRIES: &str = "tollgate_stripe_retries_total";
/// See [`crate::Budget`].
const BUDGET_LEFT: &str = "tollgate_stripe_budget_left_ratio";

/// Everything that is shown.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        REQUESTS,
        "Attempts to ask Stripe, by kind of object or of change.",
        &[
            Label::of("kind", || Endpoint::all().map(Endpoint::as_str).collect()),
            Label::of("outcome", || OUTCOMES.to_vec()),
        ],
    ),
    Metric::histogram(
        REQUEST_DURATION,
        "From asking Stripe to the last byte, or to the failure.",
        REQUEST_SECONDS,
        &[],
    ),
    Metric::counter(
        RETRIES,
        "Attempts to ask Stripe that were not the first of their request.",
        &[],
    ),
    Metric::counter(
        BUDGET_WAITS,
        "Times the budget for Stripe's API said to wait.",
        &[Label::of("reason", || {
            WaitReason::ALL.map(WaitReason::as_str).to_vec()
        })],
    ),
    Metric::gauge(
        BUDGET_LEFT,
        "Part of the burst that the fleet's budget had left when this process asked Stripe last; 1 is all.",
        &[],
    )
    .starting_at(1.0),
];

const OUTCOMES: [&str; 6] = ["ok", "gone", "rate_limited", "transient", "refused", "permanent"];

/// Why the budget said to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitReason {
    /// The account's rate is used up.
    Account,
    /// The endpoint's rate is used up.
    Endpoint,
    /// Stripe asked for a pause.
    Paused,
    /// Redis does not answer.
    Unavailable,
}

impl WaitReason {
    const ALL: [Self; 4] = [Self::Account, Self::Endpoint, Self::Paused, Self::Unavailable];

    fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Endpoint => "endpoint",
            Self::Paused => "paused",
            Self::Unavailable => "unavailable",
        }
    }
}

/// One attempt is over.
pub(crate) fn attempt<T>(kind: Endpoint, result: &Result<T, FetchError>, took: Duration) {
    let outcome = result.as_ref().map_or_else(outcome_of, |_| "ok");
    requests(kind, outcome).increment(1);
    histogram!(REQUEST_DURATION).record(took);
}

/// A request is sent once more.
pub(crate) fn retries() {
    counter!(RETRIES).increment(1);
}

/// So much of a burst is left.
pub(crate) fn budget_left(ratio: f64) {
    gauge!(BUDGET_LEFT).set(ratio);
}

/// The budget said to wait.
pub(crate) fn waits(reason: WaitReason) {
    counter!(BUDGET_WAITS, "reason" => reason.as_str()).increment(1);
}

fn requests(kind: Endpoint, outcome: &'static str) -> Counter {
    counter!(REQUESTS, "kind" => kind.as_str(), "outcome" => outcome)
}

pub(crate) fn outcome_of(error: &FetchError) -> &'static str {
    match error {
        FetchError::Gone(_) => "gone",
        FetchError::RateLimited { .. } => "rate_limited",
        FetchError::Transient { .. } => "transient",
        FetchError::Refused(_) => "refused",
        FetchError::Permanent(_) => "permanent",
    }
}
