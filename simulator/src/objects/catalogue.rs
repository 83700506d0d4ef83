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
    /// Credits a unit grants; written to `metadata.credits`.
    pub credits: i64,
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
            credits,
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
                "default_price": self.default_price, "description": format!("{} plan", self.name),
                "images": [], "livemode": false, "marketing_features": [],
                "metadata": {"credits": self.credits.to_string()}, "name": self.name,
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
    pub lookup_key: String,
    /// Lower-case ISO code.
    pub currency: &'static str,
    /// Minor units of `currency`.
    pub unit_amount: i64,
    /// Credits a unit grants; written to `metadata.credits`.
    pub credits: i64,
    /// Recurring every month, or once.
    pub monthly: bool,
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
                "lookup_key": self.lookup_key, "metadata": {"credits": self.credits.to_string()},
                "nickname": self.nickname(), "product": self.product,
                "recurring": if self.monthly { recurring(version) } else { Value::Null },
                "tax_behavior": "unspecified", "type": if self.monthly { "recurring" } else { "one_time" },
                "unit_amount": self.unit_amount, "unit_amount_decimal": decimal(self.unit_amount)
            }),
        ])
    }

    /// The plan Stripe still sends beside every recurring price.
    #[must_use]
    pub fn plan_json(&self, version: ApiVersion) -> Value {
        merge([
            nulls(&["meter", "tiers_mode", "transform_usage", "trial_period_days"]),
            aggregate_usage(version),
            json!({
                "id": self.id, "object": "plan", "active": self.active, "amount": self.unit_amount,
                "amount_decimal": decimal(self.unit_amount), "billing_scheme": "per_unit",
                "created": self.created, "currency": self.currency, "interval": "month",
                "interval_count": 1, "livemode": false,
                "metadata": {"credits": self.credits.to_string()}, "nickname": self.nickname(),
                "product": self.product, "usage_type": "licensed"
            }),
        ])
    }

    fn nickname(&self) -> String {
        if self.monthly {
            format!("{} monthly", self.name)
        } else {
            self.name.clone()
        }
    }
}

fn recurring(version: ApiVersion) -> Value {
    merge([
        nulls(&["meter", "trial_period_days"]),
        aggregate_usage(version),
        json!({"interval": "month", "interval_count": 1, "usage_type": "licensed"}),
    ])
}

/// Gone with the metered plans of old in 2025-03-31.basil.
fn aggregate_usage(version: ApiVersion) -> Value {
    if version.is_current() {
        Value::Null
    } else {
        nulls(&["aggregate_usage"])
    }
}
