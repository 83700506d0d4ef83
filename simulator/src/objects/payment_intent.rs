//! The payment intent.

use serde_json::{Value, json};

use super::Method;
use crate::{
    ApiVersion,
    json::{merge, nulls},
};

/// An attempt to move money, over as many charges as it takes.
#[derive(Debug, Clone)]
pub struct PaymentIntent {
    /// `pi_...`.
    pub id: String,
    /// Secret part of `client_secret`.
    pub secret: String,
    /// Unix seconds.
    pub created: i64,
    /// Minor units.
    pub amount: i64,
    /// Lower-case ISO code.
    pub currency: String,
    /// `cus_...`; none when a guest pays.
    pub customer: Option<String>,
    /// `in_...` it pays; rendered in 2024-06-20 only.
    pub invoice: Option<String>,
    /// The shop's metadata; empty for invoices.
    pub metadata: Value,
    /// How it is paid.
    pub method: Method,
    /// `pm_...` it is paid with.
    pub payment_method: String,
    /// Stripe's status text.
    pub status: &'static str,
    /// `ch_...` of the newest attempt.
    pub latest_charge: Option<String>,
    /// `ch_...` of the newest failed attempt.
    pub failed_charge: Option<String>,
    /// Unix seconds.
    pub canceled_at: Option<i64>,
    /// `void_invoice` and the like.
    pub cancellation_reason: Option<String>,
    /// Members as a request set them, which nothing else depends on.
    pub extra: Value,
}

impl PaymentIntent {
    /// The intent as `version` renders it.
    #[must_use]
    pub fn json(&self, version: ApiVersion) -> Value {
        let moved = if version.is_current() {
            nulls(&[
                "allowed_payment_method_types",
                "customer_account",
                "excluded_payment_method_types",
                "managed_payments",
                "payment_record",
            ])
        } else {
            json!({"invoice": self.invoice})
        };
        merge([
            constants(),
            self.common(),
            self.state(version),
            moved,
            self.extra.clone(),
        ])
    }

    /// Minor units that arrived.
    #[must_use]
    pub fn amount_received(&self) -> i64 {
        if self.status == "succeeded" {
            self.amount
        } else {
            0
        }
    }

    fn common(&self) -> Value {
        let off_session = self.invoice.is_some();
        json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount, "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "capture_method": if off_session { "automatic" } else { "automatic_async" },
            "client_secret": format!("{}_secret_{}", self.id, self.secret), "confirmation_method": "automatic",
            "created": self.created, "currency": self.currency, "customer": self.customer,
            "description": off_session.then_some("Subscription update"), "livemode": false,
            "metadata": self.metadata, "payment_method_options": options(self.method),
            "payment_method_types": [self.method.as_str()],
            "setup_future_usage": off_session.then_some("off_session")
        })
    }

    fn state(&self, version: ApiVersion) -> Value {
        let error = self.failed_charge.as_ref().filter(|_| self.status != "succeeded");
        let method = Some(&self.payment_method).filter(|_| self.status != "requires_payment_method");
        json!({
            "amount_received": self.amount_received(), "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason,
            "last_payment_error": error.map(|charge| payment_error(charge, version)),
            "latest_charge": self.latest_charge, "payment_method": method,
            "next_action": self.next_action(), "status": self.status
        })
    }

    fn next_action(&self) -> Value {
        if self.status != "requires_action" {
            return Value::Null;
        }
        let url = format!(
            "https://hooks.stripe.com/redirect/authenticate/src_{}",
            self.secret
        );
        json!({
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}
        })
    }
}

fn constants() -> Value {
    nulls(&[
        "application",
        "application_fee_amount",
        "automatic_payment_methods",
        "on_behalf_of",
        "payment_method_configuration_details",
        "processing",
        "receipt_email",
        "review",
        "shipping",
        "source",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "transfer_data",
        "transfer_group",
    ])
}

pub(crate) fn options(method: Method) -> Value {
    match method {
        Method::Card => json!({"card": {
            "installments": null, "mandate_options": null, "network": null, "request_three_d_secure": "automatic"
        }}),
        Method::UsBankAccount => json!({"us_bank_account": {"verification_method": "automatic"}}),
    }
}

fn payment_error(charge: &str, version: ApiVersion) -> Value {
    let newer = if version.is_current() {
        json!({"advice_code": "try_again_later", "network_advice_code": "02", "network_decline_code": "51"})
    } else {
        Value::Null
    };
    merge([
        json!({
            "charge": charge, "code": "card_declined", "decline_code": "generic_decline",
            "doc_url": "https://stripe.com/docs/error-codes/card-declined",
            "message": "Your card was declined.", "type": "card_error"
        }),
        newer,
    ])
}
