//! The session of the customer portal.

use serde_json::{Value, json};

/// A visit to the customer portal.
#[derive(Debug, Clone)]
pub struct Portal {
    /// `bps_...`.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// `cus_...`.
    pub customer: String,
    /// Where its page is, without the id.
    pub page: String,
    /// Where the way back leads.
    pub return_url: Option<String>,
    /// `bpc_...`: what the portal lets customers do.
    pub configuration: String,
}

impl Portal {
    /// The session; the same in all versions.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "billing_portal.session", "configuration": self.configuration,
            "created": self.created, "customer": self.customer, "flow": null, "livemode": false, "locale": null,
            "on_behalf_of": null, "return_url": self.return_url, "url": format!("{}{}", self.page, self.id)
        })
    }
}
