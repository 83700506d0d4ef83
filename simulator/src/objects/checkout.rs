//! The Checkout session.

use serde_json::{Value, json};

use super::{Method, address, catalogue::Price, customer::Customer};
use crate::{
    ApiVersion,
    json::{merge, nulls},
};

/// How long a session stays open, seconds.
pub const OPEN_SECONDS: i64 = 86_400;

/// What the session buys.
#[derive(Debug, Clone)]
pub enum Purchase {
    /// `mode=payment`; `intent` is null until the customer confirms.
    Payment {
        /// `pi_...`.
        intent: Option<String>,
    },
    /// `mode=subscription`.
    Subscription {
        /// `sub_...`; null until it is there.
        subscription: Option<String>,
        /// `in_...` of the first invoice.
        invoice: Option<String>,
    },
}

/// A visit to Checkout.
#[derive(Debug, Clone)]
pub struct Session {
    /// `cs_test_...`.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// When nobody can pay any more, unix seconds.
    pub expires_at: i64,
    /// Where the customer goes, and comes back to.
    pub links: Links,
    /// The shop's own id of whoever buys.
    pub reference: Option<String>,
    /// Who buys.
    pub customer: Customer,
    /// Whether they buy without becoming a customer (`customer_creation=if_required`).
    pub guest: bool,
    /// What is bought.
    pub purchase: Purchase,
    /// Minor units.
    pub amount: i64,
    /// Lower-case ISO code.
    pub currency: String,
    /// The shop's metadata: `user_id`, and for top-ups `credits` and `price_id`.
    pub metadata: Value,
    /// How it is paid.
    pub method: Method,
    /// `open`, `complete` or `expired`.
    pub status: &'static str,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub payment_status: &'static str,
    /// What was put into the cart; nothing in a history, whose sessions are over when they are told.
    pub cart: Cart,
    /// Members as a request set them, which nothing else depends on.
    pub extra: Value,
}

/// The pages around a session.
#[derive(Debug, Clone)]
pub struct Links {
    /// Where the session's own page is, without the id.
    pub page: String,
    /// Where it ends; `{CHECKOUT_SESSION_ID}` stands for the id.
    pub success: Option<String>,
    /// Where the way back leads.
    pub cancel: Option<String>,
}

impl Default for Links {
    /// Those of a shop that exists in no network.
    fn default() -> Self {
        Self {
            page: "https://checkout.stripe.com/c/pay/".to_owned(),
            success: Some(
                "https://app.example.com/billing/success?session_id={CHECKOUT_SESSION_ID}".to_owned(),
            ),
            cancel: Some("https://app.example.com/billing/cancel".to_owned()),
        }
    }
}

/// What a session sells, and what becomes of it.
#[derive(Debug, Clone, Default)]
pub struct Cart {
    /// Prices and how many of each.
    pub lines: Vec<(Price, i64)>,
    /// `subscription_data.metadata`, or `payment_intent_data.metadata`.
    pub metadata: Value,
    /// Days before a subscription costs anything.
    pub trial_days: Option<i64>,
    /// `always` makes a customer of a guest.
    pub creates_customer: bool,
    /// `pi_...` of an attempt that was declined.
    pub declined: Option<String>,
}

impl Session {
    /// The session as `version` renders it.
    #[must_use]
    pub fn json(&self, version: ApiVersion) -> Value {
        merge([
            constants(),
            self.common(),
            self.purchase(),
            self.state(version),
            self.moved(version),
            self.extra.clone(),
        ])
    }

    /// Whether it ends in a subscription.
    #[must_use]
    pub fn is_subscription(&self) -> bool {
        matches!(self.purchase, Purchase::Subscription { .. })
    }

    fn common(&self) -> Value {
        json!({
            "id": self.id, "object": "checkout.session", "amount_subtotal": self.amount,
            "amount_total": self.amount, "cancel_url": self.links.cancel,
            "client_reference_id": self.reference, "created": self.created, "currency": self.currency,
            "custom_fields": [], "customer": (!self.guest).then_some(&self.customer.id), "expires_at": self.expires_at,
            "livemode": false, "metadata": self.metadata, "payment_method_options": self.options(),
            "payment_method_types": [self.method.as_str()], "phone_number_collection": {"enabled": false},
            "shipping_options": [],
            "success_url": self.links.success,
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            "custom_text": nulls(&["after_submit", "shipping_address", "submit", "terms_of_service_acceptance"])
        })
    }

    fn options(&self) -> Value {
        match self.method {
            Method::Card => json!({"card": {"request_three_d_secure": "automatic"}}),
            Method::UsBankAccount => json!({"us_bank_account": {"verification_method": "automatic"}}),
        }
    }

    fn purchase(&self) -> Value {
        match &self.purchase {
            Purchase::Payment { intent } => json!({
                "customer_creation": "if_required", "invoice": null, "invoice_creation": invoice_creation(),
                "mode": "payment", "payment_intent": intent, "payment_method_collection": "if_required",
                "subscription": null
            }),
            Purchase::Subscription {
                subscription,
                invoice,
            } => json!({
                "customer_creation": null, "invoice": invoice, "invoice_creation": null,
                "mode": "subscription", "payment_intent": null, "payment_method_collection": "always",
                "subscription": subscription
            }),
        }
    }

    fn state(&self, version: ApiVersion) -> Value {
        let url = (self.status == "open").then(|| format!("{}{}", self.links.page, self.id));
        json!({
            "customer_details": self.details(version), "payment_status": self.payment_status,
            "status": self.status, "url": url
        })
    }

    fn details(&self, version: ApiVersion) -> Value {
        let known = if self.status == "complete" {
            json!({"address": address(), "name": self.customer.name, "tax_ids": []})
        } else {
            nulls(&["address", "name", "tax_ids"])
        };
        let newer = if version.is_current() {
            nulls(&["business_name", "individual_name"])
        } else {
            Value::Null
        };
        merge([
            json!({"email": self.customer.email, "phone": null, "tax_exempt": "none"}),
            known,
            newer,
        ])
    }

    fn moved(&self, version: ApiVersion) -> Value {
        if !version.is_current() {
            let tax = nulls(&["liability", "status"]);
            let tax = merge([tax, json!({"enabled": false})]);
            return json!({"automatic_tax": tax, "shipping_details": null, "ui_mode": "hosted"});
        }
        merge([
            nulls(&[
                "allowed_payment_method_types",
                "customer_account",
                "integration_identifier",
                "managed_payments",
                "optional_items",
                "origin_context",
                "permissions",
                "wallet_options",
            ]),
            json!({
                "adaptive_pricing": {"enabled": true},
                "automatic_tax": merge([nulls(&["liability", "provider", "status"]), json!({"enabled": false})]),
                "collected_information": nulls(&["business_name", "individual_name", "shipping_details"]),
                "discounts": [], "ui_mode": "hosted_page"
            }),
        ])
    }
}

fn invoice_creation() -> Value {
    let data = nulls(&[
        "account_tax_ids",
        "custom_fields",
        "description",
        "footer",
        "issuer",
        "rendering_options",
    ]);
    json!({"enabled": false, "invoice_data": merge([data, json!({"metadata": {}})])})
}

fn constants() -> Value {
    nulls(&[
        "after_expiration",
        "allow_promotion_codes",
        "billing_address_collection",
        "client_secret",
        "consent",
        "consent_collection",
        "currency_conversion",
        "customer_email",
        "locale",
        "payment_link",
        "payment_method_configuration_details",
        "recovered_from",
        "saved_payment_method_options",
        "setup_intent",
        "shipping_address_collection",
        "shipping_cost",
        "submit_type",
    ])
}
