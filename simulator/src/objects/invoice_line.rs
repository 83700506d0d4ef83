//! One line of an invoice.

use serde_json::{Value, json};

use super::{catalogue::Price, decimal};
use crate::{
    ApiVersion,
    json::{merge, nulls},
};

/// A proration: why, and what it takes back.
#[derive(Debug, Clone)]
pub struct Proration {
    /// `ii_...` of the invoice item behind the line.
    pub invoice_item: String,
    /// Invoice and line this one credits, when it takes money back.
    pub credits: Option<(String, String)>,
}

/// A line for one price over one service period.
#[derive(Debug, Clone)]
pub struct Line {
    /// `il_...`.
    pub id: String,
    /// Minor units; negative when it takes money back.
    pub amount: i64,
    /// What the customer reads.
    pub description: String,
    /// The price it bills.
    pub price: Price,
    /// How many of it.
    pub quantity: i64,
    /// Start and end of the service, unix seconds.
    pub period: (i64, i64),
    /// Set on prorations.
    pub proration: Option<Proration>,
}

/// What the lines of an invoice share.
pub(crate) struct Owner<'a> {
    pub(crate) invoice: Option<&'a str>,
    pub(crate) subscription: &'a str,
    pub(crate) item: &'a str,
    pub(crate) metadata: &'a Value,
}

impl Line {
    pub(crate) fn json(&self, owner: &Owner<'_>, version: ApiVersion) -> Value {
        let common = json!({
            "id": self.id, "object": "line_item", "amount": self.amount, "currency": self.price.currency,
            "description": self.description, "discount_amounts": [], "discountable": self.proration.is_none(),
            "discounts": [], "invoice": owner.invoice, "livemode": false,
            "metadata": owner.metadata, "period": {"end": self.period.1, "start": self.period.0},
            "quantity": self.quantity, "subscription": owner.subscription
        });
        let moved = if version.is_current() {
            self.current(owner)
        } else {
            self.old(owner, version)
        };
        merge([common, moved])
    }

    /// 2024-06-20: the price as an object, the proration flag on the line.
    fn old(&self, owner: &Owner<'_>, version: ApiVersion) -> Value {
        let item = match &self.proration {
            Some(proration) => json!({"invoice_item": proration.invoice_item}),
            None => Value::Null,
        };
        merge([
            json!({
                "amount_excluding_tax": self.amount, "price": self.price.json(version),
                "plan": self.price.plan_json(version), "proration": self.proration.is_some(),
                "proration_details": self.proration_details(), "subscription_item": owner.item,
                "tax_amounts": [], "tax_rates": [],
                "type": if self.proration.is_some() { "invoiceitem" } else { "subscription" },
                "unit_amount_excluding_tax": decimal(self.price.unit_amount)
            }),
            item,
        ])
    }

    /// Since 2025-03-31.basil: `parent` says where the line comes from, `pricing` names the price.
    fn current(&self, owner: &Owner<'_>) -> Value {
        let details = json!({
            "invoice_item": self.proration.as_ref().map(|proration| &proration.invoice_item),
            "proration": self.proration.is_some(), "proration_details": self.proration_details(),
            "subscription": owner.subscription, "subscription_item": owner.item
        });
        json!({
            "parent": {
                "invoice_item_details": null, "subscription_item_details": details,
                "type": "subscription_item_details"
            },
            "pretax_credit_amounts": [],
            "pricing": {
                "price_details": {"price": self.price.id, "product": self.price.product},
                "type": "price_details", "unit_amount_decimal": decimal(self.price.unit_amount)
            },
            "quantity_decimal": decimal(self.quantity), "subtotal": self.amount, "taxes": []
        })
    }

    fn proration_details(&self) -> Value {
        let credited = self
            .proration
            .as_ref()
            .and_then(|proration| proration.credits.as_ref());
        credited.map_or_else(
            || nulls(&["credited_items"]),
            |(invoice, line)| json!({"credited_items": {"invoice": invoice, "invoice_line_items": [line]}}),
        )
    }
}
