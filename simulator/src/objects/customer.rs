//! The customer.

use serde_json::{Value, json};

use crate::{
    ApiVersion,
    json::{merge, nulls},
};

/// A customer of the shop.
#[derive(Debug, Clone)]
pub struct Customer {
    /// `cus_...`.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// Mail address; in a domain reserved for examples, unless a request brought it.
    pub email: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// The shop's words about it; `user_id` is its own id of the user.
    pub metadata: Value,
    /// First part of invoice numbers.
    pub invoice_prefix: String,
    /// Second part of the next invoice number.
    pub next_invoice_sequence: u32,
    /// Set by the first charge.
    pub currency: Option<String>,
    /// Whether the shop deleted it; its last event still shows it whole.
    pub deleted: bool,
    /// Members as a request set them, which nothing else depends on.
    pub extra: Value,
}

impl Customer {
    /// The customer as `version` renders it.
    #[must_use]
    pub fn json(&self, version: ApiVersion) -> Value {
        let newer = if version.is_current() {
            nulls(&["customer_account"])
        } else {
            Value::Null
        };
        merge([
            nulls(&[
                "address",
                "default_source",
                "description",
                "discount",
                "phone",
                "shipping",
                "test_clock",
            ]),
            json!({
                "id": self.id, "object": "customer", "balance": 0, "created": self.created,
                "currency": self.currency, "delinquent": false, "email": self.email,
                "invoice_prefix": self.invoice_prefix,
                "invoice_settings": nulls(&["custom_fields", "default_payment_method", "footer", "rendering_options"]),
                "livemode": false, "metadata": self.metadata, "name": self.name,
                "next_invoice_sequence": self.next_invoice_sequence,
                "preferred_locales": ["en-US"], "tax_exempt": "none"
            }),
            newer,
            self.extra.clone(),
        ])
    }

    /// Somebody who has not become a customer (yet): without an id.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            id: String::new(),
            created: 0,
            email: None,
            name: None,
            metadata: json!({}),
            invoice_prefix: String::new(),
            next_invoice_sequence: 1,
            currency: None,
            deleted: false,
            extra: Value::Null,
        }
    }

    /// The shop's own id of the user; empty when it gave none.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.metadata["user_id"].as_str().unwrap_or_default()
    }

    /// Takes the next invoice number.
    pub fn next_invoice_number(&mut self) -> String {
        let number = format!("{}-{:04}", self.invoice_prefix, self.next_invoice_sequence);
        self.next_invoice_sequence += 1;
        number
    }
}
