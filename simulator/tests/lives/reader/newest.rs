//! The newest snapshot of each object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{text, with};

/// What is read of one event.
pub(super) struct Seen {
    id: String,
    creation: bool,
    pub(super) created: i64,
    pub(super) object: Value,
    previous: Option<Value>,
}

/// Newest snapshots by kind and id.
pub(super) type Newest = BTreeMap<(String, String), Seen>;

pub(super) fn newest<'a>(ours: impl IntoIterator<Item = &'a [u8]>) -> Newest {
    let mut known = BTreeSet::new();
    let mut all: BTreeMap<(String, String), Vec<Seen>> = BTreeMap::new();
    for body in ours {
        let mut event: Value = serde_json::from_slice(body).expect("JSON");
        if !known.insert(text(&event["id"])) {
            continue;
        }
        let mut data = event["data"].take();
        let object = data["object"].take();
        if object["id"].is_null() {
            continue;
        }
        let kind = text(&event["type"]);
        let deleted = kind == "customer.deleted";
        let seen = Seen {
            id: text(&event["id"]),
            creation: kind.ends_with(".created"),
            created: event["created"].as_i64().expect("a time"),
            object: if deleted {
                with(object, "deleted", json!(true))
            } else {
                object
            },
            previous: data.get_mut("previous_attributes").map(Value::take),
        };
        let key = (text(&seen.object["object"]), text(&seen.object["id"]));
        all.entry(key).or_default().push(seen);
    }
    all.into_iter().map(|(key, seen)| (key, last(seen))).collect()
}

/// The rules of section 2.5: terminal, later, further, and for subscriptions the chain.
fn last(mut all: Vec<Seen>) -> Seen {
    let best = all.iter().map(standing).max().expect("not empty");
    all.retain(|seen| standing(seen) == best);
    if all.iter().any(|seen| !seen.creation) {
        all.retain(|seen| !seen.creation);
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    let followed = |at: &usize| {
        let others = all.iter().enumerate().filter(|(other, _)| other != at);
        others.into_iter().any(|(_, other)| follows(other, &all[*at]))
    };
    // Where the rules leave it open, the recorded scenarios let the greater id win.
    let end = (0..all.len()).rev().find(|at| !followed(at)).unwrap_or(0);
    all.swap_remove(end)
}

fn follows(later: &Seen, earlier: &Seen) -> bool {
    later
        .previous
        .as_ref()
        .is_some_and(|previous| agrees(previous, &earlier.object))
}

fn agrees(previous: &Value, shown: &Value) -> bool {
    match previous {
        Value::Object(leaves) => leaves.iter().all(|(name, leaf)| agrees(leaf, &shown[name])),
        leaf => leaf == shown,
    }
}

type Standing = (bool, i64, i64, i64);

fn standing(seen: &Seen) -> Standing {
    let it = &seen.object;
    let status = it["status"].as_str().unwrap_or("");
    let (terminal, order): (&[&str], &[&str]) = match text(&it["object"]).as_str() {
        "subscription" => (&["canceled", "incomplete_expired"], &[]),
        "payment_intent" => (
            &["succeeded", "canceled"],
            &[
                "requires_payment_method",
                "requires_action",
                "processing",
                "canceled",
                "succeeded",
            ],
        ),
        "invoice" => (
            &["paid", "void"],
            &["draft", "open", "uncollectible", "void", "paid"],
        ),
        "refund" => (&["failed"], &["pending", "succeeded", "failed"]),
        "charge" => (&[], &["pending", "failed", "succeeded"]),
        "checkout.session" => (&[], &["open", "expired", "complete"]),
        "dispute" => (&[], &["needs_response", "under_review", "won"]),
        _ => (&[], &[]),
    };
    let status = if status == "lost" { "won" } else { status };
    let rank = order
        .iter()
        .position(|word| *word == status)
        .map_or(-1, |at| at as i64);
    let fine = match it["payment_status"].as_str() {
        Some("no_payment_required") => 1,
        Some("paid") => 2,
        _ => it["amount_refunded"].as_i64().unwrap_or(0) + len(&it["balance_transactions"]),
    };
    let ended = terminal.contains(&status) || it["deleted"] == true;
    (ended, seen.created, rank, fine)
}

fn len(value: &Value) -> i64 {
    value.as_array().map_or(0, |items| items.len() as i64)
}
