//! Metrics. All labels are bounded, and all series are there from the start.

use std::time::Duration;

use metrics::{Counter, Unit, counter, describe_counter, describe_histogram, histogram};

use crate::error::FetchError;
use crate::object::Endpoint;

/// Attempts that were answered or failed, by kind and outcome.
pub const REQUESTS: &str = "tollgate_stripe_requests_total";
/// Seconds from asking to the last byte, or to the failure.
pub const REQUEST_DURATION: &str = "tollgate_stripe_request_duration_seconds";
/// Times the budget said to wait, by reason.
pub const BUDGET_WAITS: &str = "tollgate_stripe_budget_waits_total";

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

/// Describes the metrics and shows every series at zero. Call it once a recorder is installed.
pub fn init() {
    describe_counter!(REQUESTS, Unit::Count, "Requests to Stripe by kind and outcome.");
    describe_histogram!(
        REQUEST_DURATION,
        Unit::Seconds,
        "From asking Stripe to the last byte."
    );
    describe_counter!(
        BUDGET_WAITS,
        Unit::Count,
        "Times the budget for Stripe's API said to wait."
    );
    for kind in Endpoint::all() {
        for outcome in OUTCOMES {
            requests(kind, outcome).absolute(0);
        }
    }
    for reason in WaitReason::ALL {
        counter!(BUDGET_WAITS, "reason" => reason.as_str()).absolute(0);
    }
    // A handle alone makes the series known.
    drop(histogram!(REQUEST_DURATION));
}

/// One attempt is over.
pub(crate) fn attempt<T>(kind: Endpoint, result: &Result<T, FetchError>, took: Duration) {
    let outcome = result.as_ref().map_or_else(outcome_of, |_| "ok");
    requests(kind, outcome).increment(1);
    histogram!(REQUEST_DURATION).record(took);
}

/// The budget said to wait.
pub(crate) fn waits(reason: WaitReason) {
    counter!(BUDGET_WAITS, "reason" => reason.as_str()).increment(1);
}

fn requests(kind: Endpoint, outcome: &'static str) -> Counter {
    counter!(REQUESTS, "kind" => kind.as_str(), "outcome" => outcome)
}

fn outcome_of(error: &FetchError) -> &'static str {
    match error {
        FetchError::Gone(_) => "gone",
        FetchError::RateLimited { .. } => "rate_limited",
        FetchError::Transient { .. } => "transient",
        FetchError::Refused(_) => "refused",
        FetchError::Permanent(_) => "permanent",
    }
}
