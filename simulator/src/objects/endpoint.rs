//! The webhook endpoint.

use serde_json::{Value, json};

use crate::ApiVersion;

/// Where events are sent, as the account knows it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `we_...`.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// The address.
    pub url: String,
    /// What its events are rendered in.
    pub version: ApiVersion,
    /// Whether events are sent there; Stripe itself turns an endpoint off that fails for days.
    pub enabled: bool,
}

impl Endpoint {
    /// The endpoint; the same in all versions. The secret is shown at its creation only.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "webhook_endpoint", "api_version": self.version.as_str(),
            "application": null, "created": self.created, "description": null, "enabled_events": ["*"],
            "livemode": false, "metadata": {}, "status": if self.enabled { "enabled" } else { "disabled" },
            "url": self.url
        })
    }
}
