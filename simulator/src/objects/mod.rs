//! Stripe's objects: their state, and their JSON in each API version.
//!
//! One file per kind. Each struct holds what changes in a life; `json` renders the whole object with
//! the fields Stripe sends for that version. Field sets follow Stripe's published OpenAPI fixtures.

pub mod catalogue;
pub mod charge;
pub mod checkout;
pub mod customer;
pub mod dispute;
pub mod endpoint;
pub mod entitlement;
pub mod invoice;
pub mod invoice_line;
pub mod invoice_payment;
pub mod payment_intent;
pub mod portal;
pub mod refund;
pub mod subscription;
mod thing;

use serde_json::{Value, json};

pub(crate) use thing::{Kept, Plan, Summary, Thing};

/// How a customer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A card: succeeds or fails at once.
    Card,
    /// ACH debit: processing for days.
    UsBankAccount,
}

impl Method {
    /// The value of `payment_method_types`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::UsBankAccount => "us_bank_account",
        }
    }
}

/// The billing address of everyone in the simulation.
fn address() -> Value {
    json!({"city": null, "country": "US", "line1": null, "line2": null, "postal_code": "94107", "state": null})
}

/// A text of Stripe's `*_decimal` fields: a number as a string.
fn decimal(amount: i64) -> String {
    amount.to_string()
}
