//! Invoices, their lines, and what paid them.

/// An invoice: <https://docs.stripe.com/api/invoices/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct Invoice {
    /// When it was made, unix seconds.
    pub created: Option<i64>,
    /// Whose it is.
    pub customer_id: Option<String>,
    /// The subscription it bills, if any.
    pub subscription_id: Option<String>,
    /// `user_id` of the subscription's metadata as the invoice carries it, else of its own.
    pub user_id: Option<String>,
    /// Stripe's status, as sent.
    pub status: Option<String>,
    /// Why it exists, such as `subscription_cycle`.
    pub billing_reason: Option<String>,
    /// The number the customer sees.
    pub number: Option<String>,
    /// Three-letter code.
    pub currency: Option<String>,
    /// Minor units.
    pub subtotal: Option<i64>,
    /// Minor units.
    pub total: Option<i64>,
    /// Minor units.
    pub amount_due: Option<i64>,
    /// Minor units; includes money that did not pass Stripe since 2025-03-31.basil.
    pub amount_paid: Option<i64>,
    /// Minor units.
    pub amount_remaining: Option<i64>,
    /// Payment attempts so far.
    pub attempt_count: Option<i64>,
    /// Unix seconds; absent after the last try.
    pub next_payment_attempt: Option<i64>,
    /// What pays it; in the event only before 2025-03-31.basil, afterwards see [`InvoicePayment`].
    pub payment_intent_id: Option<String>,
    /// As `payment_intent_id`.
    pub charge_id: Option<String>,
    /// Where the customer can pay it.
    pub hosted_invoice_url: Option<String>,
    /// Unix seconds; on renewals this is the period before, the lines carry their own.
    pub period_start: Option<i64>,
    /// Unix seconds.
    pub period_end: Option<i64>,
    /// Unix seconds.
    pub due_date: Option<i64>,
    /// Its own metadata, a JSON object.
    pub metadata: String,
    /// Whether `lines` holds all of them; an event carries ten at most.
    pub lines_complete: bool,
    /// What is billed.
    pub lines: Vec<InvoiceLine>,
}

/// One line of an invoice: <https://docs.stripe.com/api/invoice-line-item/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct InvoiceLine {
    /// `il_...`
    pub id: String,
    /// Minor units; negative for credits.
    pub amount: Option<i64>,
    /// Three-letter code.
    pub currency: Option<String>,
    /// What the customer reads.
    pub description: Option<String>,
    /// How many.
    pub quantity: Option<i64>,
    /// What it costs.
    pub price_id: Option<String>,
    /// What the price costs and grants, when the event carries it whole.
    pub terms: Option<super::PriceTerms>,
    /// What it is.
    pub product_id: Option<String>,
    /// Whether it settles a change within a period.
    pub proration: bool,
    /// The subscription it bills.
    pub subscription_id: Option<String>,
    /// The item it bills.
    pub subscription_item_id: Option<String>,
    /// Service period, unix seconds.
    pub period_start: Option<i64>,
    /// Service period, unix seconds.
    pub period_end: Option<i64>,
}

/// The link between an invoice and the money, the only one since 2025-03-31.basil: <https://docs.stripe.com/api/invoice-payment/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct InvoicePayment {
    /// When it was made, unix seconds.
    pub created: Option<i64>,
    /// What was paid.
    pub invoice_id: Option<String>,
    /// Stripe's status, as sent.
    pub status: Option<String>,
    /// `payment_intent`, `charge` or `payment_record`.
    pub payment_type: Option<String>,
    /// What paid.
    pub payment_intent_id: Option<String>,
    /// What paid.
    pub charge_id: Option<String>,
    /// Three-letter code.
    pub currency: Option<String>,
    /// Minor units.
    pub amount_paid: Option<i64>,
    /// Minor units.
    pub amount_requested: Option<i64>,
    /// Whether it is the invoice's default payment.
    pub is_default: bool,
    /// Unix seconds.
    pub paid_at: Option<i64>,
}
