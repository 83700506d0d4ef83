//! What is sold, and what a customer may use.

/// A product: <https://docs.stripe.com/api/products/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// When it was made, unix seconds.
    pub created: Option<i64>,
    /// What the customer reads.
    pub name: Option<String>,
    /// What the customer reads.
    pub description: Option<String>,
    /// Whether it can be bought.
    pub active: bool,
    /// Its default price.
    pub default_price_id: Option<String>,
    /// Metadata, a JSON object.
    pub metadata: String,
}

/// A price: <https://docs.stripe.com/api/prices/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// When it was made, unix seconds.
    pub created: Option<i64>,
    /// What it is the price of.
    pub product_id: Option<String>,
    /// Whether it can be used.
    pub active: bool,
    /// `one_time` or `recurring`.
    pub price_type: Option<String>,
    /// Three-letter code.
    pub currency: Option<String>,
    /// Minor units; absent for fractions of them.
    pub unit_amount: Option<i64>,
    /// Minor units as a decimal text.
    pub unit_amount_decimal: Option<String>,
    /// `day`, `week`, `month` or `year`.
    pub recurring_interval: Option<String>,
    /// How many of them.
    pub recurring_interval_count: Option<i64>,
    /// A name that moves from price to price.
    pub lookup_key: Option<String>,
    /// For people.
    pub nickname: Option<String>,
    /// Metadata, a JSON object; `credits` is what it grants.
    pub metadata: String,
    /// What it costs and grants, when that can be read.
    pub terms: Option<PriceTerms>,
}

/// What a price costs and grants, as an event says it, wherever in it the price stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceTerms {
    /// Which price.
    pub price_id: String,
    /// Credits per unit, `metadata.credits`; 0 when it does not say.
    pub credits: i64,
    /// Credits a subscriber gets each month beside them, `metadata.free_monthly_credits`.
    pub free_monthly: i64,
    /// How long granted credits last, days, `metadata.credits_expire_days`; for ever when absent.
    pub expire_days: Option<i32>,
    /// Minor units; absent for fractions of them.
    pub unit_amount: Option<i64>,
    /// Three-letter code.
    pub currency: Option<String>,
}

/// All features a customer may use: <https://docs.stripe.com/api/entitlements/active-entitlement>. Always the whole set.
#[derive(Debug, Clone, PartialEq)]
pub struct EntitlementSummary {
    /// Whether there are more than the event carries.
    pub has_more: bool,
    /// The features.
    pub entitlements: Vec<Entitlement>,
}

/// One feature a customer may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Entitlement {
    /// `ent_...`
    pub id: String,
    /// The feature's name in code.
    pub lookup_key: Option<String>,
    /// `feat_...`
    pub feature_id: Option<String>,
}
