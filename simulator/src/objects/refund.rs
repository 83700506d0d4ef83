//! The refund.

use serde_json::{Value, json};

use super::charge::Charge;
use crate::{
    ApiVersion,
    json::{merge, nulls},
};

/// Money given back on a charge.
#[derive(Debug, Clone)]
pub struct Refund {
    /// `re_...`, or `pyr_...` for bank debits.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// Minor units.
    pub amount: i64,
    /// Stripe's status text: `pending`, `succeeded`, `failed`, ...
    pub status: &'static str,
    /// Why, in Stripe's words.
    pub reason: Option<String>,
    /// The shop's words about it.
    pub metadata: Value,
    /// The charge it belongs to, for its ids.
    pub charge: Charge,
    /// `txn_...`.
    pub balance_transaction: String,
    /// `txn_...` that took a failed refund back.
    pub failure_balance_transaction: Option<String>,
}

impl Refund {
    /// The refund as `version` renders it.
    #[must_use]
    pub fn json(&self, version: ApiVersion) -> Value {
        let newer = if version.is_current() {
            json!({
                "customer": self.charge.customer, "customer_account": null,
                "payment_method": self.charge.payment_method
            })
        } else {
            Value::Null
        };
        merge([
            nulls(&["receipt_number", "source_transfer_reversal", "transfer_reversal"]),
            json!({
                "id": self.id, "object": "refund", "amount": self.amount,
                "balance_transaction": self.balance_transaction, "charge": self.charge.id,
                "created": self.created, "currency": self.charge.currency, "metadata": self.metadata,
                "payment_intent": self.charge.intent, "reason": self.reason, "status": self.status
            }),
            self.outcome(),
            newer,
        ])
    }

    /// The bank's reference of the money's way back, or why it did not arrive.
    fn outcome(&self) -> Value {
        let card = |reference: Value| {
            let fixed = json!({"reference_type": "acquirer_reference_number", "type": "refund"});
            json!({"destination_details": {"card": merge([fixed, reference]), "type": "card"}})
        };
        match self.status {
            "failed" => json!({
                "failure_balance_transaction": self.failure_balance_transaction, "failure_reason": "declined"
            }),
            "succeeded" => {
                let reference = format!("7262150000{:07}", self.amount);
                card(json!({"reference": reference, "reference_status": "available"}))
            }
            _ => card(json!({"reference_status": "pending"})),
        }
    }
}
