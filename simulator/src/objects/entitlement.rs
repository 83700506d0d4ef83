//! The summary of what a customer may use. It has no id.

use serde_json::{Value, json};

use crate::json::list;

/// One feature a customer may use.
#[derive(Debug, Clone)]
pub struct Entitlement {
    /// `ent_test_...`.
    pub id: String,
    /// `feat_test_...`.
    pub feature: String,
    /// The shop's name of the feature.
    pub lookup_key: &'static str,
}

/// The whole set of a customer's active entitlements; the same in both versions.
#[must_use]
pub fn summary(customer: &str, active: &[Entitlement]) -> Value {
    let data = active.iter().map(|entitlement| {
        json!({
            "id": entitlement.id, "object": "entitlements.active_entitlement",
            "feature": entitlement.feature, "livemode": false, "lookup_key": entitlement.lookup_key
        })
    });
    json!({
        "object": "entitlements.active_entitlement_summary", "customer": customer,
        "entitlements": list(data.collect(), format!("/v1/customer/{customer}/entitlements")), "livemode": false
    })
}
