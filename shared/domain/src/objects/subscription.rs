//! A subscription and its items.

/// A subscription: <https://docs.stripe.com/api/subscriptions/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// When it was made, unix seconds.
    pub created: Option<i64>,
    /// Whose it is.
    pub customer_id: Option<String>,
    /// `metadata.user_id`.
    pub user_id: Option<String>,
    /// Stripe's status, as sent.
    pub status: Option<String>,
    /// Three-letter code.
    pub currency: Option<String>,
    /// `charge_automatically` or `send_invoice`.
    pub collection_method: Option<String>,
    /// Start of the running period, unix seconds; the earliest of the items' since 2025-03-31.basil.
    pub current_period_start: Option<i64>,
    /// End of the running period, unix seconds; the latest of the items' since 2025-03-31.basil.
    pub current_period_end: Option<i64>,
    /// Whether it ends with the period.
    pub cancel_at_period_end: bool,
    /// When it is set to end, unix seconds.
    pub cancel_at: Option<i64>,
    /// When the cancellation was asked for, unix seconds.
    pub canceled_at: Option<i64>,
    /// When it really ended, unix seconds.
    pub ended_at: Option<i64>,
    /// `cancellation_details.reason`.
    pub cancellation_reason: Option<String>,
    /// Unix seconds.
    pub trial_start: Option<i64>,
    /// Unix seconds.
    pub trial_end: Option<i64>,
    /// Unix seconds.
    pub start_date: Option<i64>,
    /// Its newest invoice.
    pub latest_invoice_id: Option<String>,
    /// Metadata, a JSON object.
    pub metadata: String,
    /// Whether `items` holds all of them; Stripe sends the first page only.
    pub items_complete: bool,
    /// What it is for.
    pub items: Vec<SubscriptionItem>,
}

/// One thing a subscription is for: <https://docs.stripe.com/api/subscription_items/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriptionItem {
    /// `si_...`
    pub id: String,
    /// What it costs.
    pub price_id: Option<String>,
    /// What it is.
    pub product_id: Option<String>,
    /// What the price costs and grants, when the event carries it whole.
    pub terms: Option<super::PriceTerms>,
    /// How many.
    pub quantity: Option<i64>,
    /// Unix seconds, since 2025-03-31.basil.
    pub current_period_start: Option<i64>,
    /// Unix seconds, since 2025-03-31.basil.
    pub current_period_end: Option<i64>,
}
