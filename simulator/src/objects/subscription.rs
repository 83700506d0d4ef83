//! The subscription and its single item.

use serde_json::{Value, json};

use super::{catalogue::Price, invoice_line::Line};
use crate::{
    ApiVersion,
    json::{list, merge, nulls},
};

/// A subscription with one item.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// `sub_...`.
    pub id: String,
    /// `si_...`.
    pub item_id: String,
    /// `cus_...`.
    pub customer: String,
    /// The shop's words about it, such as `user_id`.
    pub metadata: Value,
    /// Unix seconds.
    pub created: i64,
    /// Stripe's status text.
    pub status: &'static str,
    /// The price of the item.
    pub price: Price,
    /// How many of it.
    pub quantity: i64,
    /// Prorations that wait for the next invoice, oldest first. Not shown: Stripe keeps them as invoice items.
    pub pending_lines: Vec<Line>,
    /// Start of the running period, unix seconds.
    pub period_start: i64,
    /// End of the running period, unix seconds.
    pub period_end: i64,
    /// The second of the month on which periods begin.
    pub billing_cycle_anchor: i64,
    /// Cancellation is scheduled for the end of the period.
    pub cancel_at_period_end: bool,
    /// Planned end, unix seconds.
    pub cancel_at: Option<i64>,
    /// When the cancellation was asked for, unix seconds.
    pub canceled_at: Option<i64>,
    /// Real end, unix seconds.
    pub ended_at: Option<i64>,
    /// `cancellation_details.reason`.
    pub cancel_reason: Option<&'static str>,
    /// `in_...` of the newest invoice.
    pub latest_invoice: Option<String>,
    /// `pm_...`, once known.
    pub payment_method: Option<String>,
    /// Start and end of the trial, unix seconds.
    pub trial: Option<(i64, i64)>,
    /// What happens at the end of a trial without a card: `create_invoice` or `pause`.
    pub missing_payment_method: &'static str,
    /// When the status became `paused`, unix seconds.
    pub paused_at: Option<i64>,
    /// A price waiting for its payment, and when it lapses (unix seconds).
    pub pending_update: Option<(i64, Price)>,
}

impl Subscription {
    /// The subscription as `version` renders it.
    #[must_use]
    pub fn json(&self, version: ApiVersion) -> Value {
        let url = format!("/v1/subscription_items?subscription={}", self.id);
        let items = list(vec![self.item(&self.price, version)], url);
        merge([
            self.common(),
            self.cancellation(version),
            settings(version),
            if version.is_current() {
                self.current()
            } else {
                self.old(version)
            },
            json!({"items": items, "pending_update": self.pending_update_json(version)}),
        ])
    }

    fn common(&self) -> Value {
        merge([
            nulls(&[
                "application",
                "application_fee_percent",
                "billing_cycle_anchor_config",
                "billing_thresholds",
                "days_until_due",
                "default_source",
                "description",
                "next_pending_invoice_item_invoice",
                "on_behalf_of",
                "pause_collection",
                "pending_invoice_item_interval",
                "pending_setup_intent",
                "schedule",
                "test_clock",
                "transfer_data",
            ]),
            json!({
                "id": self.id, "object": "subscription", "billing_cycle_anchor": self.billing_cycle_anchor,
                "collection_method": "charge_automatically", "created": self.created,
                "currency": self.price.currency, "customer": self.customer,
                "default_payment_method": self.payment_method, "default_tax_rates": [], "discounts": [],
                "latest_invoice": self.latest_invoice, "livemode": false,
                "metadata": self.metadata, "start_date": self.created, "status": self.status,
                "trial_end": self.trial.map(|(_, end)| end), "trial_start": self.trial.map(|(start, _)| start),
                "payment_settings": {
                    "payment_method_options": null, "payment_method_types": null,
                    "save_default_payment_method": "off"
                }
            }),
        ])
    }

    fn cancellation(&self, version: ApiVersion) -> Value {
        let newer = if version.is_current() {
            nulls(&["feedback_option"])
        } else {
            Value::Null
        };
        let details = merge([
            nulls(&["comment", "feedback"]),
            newer,
            json!({"reason": self.cancel_reason}),
        ]);
        json!({
            "cancel_at": self.cancel_at, "cancel_at_period_end": self.cancel_at_period_end,
            "canceled_at": self.canceled_at, "cancellation_details": details, "ended_at": self.ended_at
        })
    }

    /// Fields of 2024-06-20: the period is the subscription's, and the item's plan is repeated.
    fn old(&self, version: ApiVersion) -> Value {
        json!({
            "automatic_tax": {"enabled": false, "liability": null},
            "current_period_start": self.period_start, "current_period_end": self.period_end,
            "discount": null, "plan": self.price.plan_json(version), "quantity": self.quantity,
            "trial_settings": {"end_behavior": {"missing_payment_method": self.missing_payment_method}}
        })
    }

    fn current(&self) -> Value {
        let paused = self.paused_at.map_or(Value::Null, |at| {
            json!({"status_details": {"paused": {
                "subscription": {"type": "trial_end_without_payment_method"},
                "transitioned_at": at, "type": "subscription"
            }}})
        });
        let fields = json!({
            "automatic_tax": {"disabled_reason": null, "enabled": false, "liability": null},
            "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
            "billing_schedules": [],
            "trial_settings": {"end_behavior": {
                "billing_cycle_anchor": null, "missing_payment_method": self.missing_payment_method
            }}
        });
        merge([nulls(&["customer_account", "managed_payments"]), fields, paused])
    }

    fn item(&self, price: &Price, version: ApiVersion) -> Value {
        let period = if version.is_current() {
            json!({
                "current_period_start": self.period_start, "current_period_end": self.period_end,
                "current_trial": null
            })
        } else {
            Value::Null
        };
        merge([
            json!({
                "id": self.item_id, "object": "subscription_item", "billing_thresholds": null,
                "created": self.created, "discounts": [], "metadata": {}, "plan": price.plan_json(version),
                "price": price.json(version), "quantity": self.quantity, "subscription": self.id, "tax_rates": []
            }),
            period,
        ])
    }

    fn pending_update_json(&self, version: ApiVersion) -> Value {
        let Some((expires_at, price)) = &self.pending_update else {
            return Value::Null;
        };
        let newer = if version.is_current() {
            nulls(&["cancel_at_period_end", "discount", "discounts", "metadata"])
        } else {
            Value::Null
        };
        merge([
            nulls(&["billing_cycle_anchor", "trial_end", "trial_from_plan"]),
            newer,
            json!({"expires_at": expires_at, "subscription_items": [self.item(price, version)]}),
        ])
    }
}

fn settings(version: ApiVersion) -> Value {
    let newer = if version.is_current() {
        nulls(&["custom_fields", "description", "footer"])
    } else {
        Value::Null
    };
    json!({"invoice_settings": merge([nulls(&["account_tax_ids"]), newer, json!({"issuer": {"type": "self"}})])})
}
