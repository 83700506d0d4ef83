//! A Checkout session: how a customer came to pay.

/// A Checkout session: <https://docs.stripe.com/api/checkout/sessions/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckoutSession {
    /// When it was made, unix seconds.
    pub created: Option<i64>,
    /// `payment`, `subscription` or `setup`.
    pub mode: Option<String>,
    /// Stripe's status, as sent.
    pub status: Option<String>,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub payment_status: Option<String>,
    /// Who; absent for guests.
    pub customer_id: Option<String>,
    /// The application's own id for this person.
    pub client_reference_id: Option<String>,
    /// `metadata.user_id`, else `client_reference_id`.
    pub user_id: Option<String>,
    /// What pays, in mode `payment`.
    pub payment_intent_id: Option<String>,
    /// What it started, in mode `subscription`.
    pub subscription_id: Option<String>,
    /// Its invoice.
    pub invoice_id: Option<String>,
    /// Three-letter code.
    pub currency: Option<String>,
    /// Minor units.
    pub amount_subtotal: Option<i64>,
    /// Minor units.
    pub amount_total: Option<i64>,
    /// Unix seconds.
    pub expires_at: Option<i64>,
    /// Metadata, a JSON object.
    pub metadata: String,
}
