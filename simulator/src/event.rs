//! The event: the exact bytes of one webhook request, and the few words about them a test needs.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::ApiVersion;

/// The types the worker projects, one by one (`customer.subscription.updated`, ...). Every one
/// occurs in a large enough [`crate::traffic::Traffic`], those of [`CURRENT_ONLY`] only in the
/// current version.
pub const PROJECTED_TYPES: &[&str] = &[
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.failed",
    "charge.pending",
    "charge.refund.updated",
    "charge.refunded",
    "charge.succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.created",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.updated",
    "entitlements.active_entitlement_summary.updated",
    "invoice.created",
    "invoice.finalization_failed",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.overdue",
    "invoice.overpaid",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.upcoming",
    "invoice.updated",
    "invoice.voided",
    "invoice.will_be_due",
    "invoice_payment.paid",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "plan.created",
    "plan.deleted",
    "plan.updated",
    "price.created",
    "price.deleted",
    "price.updated",
    "product.created",
    "product.deleted",
    "product.updated",
    "refund.created",
    "refund.failed",
    "refund.updated",
];

/// Projected types that a 2024-06-20 endpoint never sees: `refund.*` covers all refunds since
/// 2024-10-28.acacia, invoice payments and overpayment exist since 2025-05-28.basil.
pub const CURRENT_ONLY: &[&str] = &[
    "invoice.overpaid",
    "invoice_payment.paid",
    "refund.created",
    "refund.failed",
    "refund.updated",
];

/// The line every snapshot body ends its envelope with; at this depth it cannot occur elsewhere,
/// because JSON strings hold no raw line breaks.
const PENDING_WEBHOOKS: &str = "\n  \"pending_webhooks\": ";

/// One webhook event as Stripe would send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `event.id`; unique per event object, the same on every redelivery.
    pub id: String,
    /// `event.type`.
    pub kind: String,
    /// `event.created`, unix seconds: the time of the change, not of the delivery.
    pub created: i64,
    /// `event.account`: set for events of a connected account.
    pub account: Option<String>,
    /// The version that rendered the object; `None` for thin events, which carry no object.
    pub version: Option<ApiVersion>,
    /// The id of `data.object` (or of `related_object`); `None` where Stripe gives none.
    pub object_id: Option<String>,
    /// The exact request body: JSON, indented with two spaces as Stripe does.
    pub body: Bytes,
}

impl Event {
    /// Whether this is a notification without an object (`v2.core.event`).
    #[must_use]
    pub fn is_thin(&self) -> bool {
        self.version.is_none()
    }

    /// The same event with another `pending_webhooks`: what a redelivery may look like. Thin events
    /// have no such field and stay as they are.
    #[must_use]
    pub fn redelivered(&self, pending_webhooks: u32) -> Self {
        let text = self.text();
        let Some((head, tail)) = text.split_once(PENDING_WEBHOOKS) else {
            return self.clone();
        };
        let rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
        Self {
            body: format!("{head}{PENDING_WEBHOOKS}{pending_webhooks}{rest}").into(),
            ..self.clone()
        }
    }

    /// Another event object about the same change. Stripe sends those now and then and says to
    /// compare `data.object.id` and `type`: <https://docs.stripe.com/webhooks#handle-duplicate-events>.
    #[must_use]
    pub fn twin(&self, id: &str) -> Self {
        let body = self.text().replacen(&self.id, id, 1).into();
        Self {
            id: id.to_owned(),
            body,
            ..self.clone()
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("we wrote the body as text")
    }
}

/// What caused a change: `request` of the envelope. Both ids are null for automatic changes.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Cause {
    pub(crate) id: Option<String>,
    pub(crate) idempotency_key: Option<String>,
}

/// A snapshot event before it becomes bytes. Field order is the order Stripe sends.
#[derive(Serialize)]
pub(crate) struct Snapshot<'a> {
    pub(crate) id: String,
    pub(crate) object: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<&'a str>,
    pub(crate) api_version: &'static str,
    /// Since 2025-04-30.basil, for connected accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<&'a str>,
    pub(crate) created: i64,
    pub(crate) data: Data,
    pub(crate) livemode: bool,
    pub(crate) pending_webhooks: u32,
    pub(crate) request: &'a Cause,
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Data {
    pub(crate) object: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) previous_attributes: Option<Value>,
}

impl Snapshot<'_> {
    pub(crate) fn event(&self, version: ApiVersion) -> Event {
        Event {
            body: pretty(self),
            kind: self.kind.to_owned(),
            created: self.created,
            account: self.account.map(str::to_owned),
            version: Some(version),
            object_id: self.data.object["id"].as_str().map(str::to_owned),
            id: self.id.clone(),
        }
    }
}

/// Two-space JSON, as Stripe sends it.
pub(crate) fn pretty(value: &impl Serialize) -> Bytes {
    serde_json::to_vec_pretty(value)
        .expect("plain data with text keys always serialises")
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Event {
        Snapshot {
            id: "evt_1".to_owned(),
            object: "event",
            account: None,
            api_version: "2024-06-20",
            context: None,
            created: 1,
            data: Data {
                object: json!({"id": "cus_1", "pending_webhooks": 9}),
                previous_attributes: None,
            },
            livemode: false,
            pending_webhooks: 1,
            request: &Cause::default(),
            kind: "customer.created",
        }
        .event(ApiVersion::V2024_06_20)
    }

    fn parsed(event: &Event) -> Value {
        serde_json::from_slice(&event.body).expect("JSON")
    }

    #[test]
    fn a_redelivery_differs_in_pending_webhooks_only() {
        let again = event().redelivered(12);
        let mut expected = parsed(&event());
        expected["pending_webhooks"] = json!(12);
        assert_eq!(parsed(&again), expected);
        assert_eq!(again.id, "evt_1");
    }

    #[test]
    fn a_twin_differs_in_its_id_only() {
        let twin = event().twin("evt_2");
        let mut expected = parsed(&event());
        expected["id"] = json!("evt_2");
        assert_eq!(parsed(&twin), expected);
        assert_eq!(twin.id, "evt_2");
    }

    #[test]
    fn the_body_is_indented_by_two_and_begins_as_stripes() {
        let body = event().body;
        assert!(body.starts_with(b"{\n  \"id\": \"evt_1\",\n  \"object\": \"event\",\n  \"api_version\""));
    }

    #[test]
    fn the_lists_of_types_are_sorted_and_consistent() {
        assert!(PROJECTED_TYPES.is_sorted());
        assert!(CURRENT_ONLY.iter().all(|kind| PROJECTED_TYPES.contains(kind)));
    }
}
