//! The invoice.

use serde_json::{Value, json};

use super::{
    customer::Customer,
    invoice_line::{Line, Owner},
};
use crate::{
    ApiVersion,
    json::{list, merge, nulls},
};

/// Lines that an invoice itself shows; the others have to be listed.
/// Source: <https://docs.stripe.com/api/invoices/object#invoice_object-lines>.
const LINES_SHOWN: usize = 10;

/// An invoice of a subscription.
#[derive(Debug, Clone)]
pub struct Invoice {
    /// `in_...`; empty for the preview in `invoice.upcoming`, which has no id.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// The customer as of creation.
    pub customer: Customer,
    /// `sub_...`.
    pub subscription: String,
    /// The metadata of the subscription when the invoice was made.
    pub metadata: Value,
    /// `si_...`.
    pub item: String,
    /// Why it was made: `subscription_create`, `subscription_cycle`, ...
    pub billing_reason: &'static str,
    /// Stripe's status text.
    pub status: &'static str,
    /// What it bills.
    pub lines: Vec<Line>,
    /// Coupon on the total: `di_...` and minor units; the lines stay gross.
    pub discount: Option<(String, i64)>,
    /// Paid so far, minor units.
    pub amount_paid: i64,
    /// Paid beyond the total, minor units.
    pub amount_overpaid: i64,
    /// Period before this invoice's date, unix seconds; the lines carry the service periods.
    pub period: (i64, i64),
    /// Given when finalized.
    pub number: Option<String>,
    /// Token of the hosted page, given when finalized.
    pub hosted: Option<String>,
    /// When it will be finalized by itself, unix seconds.
    pub automatically_finalizes_at: Option<i64>,
    /// Payment attempts so far.
    pub attempt_count: u32,
    /// Unix seconds; `None` means no further attempt.
    pub next_payment_attempt: Option<i64>,
    /// Unix seconds of each step.
    pub finalized_at: Option<i64>,
    /// Unix seconds.
    pub paid_at: Option<i64>,
    /// Unix seconds.
    pub voided_at: Option<i64>,
    /// Unix seconds.
    pub uncollectible_at: Option<i64>,
    /// Paid by other means than through Stripe.
    pub out_of_band: bool,
    /// `customer_tax_location_invalid` and the like.
    pub finalization_error: Option<&'static str>,
    /// `pi_...`; rendered in 2024-06-20 only.
    pub intent: Option<String>,
    /// `ch_...`; rendered in 2024-06-20 only.
    pub charge: Option<String>,
    /// The `acct_...` in its links.
    pub account: String,
}

impl Invoice {
    /// Sum of the lines, minor units.
    #[must_use]
    pub fn subtotal(&self) -> i64 {
        self.lines.iter().map(|line| line.amount).sum()
    }

    /// What is to be paid, minor units.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.subtotal() - self.discount.as_ref().map_or(0, |(_, amount)| *amount)
    }

    /// Lower-case ISO code.
    #[must_use]
    pub fn currency(&self) -> &str {
        self.lines.first().map_or("usd", |line| &line.price.currency)
    }

    /// The invoice as `version` renders it.
    #[must_use]
    pub fn json(&self, version: ApiVersion) -> Value {
        let id = self.named().map_or(Value::Null, |id| json!({"id": id}));
        merge([
            id,
            constants(),
            self.common(),
            self.customer_part(),
            self.money(),
            self.times(),
            self.links(),
            json!({"lines": self.lines_json(version)}),
            if version.is_current() {
                self.current()
            } else {
                self.old()
            },
        ])
    }

    fn common(&self) -> Value {
        let error = self.finalization_error.map(|code| {
            json!({"code": code, "message": "The customer's location isn't recognized.", "type": "invalid_request_error"})
        });
        json!({
            "object": "invoice", "account_country": "US", "account_name": "Example Credits, Inc.",
            "attempt_count": self.attempt_count, "attempted": self.attempt_count > 0 || self.status == "paid",
            "auto_advance": matches!(self.status, "draft" | "open"),
            "automatically_finalizes_at": self.automatically_finalizes_at,
            "billing_reason": self.billing_reason, "created": self.created,
            "currency": self.currency(),
            "last_finalization_error": error, "next_payment_attempt": self.next_payment_attempt,
            "number": self.number, "period_end": self.period.1, "period_start": self.period.0,
            "status": self.status
        })
    }

    fn customer_part(&self) -> Value {
        merge([
            nulls(&["customer_address", "customer_phone", "customer_shipping"]),
            json!({
                "customer": self.customer.id, "customer_email": self.customer.email,
                "customer_name": self.customer.name, "customer_tax_exempt": "none", "customer_tax_ids": []
            }),
        ])
    }

    fn money(&self) -> Value {
        let total = self.total();
        let ids: Vec<_> = self.discount.iter().map(|(id, _)| id).collect();
        let amounts: Vec<_> = self
            .discount
            .iter()
            .map(|(id, amount)| json!({"amount": amount, "discount": id}))
            .collect();
        json!({
            "amount_due": total, "amount_paid": self.amount_paid,
            "amount_remaining": (total - self.amount_paid).max(0), "amount_shipping": 0,
            "ending_balance": self.finalized_at.map(|_| 0), "post_payment_credit_notes_amount": 0,
            "pre_payment_credit_notes_amount": 0, "starting_balance": 0, "subtotal": self.subtotal(),
            "subtotal_excluding_tax": self.subtotal(), "total": total,
            "discounts": ids, "total_discount_amounts": amounts,
            "total_excluding_tax": total
        })
    }

    fn times(&self) -> Value {
        json!({
            "effective_at": self.finalized_at, "webhooks_delivered_at": self.finalized_at.map(|_| self.created),
            "status_transitions": {
                "finalized_at": self.finalized_at, "marked_uncollectible_at": self.uncollectible_at,
                "paid_at": self.paid_at, "voided_at": self.voided_at
            }
        })
    }

    fn links(&self) -> Value {
        let page = |host: &str, tail: &str| {
            let token = self.hosted.as_ref()?;
            Some(format!("https://{host}/{}/test_{token}{tail}", self.account))
        };
        json!({
            "hosted_invoice_url": page("invoice.stripe.com/i", "?s=ap"),
            "invoice_pdf": page("pay.stripe.com/invoice", "/pdf?s=ap")
        })
    }

    /// All its lines as `version` renders them.
    #[must_use]
    pub fn line_items(&self, version: ApiVersion) -> Vec<Value> {
        let owner = Owner {
            invoice: self.named(),
            subscription: &self.subscription,
            item: &self.item,
            metadata: &self.metadata,
        };
        self.lines.iter().map(|line| line.json(&owner, version)).collect()
    }

    /// Its id, if it has one.
    fn named(&self) -> Option<&str> {
        Some(self.id.as_str()).filter(|id| !id.is_empty())
    }

    fn lines_json(&self, version: ApiVersion) -> Value {
        let mut lines = self.line_items(version);
        let more = lines.len() > LINES_SHOWN;
        lines.truncate(LINES_SHOWN);
        let url = match self.named() {
            Some(id) => format!("/v1/invoices/{id}/lines"),
            None => format!(
                "/v1/invoices/upcoming/lines?customer={}&subscription={}",
                self.customer.id, self.subscription
            ),
        };
        let mut list = list(lines, url);
        list["has_more"] = more.into();
        list
    }

    /// 2024-06-20: the subscription, the intent and the charge are named at the top.
    fn old(&self) -> Value {
        merge([
            nulls(&[
                "application_fee_amount",
                "discount",
                "quote",
                "tax",
                "transfer_data",
            ]),
            json!({
                "automatic_tax": {"enabled": false, "liability": null, "status": null},
                "charge": self.charge, "paid": self.status == "paid", "paid_out_of_band": self.out_of_band,
                "payment_intent": self.intent, "subscription": self.subscription,
                "subscription_details": {"metadata": self.metadata},
                "total_tax_amounts": []
            }),
        ])
    }

    /// Since 2025-03-31.basil: `parent`; payments only in `invoice_payment.*` events.
    fn current(&self) -> Value {
        let uncollectible = if self.uncollectible_at.is_some() {
            json!({"status_details": {"uncollectible": {"reason": "user_forgiven"}}})
        } else {
            Value::Null
        };
        merge([
            nulls(&["customer_account"]),
            json!({
                "amount_overpaid": self.amount_overpaid,
                "amount_paid_off_stripe": if self.out_of_band { self.amount_paid } else { 0 },
                "automatic_tax": {
                    "disabled_reason": null, "enabled": false, "liability": null, "provider": null, "status": null
                },
                "parent": {
                    "quote_details": null,
                    "subscription_details": {
                        "metadata": self.metadata, "subscription": self.subscription
                    },
                    "type": "subscription_details"
                },
                "total_pretax_credit_amounts": [], "total_taxes": []
            }),
            uncollectible,
        ])
    }
}

/// The fields that no history changes.
fn constants() -> Value {
    merge([
        nulls(&[
            "account_tax_ids",
            "application",
            "custom_fields",
            "default_payment_method",
            "default_source",
            "description",
            "due_date",
            "footer",
            "from_invoice",
            "latest_revision",
            "on_behalf_of",
            "receipt_number",
            "rendering",
            "shipping_cost",
            "shipping_details",
            "statement_descriptor",
            "test_clock",
        ]),
        json!({
            "collection_method": "charge_automatically", "default_tax_rates": [],
            "issuer": {"type": "self"}, "livemode": false, "metadata": {},
            "payment_settings": nulls(&["default_mandate", "payment_method_options", "payment_method_types"])
        }),
    ])
}
