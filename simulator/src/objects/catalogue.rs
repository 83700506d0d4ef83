//! Products, prices and their legacy twin, the plan.

use serde_json::{Value, json};

use super::decimal;
use crate::{
    ApiVersion,
    json::{merge, nulls},
};

/// A product.
#[derive(Debug, Clone)]
pub struct Product {
    /// `prod_...`.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds of the last change.
    pub updated: i64,
    /// Name shown to customers.
    pub name: String,
    /// What customers read.
    pub description: Option<String>,
    /// The shop's words about it; `credits` is what a unit grants.
    pub metadata: Value,
    /// Whether it can be bought.
    pub active: bool,
    /// The default price, once set.
    pub default_price: Option<String>,
}

impl Product {
    /// A product nobody has touched since its creation.
    #[must_use]
    pub fn new(id: String, created: i64, name: &str, credits: i64) -> Self {
        Self {
            id,
            created,
            updated: created,
            name: name.to_owned(),
            description: Some(format!("{name} plan")),
            metadata: json!({"credits": credits.to_string()}),
            active: true,
            default_price: None,
        }
    }

    /// The product as `version` renders it.
    #[must_use]
    pub fn json(&self, version: ApiVersion) -> Value {
        let newer = if version.is_current() {
            nulls(&["tax_details"])
        } else {
            Value::Null
        };
        merge([
            nulls(&[
                "package_dimensions",
                "shippable",
                "statement_descriptor",
                "tax_code",
                "unit_label",
                "url",
            ]),
            json!({
                "id": self.id, "object": "product", "active": self.active, "created": self.created,
                "default_price": self.default_price, "description": self.description,
                "images": [], "livemode": false, "marketing_features": [],
                "metadata": self.metadata, "name": self.name,
                "type": "service", "updated": self.updated
            }),
            newer,
        ])
    }
}

/// A price.
#[derive(Debug, Clone)]
pub struct Price {
    /// `price_...`; the plan of a recurring price has the same id.
    pub id: String,
    /// `prod_...`.
    pub product: String,
    /// Unix seconds.
    pub created: i64,
    /// Name of the product.
    pub name: String,
    /// Our name for the price.
    pub lookup_key: Option<String>,
    /// What the Dashboard calls it.
    pub nickname: Option<String>,
    /// Lower-case ISO code.
    pub currency: String,
    /// Minor units of `currency`.
    pub unit_amount: i64,
    /// The shop's words about it; `credits` is what a unit grants.
    pub metadata: Value,
    /// How often it is billed; once if none.
    pub recurring: Option<Recurring>,
    /// Whether it can be bought.
    pub active: bool,
}

impl Price {
    /// The price as `version` renders it.
    #[must_use]
    pub fn json(&self, version: ApiVersion) -> Value {
        merge([
            nulls(&["custom_unit_amount", "tiers_mode", "transform_quantity"]),
            json!({
                "id": self.id, "object": "price", "active": self.active, "billing_scheme": "per_unit",
                "created": self.created, "currency": self.currency, "livemode": false,
                "lookup_key": self.lookup_key, "metadata": self.metadata,
                "nickname": self.nickname, "product": self.product,
                "recurring": self.recurring.map(|recurring| recurring.json(version)),
                "tax_behavior": "unspecified",
                "type": if self.recurring.is_some() { "recurring" } else { "one_time" },
                "unit_amount": self.unit_amount, "unit_amount_decimal": decimal(self.unit_amount)
            }),
        ])
    }

    /// The plan Stripe still sends beside every recurring price.
    #[must_use]
    pub fn plan_json(&self, version: ApiVersion) -> Value {
        let every = self.recurring.unwrap_or(Recurring::MONTHLY);
        merge([
            nulls(&["meter", "tiers_mode", "transform_usage", "trial_period_days"]),
            aggregate_usage(version),
            json!({
                "id": self.id, "object": "plan", "active": self.active, "amount": self.unit_amount,
                "amount_decimal": decimal(self.unit_amount), "billing_scheme": "per_unit",
                "created": self.created, "currency": self.currency, "interval": every.unit.as_str(),
                "interval_count": every.count, "livemode": false,
                "metadata": self.metadata, "nickname": self.nickname,
                "product": self.product, "usage_type": "licensed"
            }),
        ])
    }

    /// Credits a unit grants.
    #[must_use]
    pub fn credits(&self) -> i64 {
        let text = self.metadata["credits"].as_str();
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Length of a billing period, seconds; 0 for what is paid once.
    #[must_use]
    pub fn period(&self) -> i64 {
        self.recurring.map_or(0, Recurring::seconds)
    }
}

/// How often a price is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recurring {
    /// What is counted.
    pub unit: Unit,
    /// How many of it are one period.
    pub count: i64,
}

/// Stripe's units of billing periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A day.
    Day,
    /// Seven days.
    Week,
    /// Thirty days, in the simulation.
    Month,
    /// 365 days, in the simulation.
    Year,
}

impl Unit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Year];

    /// The value of `interval`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    const fn days(self) -> i64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
            Self::Year => 365,
        }
    }
}

impl Recurring {
    /// The usual plan.
    pub const MONTHLY: Self = Self {
        unit: Unit::Month,
        count: 1,
    };

    /// Length of a period.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.unit.days() * self.count * 86_400
    }

    fn json(self, version: ApiVersion) -> Value {
        merge([
            nulls(&["meter", "trial_period_days"]),
            aggregate_usage(version),
            json!({"interval": self.unit.as_str(), "interval_count": self.count, "usage_type": "licensed"}),
        ])
    }
}

/// Gone with the metered plans of old in 2025-03-31.basil.
fn aggregate_usage(version: ApiVersion) -> Value {
    if version.is_current() {
        Value::Null
    } else {
        nulls(&["aggregate_usage"])
    }
}
