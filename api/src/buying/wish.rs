//! What a client asks for: something by its name in the catalogue, or an amount. Never a price.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::extract::whole;
use crate::problem::{Kind, Problem};

/// A top-up of any amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopUpWish {
    /// Minor units of the installation's currency.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, example = 1000)]
    pub amount: i64,
}

/// One thing to buy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    Plan(String),
    Package(String),
    TopUp(i64),
}

impl Wish {
    /// As it is written down.
    pub(super) fn words(&self) -> Value {
        match self {
            Self::Plan(name) => json!({"plan": name}),
            Self::Package(name) => json!({"package": name}),
            Self::TopUp(amount) => json!({"amount": amount}),
        }
    }
}

/// Exactly one of the three.
pub(crate) fn wish(
    plan: Option<String>,
    package: Option<String>,
    topup: Option<TopUpWish>,
) -> Result<Wish, Problem> {
    match (plan, package, topup) {
        (Some(name), None, None) => Ok(Wish::Plan(name)),
        (None, Some(name), None) => Ok(Wish::Package(name)),
        (None, None, Some(topup)) => Ok(Wish::TopUp(topup.amount)),
        _ => Err(Kind::INVALID.because("say one thing to buy, and no more")),
    }
}
