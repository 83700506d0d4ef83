//! Money: what was asked for, what came, what went back.

/// A payment, through all its attempts: <https://docs.stripe.com/api/payment_intents/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentIntent {
    /// When it was made, unix seconds.
    pub created: Option<i64>,
    /// Who pays.
    pub customer_id: Option<String>,
    /// What it pays; in the event only before 2025-03-31.basil.
    pub invoice_id: Option<String>,
    /// Stripe's status, as sent.
    pub status: Option<String>,
    /// Three-letter code.
    pub currency: Option<String>,
    /// Minor units.
    pub amount: Option<i64>,
    /// Minor units.
    pub amount_received: Option<i64>,
    /// Its newest attempt.
    pub latest_charge_id: Option<String>,
    /// How.
    pub payment_method_id: Option<String>,
    /// `last_payment_error.code`.
    pub error_code: Option<String>,
    /// `last_payment_error.decline_code`.
    pub error_decline_code: Option<String>,
    /// `last_payment_error.message`.
    pub error_message: Option<String>,
    /// Why it was canceled.
    pub cancellation_reason: Option<String>,
    /// Unix seconds.
    pub canceled_at: Option<i64>,
    /// Metadata, a JSON object.
    pub metadata: String,
}

/// One attempt to take money: <https://docs.stripe.com/api/charges/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// When it was made, unix seconds.
    pub created: Option<i64>,
    /// Who pays.
    pub customer_id: Option<String>,
    /// What it attempts.
    pub payment_intent_id: Option<String>,
    /// What it pays; in the event only before 2025-03-31.basil.
    pub invoice_id: Option<String>,
    /// Stripe's status, as sent.
    pub status: Option<String>,
    /// Three-letter code.
    pub currency: Option<String>,
    /// Minor units.
    pub amount: Option<i64>,
    /// Minor units.
    pub amount_captured: Option<i64>,
    /// Minor units, all refunds together; goes down when one fails.
    pub amount_refunded: Option<i64>,
    /// Whether all of it went back.
    pub refunded: bool,
    /// Whether it was disputed.
    pub disputed: bool,
    /// Whether it succeeded.
    pub paid: bool,
    /// Why not.
    pub failure_code: Option<String>,
    /// Why not, for people.
    pub failure_message: Option<String>,
    /// Its effect on the balance; often absent at first.
    pub balance_transaction_id: Option<String>,
    /// The customer's receipt.
    pub receipt_url: Option<String>,
    /// Metadata, a JSON object.
    pub metadata: String,
}

/// Money going back: <https://docs.stripe.com/api/refunds/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct Refund {
    /// When it was made, unix seconds.
    pub created: Option<i64>,
    /// What goes back.
    pub charge_id: Option<String>,
    /// What goes back.
    pub payment_intent_id: Option<String>,
    /// Stripe's status, as sent.
    pub status: Option<String>,
    /// Three-letter code.
    pub currency: Option<String>,
    /// Minor units.
    pub amount: Option<i64>,
    /// Why.
    pub reason: Option<String>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// Metadata, a JSON object.
    pub metadata: String,
}

/// A chargeback, or an inquiry before one: <https://docs.stripe.com/api/disputes/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispute {
    /// When it was made, unix seconds.
    pub created: Option<i64>,
    /// What is disputed.
    pub charge_id: Option<String>,
    /// What is disputed.
    pub payment_intent_id: Option<String>,
    /// Stripe's status, as sent; `warning_*` moves no money.
    pub status: Option<String>,
    /// Three-letter code.
    pub currency: Option<String>,
    /// Minor units.
    pub amount: Option<i64>,
    /// Why.
    pub reason: Option<String>,
    /// Unix seconds.
    pub evidence_due_by: Option<i64>,
    /// How many movements of the balance it has caused so far.
    pub balance_transactions: i64,
    /// Metadata, a JSON object.
    pub metadata: String,
}
