//! What a receiver must store and otherwise ignore: unknown types, and thin notifications.

use serde::Serialize;
use serde_json::json;

use super::{History, Setting};
use crate::{
    calendar::iso,
    dice::Dice,
    event::{Event, pretty},
    mint::Mint,
};

/// Types nobody projects; the last one exists in no Stripe version.
const UNKNOWN_TYPES: &[&str] = &[
    "setup_intent.created",
    "balance.available",
    "galactic.teleport.completed",
];
/// Length of the part after `evt_test_` in ids of thin events.
const THIN_ID_LENGTH: usize = 33;

/// An event of a type that is not projected, with a number beyond 64-bit integers inside.
#[must_use]
pub fn unknown(setting: Setting<'_>) -> Event {
    let mut history = History::new(setting, Dice::new(setting.seed), setting.now);
    history.announce_unknown();
    history.events.remove(0)
}

impl History<'_> {
    /// Something happens that nobody projects.
    pub(super) fn announce_unknown(&mut self) {
        let kind = *self.mint.dice.pick(UNKNOWN_TYPES);
        let object = json!({
            "id": format!("obj_{}", self.mint.text(21)), "object": kind.rsplit_once('.').map(|(object, _)| object),
            "big": u64::MAX, "livemode": false, "nested": {"a": [1, 2, {"b": null}]}
        });
        self.record(kind, object, None);
    }
}

/// The thin notification Stripe sends beside `snapshot` when both are subscribed (`v1.` types, since
/// 2026-09-30.endive): no object, only where to fetch it.
#[must_use]
pub fn thin_about(snapshot: &Event, seed: u64) -> Event {
    let mut mint = Mint::new(Dice::new(seed), "");
    let id = format!("evt_test_65{}", mint.text(THIN_ID_LENGTH));
    let millis = mint.dice.seconds(0, 1000);
    let kind = format!("v1.{}", snapshot.kind);
    let related = snapshot.object_id.as_deref().map(|object| Related {
        id: object,
        kind: object_type(&snapshot.kind),
        url: format!("/v1/{}/{object}", collection(&snapshot.kind)),
    });
    let thin = Thin {
        id: &id,
        object: "v2.core.event",
        kind: &kind,
        livemode: false,
        created: iso(snapshot.created, millis),
        context: snapshot.account.as_deref(),
        related_object: related,
        snapshot_event: &snapshot.id,
    };
    Event {
        body: pretty(&thin),
        created: snapshot.created,
        account: snapshot.account.clone(),
        version: None,
        object_id: snapshot.object_id.clone(),
        id,
        kind,
    }
}

#[derive(Serialize)]
struct Thin<'a> {
    id: &'a str,
    object: &'static str,
    #[serde(rename = "type")]
    kind: &'a str,
    livemode: bool,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    related_object: Option<Related<'a>>,
    snapshot_event: &'a str,
}

#[derive(Serialize)]
struct Related<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: String,
    url: String,
}

/// `checkout.session.completed` is about a `checkout.session`: the type without its last word. Three
/// objects have a shorter name than their events.
fn object_type(kind: &str) -> String {
    let object = kind.rsplit_once('.').map_or(kind, |(object, _)| object);
    match object {
        "customer.subscription" => "subscription",
        "charge.dispute" => "dispute",
        "charge.refund" => "refund",
        other => other,
    }
    .to_owned()
}

fn collection(kind: &str) -> String {
    format!("{}s", object_type(kind).replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_types_follow_from_event_types() {
        assert_eq!(object_type("customer.subscription.updated"), "subscription");
        assert_eq!(collection("invoice.paid"), "invoices");
        assert_eq!(collection("checkout.session.completed"), "checkout/sessions");
    }
}
