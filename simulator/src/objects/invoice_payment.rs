//! The link between an invoice and the payment intent that paid it; since 2025-05-28.basil.

use serde_json::{Value, json};

/// Which intent paid which invoice. No other current event says so.
#[derive(Debug, Clone)]
pub struct InvoicePayment {
    /// `inpay_...`.
    pub id: String,
    /// `in_...`.
    pub invoice: String,
    /// `pi_...`.
    pub intent: String,
    /// Minor units.
    pub amount: i64,
    /// Lower-case ISO code.
    pub currency: String,
    /// When the invoice was finalized, unix seconds.
    pub created: i64,
    /// Unix seconds.
    pub paid_at: i64,
}

impl InvoicePayment {
    /// The object; it exists in the current version only.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "invoice_payment", "amount_paid": self.amount,
            "amount_requested": self.amount, "created": self.created, "currency": self.currency,
            "invoice": self.invoice, "is_default": true, "livemode": false,
            "payment": {"payment_intent": self.intent, "type": "payment_intent"}, "status": "paid",
            "status_transitions": {"canceled_at": null, "paid_at": self.paid_at}
        })
    }
}
