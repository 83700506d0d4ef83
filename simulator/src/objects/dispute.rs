//! The dispute: a chargeback, or the bank's inquiry before one.

use serde_json::{Value, json};

use super::charge::Charge;
use crate::{
    ApiVersion,
    json::{merge, nulls},
};

/// What Stripe charges the shop for a dispute, minor units of USD.
const FEE: i64 = 1500;
/// Days until withdrawn money is settled.
const SETTLE_SECONDS: i64 = 2 * 86_400;
/// Time to hand in evidence.
const DUE_SECONDS: i64 = 10 * 86_400;

const EVIDENCE: &[&str] = &[
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

/// A movement of the disputed money: id (`txn_...`), unix seconds, minor units (negative: withdrawn).
pub type Movement = (String, i64, i64);

/// A dispute about a charge.
#[derive(Debug, Clone)]
pub struct Dispute {
    /// `du_...`.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// Stripe's status text; `warning_*` for inquiries, which move no money.
    pub status: &'static str,
    /// The disputed charge.
    pub charge: Charge,
    /// Disputed minor units; at most the charge's.
    pub amount: i64,
    /// Whether evidence was handed in.
    pub evidence: bool,
    /// The money's way.
    pub movements: Vec<Movement>,
}

impl Dispute {
    /// The dispute as `version` renders it.
    #[must_use]
    pub fn json(&self, version: ApiVersion) -> Value {
        let movements: Vec<_> = self
            .movements
            .iter()
            .map(|movement| self.movement(movement, version))
            .collect();
        let newer = if version.is_current() {
            json!({"enhanced_eligibility_types": [], "intended_submission_method": null})
        } else {
            Value::Null
        };
        merge([
            json!({
                "id": self.id, "object": "dispute", "amount": self.amount,
                "balance_transactions": movements, "charge": self.charge.id, "created": self.created,
                "currency": self.charge.currency, "evidence": self.evidence_json(version),
                "evidence_details": self.evidence_details(version), "is_charge_refundable": self.is_inquiry(),
                "livemode": false, "metadata": {}, "payment_intent": self.charge.intent,
                "payment_method_details": self.method(version), "reason": "fraudulent", "status": self.status
            }),
            newer,
        ])
    }

    fn is_inquiry(&self) -> bool {
        self.status.starts_with("warning_")
    }

    fn evidence_json(&self, version: ApiVersion) -> Value {
        let given = if self.evidence {
            json!({"customer_email_address": self.charge.payer.1, "product_description": "Prepaid API credits"})
        } else {
            Value::Null
        };
        let newer = if version.is_current() {
            json!({"appeal": null, "enhanced_evidence": {}})
        } else {
            Value::Null
        };
        merge([nulls(EVIDENCE), given, newer])
    }

    fn evidence_details(&self, version: ApiVersion) -> Value {
        let newer = if version.is_current() {
            let method = if self.evidence { "manual" } else { "not_submitted" };
            json!({"enhanced_eligibility": {}, "submission_method": method})
        } else {
            Value::Null
        };
        merge([
            json!({
                "due_by": self.created + DUE_SECONDS, "has_evidence": self.evidence, "past_due": false,
                "submission_count": i32::from(self.evidence)
            }),
            newer,
        ])
    }

    fn method(&self, version: ApiVersion) -> Value {
        let case_type = if self.is_inquiry() {
            "inquiry"
        } else {
            "chargeback"
        };
        let newer = if version.is_current() {
            json!({"network": "visa"})
        } else {
            Value::Null
        };
        let card = json!({"brand": "visa", "case_type": case_type, "network_reason_code": "10.4"});
        json!({"card": merge([card, newer]), "type": "card"})
    }

    fn movement(&self, (id, at, amount): &Movement, version: ApiVersion) -> Value {
        let withdrawn = *amount < 0;
        let fee = if withdrawn { FEE } else { 0 };
        let fee_details = if withdrawn {
            json!([{
                "amount": FEE, "application": null, "currency": self.charge.currency,
                "description": "Dispute fee", "type": "stripe_fee"
            }])
        } else {
            json!([])
        };
        let word = if withdrawn { "withdrawal" } else { "reversal" };
        let newer = if version.is_current() {
            json!({"balance_type": "payments"})
        } else {
            Value::Null
        };
        merge([
            json!({
                "id": id, "object": "balance_transaction", "amount": amount, "available_on": at + SETTLE_SECONDS,
                "created": at, "currency": self.charge.currency,
                "description": format!("Chargeback {word} for {}", self.charge.id), "exchange_rate": null,
                "fee": fee, "fee_details": fee_details, "net": amount - fee,
                "reporting_category": if withdrawn { "dispute" } else { "dispute_reversal" },
                "source": self.id, "status": "pending", "type": "adjustment"
            }),
            newer,
        ])
    }
}
