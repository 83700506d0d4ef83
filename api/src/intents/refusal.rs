//! Stripe's no: how it is kept, and how it is told. Pure.

use std::time::Duration;

use serde_json::{Value, json};
use stripe_api::WriteError;

use crate::problem::{Kind, Problem};

/// When to come again, where Stripe does not say.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// As it is kept: Stripe's words, without its messages, which repeat what people entered.
pub(super) fn kept(error: &WriteError) -> Value {
    let detail = error.detail();
    json!({
        "declined": matches!(error, WriteError::Declined(_)),
        "code": detail.code,
        "decline_code": detail.decline_code,
    })
}

/// As it is told.
pub(super) fn problem(kept: &Value) -> Problem {
    let problem = if kept["declined"] == true {
        Kind::DECLINED.because("the bank said no; another means of payment may do")
    } else {
        Kind::STRIPE_REFUSED.because("Stripe does not do this, as things are; nothing was done")
    };
    let word = |problem: Problem, name: &str, member: &str| match kept[member].as_str() {
        Some(word) => problem.with(name, word),
        None => problem,
    };
    let problem = word(problem, "stripe_code", "code");
    word(problem, "decline_code", "decline_code")
}

/// Nobody knows yet.
pub(super) fn later(wait: Option<Duration>) -> Problem {
    Kind::STRIPE_UNAVAILABLE
        .because("Stripe did not answer; it goes on by itself, and the same key brings what came of it")
        .retry_after(wait.unwrap_or(COME_AGAIN))
}
