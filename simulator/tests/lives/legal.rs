//! Lives hang together and do what Stripe allows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{LIVES, body};

#[test]
fn no_two_lives_share_an_id() {
    let mut owners: BTreeMap<String, u64> = BTreeMap::new();
    for (seed, life) in (0..).zip(&LIVES.1) {
        let objects = life.events.iter().filter_map(|event| event.object_id.clone());
        let events = life.events.iter().map(|event| event.id.clone());
        for id in objects.chain(events).chain([life.user.clone()]) {
            assert_eq!(*owners.entry(id.clone()).or_insert(seed), seed, "{id}");
        }
    }
    assert!(owners.len() > 10_000);
}

#[test]
fn bodies_are_coherent_and_in_the_order_they_happened() {
    let (options, lives) = &*LIVES;
    let shop: BTreeSet<String> = options.catalogue.prices().map(|price| price.id.clone()).into();
    for (seed, life) in (0..).zip(lives) {
        let about = format!("seed {seed}: {}", life.label());
        assert!(
            life.events.iter().map(|event| event.created).is_sorted(),
            "{about}"
        );
        let mut known = shop.clone();
        known.extend(life.events.iter().filter_map(|event| event.object_id.clone()));
        for event in &life.events {
            let body = body(event);
            assert_eq!(body["id"], event.id.as_str());
            assert_eq!(body["type"], event.kind.as_str());
            assert_eq!(body["created"], event.created);
            assert_eq!(body["api_version"], event.version.expect("a snapshot").as_str());
            let object = &body["data"]["object"];
            assert_eq!(object["id"].as_str(), event.object_id.as_deref());
            for name in [
                "customer",
                "subscription",
                "charge",
                "latest_invoice",
                "latest_charge",
                "invoice",
            ] {
                // Before basil, Checkout's intents are named by their invoice before they have an event.
                let named = object[name].as_str().filter(|id| !known.contains(*id));
                assert_eq!(named, None, "{about}: {} names {name}", event.kind);
            }
        }
    }
}

/// The statuses a subscription goes to from each of its own.
fn next(status: &str) -> &'static [&'static str] {
    match status {
        "incomplete" => &["active", "trialing", "incomplete_expired"],
        "trialing" => &["active", "past_due", "paused", "canceled"],
        "active" => &["past_due", "canceled", "paused", "trialing"],
        "past_due" => &["active", "unpaid", "canceled"],
        "unpaid" | "paused" => &["active", "canceled"],
        _ => &[],
    }
}

fn is_over(object: &Value) -> bool {
    let status = object["status"].as_str().unwrap_or_default();
    match object["object"].as_str() {
        Some("subscription") => matches!(status, "canceled" | "incomplete_expired"),
        Some("payment_intent") => matches!(status, "succeeded" | "canceled"),
        Some("invoice") => matches!(status, "paid" | "void"),
        Some("refund") => status == "failed",
        _ => false,
    }
}

#[test]
fn nobody_does_what_stripe_does_not_allow() {
    for (seed, life) in (0..).zip(&LIVES.1) {
        let about = format!("seed {seed}: {}", life.label());
        let mut before: BTreeMap<String, Value> = BTreeMap::new();
        for event in &life.events {
            let object = body(event)["data"]["object"].take();
            let number = |name: &str| object[name].as_i64().unwrap_or(0);
            assert!(number("amount_refunded") <= number("amount"), "{about}");
            assert!(number("amount_received") <= number("amount"), "{about}");
            assert!(number("total") >= 0, "{about}");
            if matches!(
                object["object"].as_str(),
                Some("payment_intent" | "charge" | "refund" | "dispute")
            ) {
                assert!(number("amount") > 0, "{about}: {object}");
            }
            let Some(id) = event.object_id.clone() else {
                continue;
            };
            let Some(old) = before.insert(id, object.clone()) else {
                continue;
            };
            let (was, is) = (&old["status"], &object["status"]);
            assert!(!is_over(&old) || was == is, "{about}: {} after {was}", event.kind);
            if object["object"] == "subscription" && was != is {
                let (was, is) = (was.as_str().expect("text"), is.as_str().expect("text"));
                assert!(next(was).contains(&is), "{about}: from {was} to {is}");
            }
        }
    }
}
