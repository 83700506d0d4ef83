//! Every scenario, in any order, with any repetition: the same rows, and those the scenario expects.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use domain::Policy;
use ingest::{Accounts, Endpoint};
use serde_json::{Value, json};
use shared::queue::{Claimed, StreamId};
use shared::signature::Secret;
use simulator::dice::Dice;
use store::Store;
use worker::item::Item;
use worker::reckon::{MARKS_MAX, reckon};
use worker::transact::transact;

use crate::support::{Rig, SECRET, entry, shared_data};

/// Random orders tried for each scenario, beside the one things happened in and its reverse.
const SHUFFLES: u64 = 3;
/// Share of deliveries that are repeated in a random order.
const REPEATED: f64 = 0.3;
/// How often effects are reckoned before the next batch.
const RECKONED: f64 = 0.3;
/// Largest batch the deliveries are cut into.
const BATCH_MAX: u64 = 7;

struct Scenario {
    name: String,
    endpoint: Endpoint,
    deliveries: Vec<Bytes>,
    expected: Value,
}

fn scenario(path: &Path) -> Scenario {
    let value: Value = serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
    let deliveries = value["deliveries"].as_array().expect("deliveries");
    Scenario {
        name: path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name")
            .to_owned(),
        endpoint: Endpoint {
            name: "default".into(),
            secrets: vec![Secret::new(SECRET).expect("usable")],
            livemode: value["config"]["expected_livemode"].as_bool(),
            accounts: Accounts::default(),
            token: None,
        },
        deliveries: deliveries
            .iter()
            .map(|delivery| Bytes::from(delivery["event"].to_string()))
            .collect(),
        expected: value["expected"].clone(),
    }
}

/// The orders to try: as it happened, backwards, and shuffled with repetitions.
fn orders(deliveries: &[Bytes]) -> Vec<Vec<Bytes>> {
    let straight = deliveries.to_vec();
    let reversed = deliveries.iter().rev().cloned().collect();
    let shuffled = (1..=SHUFFLES).map(|seed| {
        let mut dice = Dice::new(seed);
        let mut order = deliveries.to_vec();
        order.extend(deliveries.iter().filter(|_| dice.chance(REPEATED)).cloned());
        dice.shuffle(&mut order);
        order
    });
    [straight, reversed].into_iter().chain(shuffled).collect()
}

/// Every delivery is an entry of its own.
fn next_id() -> StreamId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let seq = NEXT.fetch_add(1, Ordering::Relaxed);
    StreamId { ms: 1, seq }
}

async fn apply(rig: &Rig, endpoint: &Endpoint, order: &[Bytes], dice: &mut Dice) {
    let store = rig.store();
    let mut rest = order;
    while !rest.is_empty() {
        let size = usize::try_from(dice.below(BATCH_MAX)).expect("small") + 1;
        let (batch, later) = rest.split_at(size.min(rest.len()));
        let items: Vec<Item> = batch.iter().map(|body| item(endpoint, body)).collect();
        transact(&store, &items).await.expect("committed");
        if dice.chance(RECKONED) {
            settle(&store).await;
        }
        rest = later;
    }
    settle(&store).await;
    store.close().await;
}

/// Reckons until nothing is marked.
async fn settle(store: &Store) {
    while reckon(store, &Policy::default(), MARKS_MAX)
        .await
        .expect("reckoned")
        .is_some()
    {}
}

fn item(endpoint: &Endpoint, body: &Bytes) -> Item {
    let mut entry = entry(body);
    entry.meta.mismatch = endpoint.judge(&entry.meta.envelope);
    Item::new(Claimed {
        id: next_id(),
        deliveries: 1,
        entry: Ok(entry),
        fields: Vec::new(),
    })
}

async fn check(rig: &Rig, scenario: &Scenario, order: usize, delivered: usize) {
    let store = rig.store();
    let state = store.state("").await.expect("readable");
    store.close().await;
    for (word, expected) in scenario.expected.as_object().expect("words") {
        let mut expected = expected.clone();
        if word == "events" {
            // The order has repetitions of its own.
            expected["deliveries"] = json!(delivered);
        }
        assert_eq!(state[word], expected, "{}, order {order}: {word}", scenario.name);
    }
    let violations = "SELECT count(*) FROM parked_events";
    assert_eq!(rig.count(violations).await, 0, "{}", scenario.name);
}

fn files() -> Option<Vec<PathBuf>> {
    let folder = shared_data("scenarios")?;
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    Some(files)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_ends_as_expected_in_any_order() {
    let Some(files) = files() else { return };
    assert!(files.len() > 50, "only {} scenarios", files.len());
    let rig = Rig::new().await;
    let mut dice = Dice::new(7);
    for path in files {
        let scenario = scenario(&path);
        for (number, order) in orders(&scenario.deliveries).into_iter().enumerate() {
            apply(&rig, &scenario.endpoint, &order, &mut dice).await;
            check(&rig, &scenario, number, order.len()).await;
            rig.empty().await;
        }
    }
}

/// A history of our own: three changes and the creation of a subscription within one second.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_full_of_changes_ends_the_same_in_every_order() {
    let subscription = |status: &str, ending: bool, quantity: i64| {
        json!({"id": "sub_1", "object": "subscription", "status": status, "cancel_at_period_end": ending,
            "items": {"data": [{"id": "si_1", "price": "price_1", "quantity": quantity}]}})
    };
    let event = |id: &str, kind: &str, object: Value, previous: Option<Value>| {
        let mut data = json!({"object": object});
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        let body = json!({"id": id, "object": "event", "type": format!("customer.subscription.{kind}"), "created": 5,
            "livemode": false, "data": data});
        Bytes::from(body.to_string())
    };
    let items = |quantity: i64| json!({"data": [{"id": "si_1", "price": "price_1", "quantity": quantity}]});
    let events = [
        event("evt_d", "created", subscription("incomplete", false, 1), None),
        event(
            "evt_c",
            "updated",
            subscription("active", false, 1),
            Some(json!({"status": "incomplete"})),
        ),
        event(
            "evt_b",
            "updated",
            subscription("active", false, 2),
            Some(json!({"items": items(1)})),
        ),
        event(
            "evt_a",
            "updated",
            subscription("active", true, 2),
            Some(json!({"cancel_at_period_end": false})),
        ),
    ];
    let rig = Rig::new().await;
    let endpoint = Endpoint {
        name: "default".into(),
        secrets: Vec::new(),
        livemode: None,
        accounts: Accounts::default(),
        token: None,
    };
    let mut dice = Dice::new(1);
    for order in permutations(&events) {
        apply(&rig, &endpoint, &order, &mut dice).await;
        let stands = "SELECT event_id || ' ' || status || ' ' || cancel_at_period_end FROM subscriptions";
        assert_eq!(rig.text(stands).await.as_deref(), Some("evt_a active true"));
        assert_eq!(rig.count("SELECT quantity FROM subscription_items").await, 2);
        rig.empty().await;
    }
}

fn permutations(events: &[Bytes]) -> Vec<Vec<Bytes>> {
    if events.len() <= 1 {
        return vec![events.to_vec()];
    }
    (0..events.len())
        .flat_map(|first| {
            let mut rest = events.to_vec();
            let head = rest.remove(first);
            permutations(&rest).into_iter().map(move |mut tail| {
                tail.insert(0, head.clone());
                tail
            })
        })
        .collect()
}
