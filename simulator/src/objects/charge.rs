//! The charge: one attempt of an intent.

use serde_json::{Value, json};

use super::{Method, address};
use crate::{
    ApiVersion,
    json::{merge, nulls},
};

/// One attempt to take the money of a payment intent.
#[derive(Debug, Clone)]
pub struct Charge {
    /// `ch_...`, or `py_...` for bank debits.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// Minor units.
    pub amount: i64,
    /// Minor units given back so far; goes down again when a refund fails.
    pub amount_refunded: i64,
    /// Lower-case ISO code.
    pub currency: String,
    /// `cus_...`; none when a guest pays.
    pub customer: Option<String>,
    /// Name and mail address of the payer.
    pub payer: (Option<String>, Option<String>),
    /// `in_...` it pays; rendered in 2024-06-20 only.
    pub invoice: Option<String>,
    /// `pi_...` it belongs to.
    pub intent: String,
    /// The metadata of the intent.
    pub metadata: Value,
    /// How it is paid.
    pub method: Method,
    /// `pm_...` it is paid with.
    pub payment_method: String,
    /// Stripe's status text: `pending`, `succeeded` or `failed`.
    pub status: &'static str,
    /// Whether a dispute was opened.
    pub disputed: bool,
    /// `txn_...`; null at first since captures are asynchronous (2024-04-10).
    pub balance_transaction: Option<String>,
    /// Fingerprint of the card or account.
    pub fingerprint: String,
    /// Token of the receipt's page.
    pub receipt: String,
}

impl Charge {
    /// The charge as `version` renders it.
    #[must_use]
    pub fn json(&self, version: ApiVersion) -> Value {
        let moved = if version.is_current() {
            Value::Null
        } else {
            json!({"invoice": self.invoice})
        };
        merge([
            constants(),
            self.common(),
            self.state(version),
            self.billing(version),
            moved,
        ])
    }

    fn common(&self) -> Value {
        json!({
            "id": self.id, "object": "charge", "amount": self.amount,
            "calculated_statement_descriptor": "EXAMPLE CREDITS", "created": self.created,
            "currency": self.currency, "customer": self.customer,
            "description": self.invoice.as_ref().map(|_| "Subscription update"), "fraud_details": {},
            "livemode": false, "metadata": self.metadata, "payment_intent": self.intent,
            "payment_method": self.payment_method, "radar_options": {}
        })
    }

    fn state(&self, version: ApiVersion) -> Value {
        let failed = self.status == "failed";
        let succeeded = self.status == "succeeded";
        let receipt = format!("https://pay.stripe.com/receipts/payment/{}", self.receipt);
        json!({
            "amount_captured": if succeeded { self.amount } else { 0 },
            "amount_refunded": self.amount_refunded, "balance_transaction": self.balance_transaction,
            "captured": !failed, "disputed": self.disputed,
            "failure_code": failed.then_some("card_declined"),
            "failure_message": failed.then_some("Your card was declined."),
            "outcome": outcome(failed, version), "paid": !failed,
            "payment_method_details": self.details(version), "receipt_url": succeeded.then_some(receipt),
            "refunded": self.amount_refunded == self.amount, "status": self.status
        })
    }

    fn billing(&self, version: ApiVersion) -> Value {
        let newer = if version.is_current() {
            nulls(&["tax_id"])
        } else {
            Value::Null
        };
        let (name, email) = &self.payer;
        let details = json!({"address": address(), "email": email, "name": name, "phone": null});
        json!({"billing_details": merge([details, newer])})
    }

    fn details(&self, version: ApiVersion) -> Value {
        match self.method {
            Method::Card => json!({"card": self.card(version), "type": "card"}),
            Method::UsBankAccount => json!({
                "type": "us_bank_account",
                "us_bank_account": {
                    "account_holder_type": "individual", "account_type": "checking",
                    "bank_name": "STRIPE TEST BANK", "fingerprint": self.fingerprint, "last4": "6789",
                    "mandate": format!("mandate_1{}", self.fingerprint), "payment_reference": null,
                    "routing_number": "110000000"
                }
            }),
        }
    }

    fn card(&self, version: ApiVersion) -> Value {
        let failed = self.status == "failed";
        let newer = if version.is_current() {
            json!({
                "electronic_commerce_indicator": null, "network_transaction_id": "104102978678771",
                "regulated_status": "unregulated", "transaction_link_id": null
            })
        } else {
            Value::Null
        };
        merge([
            nulls(&[
                "authorization_code",
                "installments",
                "mandate",
                "three_d_secure",
                "wallet",
            ]),
            json!({
                "amount_authorized": (!failed).then_some(self.amount), "brand": "visa",
                "checks": {
                    "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass"
                },
                "country": "US", "exp_month": 12, "exp_year": 2030,
                "extended_authorization": {"status": "disabled"}, "fingerprint": self.fingerprint,
                "funding": "credit", "incremental_authorization": {"status": "unavailable"},
                "last4": if failed { "0341" } else { "4242" }, "multicapture": {"status": "unavailable"},
                "network": "visa", "network_token": {"used": false},
                "overcapture": {"maximum_amount_capturable": self.amount, "status": "unavailable"}
            }),
            newer,
        ])
    }
}

fn outcome(failed: bool, version: ApiVersion) -> Value {
    let newer = match (version.is_current(), failed) {
        (false, _) => Value::Null,
        (true, true) => {
            json!({"advice_code": "try_again_later", "network_advice_code": "02", "network_decline_code": "51"})
        }
        (true, false) => nulls(&["advice_code", "network_advice_code", "network_decline_code"]),
    };
    let (network, seller, kind) = if failed {
        let seller = "The bank did not return any further details with this decline.";
        ("declined_by_network", seller, "issuer_declined")
    } else {
        ("approved_by_network", "Payment complete.", "authorized")
    };
    merge([
        json!({
            "network_status": network, "reason": failed.then_some("card_declined"), "risk_level": "normal",
            "risk_score": 21, "seller_message": seller, "type": kind
        }),
        newer,
    ])
}

/// `destination`, `dispute`, `order` left the types in 2023-08-16 and are still delivered.
fn constants() -> Value {
    nulls(&[
        "application",
        "application_fee",
        "application_fee_amount",
        "destination",
        "dispute",
        "failure_balance_transaction",
        "on_behalf_of",
        "order",
        "receipt_email",
        "receipt_number",
        "review",
        "shipping",
        "source",
        "source_transfer",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "transfer_data",
        "transfer_group",
    ])
}
