//! What is kept of Stripe's answers. Pure.

use serde_json::{Map, Value};
use store::api::IntentKind;

use super::Done;

/// The members we need; the rest is Stripe's to keep, and comes with events.
fn members(kind: IntentKind) -> &'static [&'static str] {
    match kind {
        IntentKind::Customer => &["id"],
        IntentKind::Subscribe | IntentKind::Buy => &[
            "id",
            "url",
            "status",
            "payment_status",
            "expires_at",
            "amount_total",
            "currency",
        ],
        IntentKind::Expire => &["id", "status"],
        IntentKind::Payment => &["id", "client_secret", "status", "amount", "currency"],
        IntentKind::Refund => &["id", "status", "amount", "currency"],
        IntentKind::Portal => &["id", "url"],
        IntentKind::Change | IntentKind::Cancel | IntentKind::Resume => {
            &["id", "status", "cancel_at_period_end", "cancel_at"]
        }
    }
}

/// Takes an answer apart; `None` when it is not about an object.
pub(super) fn read(kind: IntentKind, body: &[u8]) -> Option<Done> {
    let mut object: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let object_id = object.get("id")?.as_str()?.to_owned();
    let kept = members(kind)
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), object.remove(*name)?)));
    Some(Done {
        answer: kept.collect(),
        object_id,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_needed_is_kept() {
        let body = br#"{"id":"cus_1","object":"customer","email":"jane@example.com"}"#;
        let done = read(IntentKind::Customer, body).expect("an object");
        assert_eq!(
            (done.object_id.as_str(), done.answer),
            ("cus_1", json!({"id": "cus_1"}))
        );
        for body in [&b"[]"[..], b"{}", br#"{"id":1}"#, b"<html>"] {
            assert_eq!(read(IntentKind::Customer, body), None);
        }
    }
}
