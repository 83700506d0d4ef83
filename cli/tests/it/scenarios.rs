//! Every scenario, in any order, with any repetition: the same rows, and those the scenario expects.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use ingest::{Accounts, Endpoint};
use serde_json::{Map, Value, json};
use shared::queue::{Claimed, StreamId};
use shared::signature::Secret;
use simulator::dice::Dice;
use sqlx::AssertSqlSafe;
use worker::item::Item;
use worker::transact::transact;

use crate::support::{Rig, SECRET, entry, shared_data};

/// Random orders tried for each scenario, beside the one things happened in and its reverse.
const SHUFFLES: u64 = 3;
/// Share of deliveries that are repeated in a random order.
const REPEATED: f64 = 0.3;
/// Largest batch the deliveries are cut into.
const BATCH_MAX: u64 = 7;

/// What a scenario expects, from our tables: one query per word of its `expected`.
const TABLES: [(&str, &str); 7] = [
    (
        "subs",
        "SELECT id, jsonb_build_object('stripe_status', status, 'price', (
             SELECT price_id FROM subscription_items item
             WHERE (item.account, item.subscription_id) = (s.account, s.id) ORDER BY position LIMIT 1),
           'current_period_start', extract(epoch FROM current_period_start)::bigint,
           'current_period_end', extract(epoch FROM current_period_end)::bigint,
           'cancel_at_period_end', cancel_at_period_end,
           'cancel_at', extract(epoch FROM cancel_at)::bigint,
           'canceled_at', extract(epoch FROM canceled_at)::bigint,
           'ended_at', extract(epoch FROM ended_at)::bigint,
           'trial_end', extract(epoch FROM trial_end)::bigint,
           'latest_invoice', latest_invoice_id) FROM subscriptions s",
    ),
    (
        "invoices",
        "SELECT id, jsonb_build_object('status', status, 'billing_reason', billing_reason, 'total', total,
           'amount_due', amount_due, 'amount_paid', amount_paid, 'currency', currency,
           'subscription', subscription_id, 'attempt_count', attempt_count) FROM invoices",
    ),
    (
        "payments",
        "SELECT id, jsonb_build_object('status', status, 'amount', amount, 'amount_received', amount_received,
           'currency', currency, 'latest_charge', latest_charge_id,
           'invoice', coalesce(invoice_id,
             (SELECT invoice_id FROM invoice_payments WHERE payment_intent_id = p.id ORDER BY id LIMIT 1),
             (SELECT id FROM invoices WHERE payment_intent_id = p.id ORDER BY id LIMIT 1)))
         FROM payment_intents p",
    ),
    (
        "charges",
        "SELECT id, jsonb_build_object('status', status, 'amount', amount, 'amount_refunded', amount_refunded,
           'refunded', refunded) FROM charges",
    ),
    (
        "refunds",
        "SELECT id, jsonb_build_object('status', status, 'amount', amount, 'payment_intent', payment_intent_id,
           'charge', charge_id) FROM refunds",
    ),
    ("disputes", "SELECT id, jsonb_build_object('status', status, 'amount', amount, 'charge', charge_id) FROM disputes"),
    (
        "checkout_sessions",
        "SELECT id, jsonb_build_object('status', status, 'payment_status', payment_status, 'mode', mode)
         FROM checkout_sessions",
    ),
];

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

async fn apply(rig: &Rig, endpoint: &Endpoint, order: &[Bytes], dice: &mut Dice) {
    let store = rig.store();
    let mut rest = order;
    while !rest.is_empty() {
        let size = usize::try_from(dice.below(BATCH_MAX)).expect("small") + 1;
        let (batch, later) = rest.split_at(size.min(rest.len()));
        let items: Vec<Item> = batch.iter().map(|body| item(endpoint, body)).collect();
        transact(&store, &items).await.expect("committed");
        rest = later;
    }
    store.close().await;
}

fn item(endpoint: &Endpoint, body: &Bytes) -> Item {
    let mut entry = entry(body);
    entry.meta.mismatch = endpoint.judge(&entry.meta.envelope);
    Item::new(Claimed {
        id: StreamId { ms: 1, seq: 0 },
        deliveries: 1,
        entry: Ok(entry),
        fields: Vec::new(),
    })
}

async fn rows(rig: &Rig, sql: &str) -> Value {
    let rows: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT id, object::text FROM ({sql}) AS q (id, object)"
    )))
    .fetch_all(&rig.pool)
    .await
    .expect(sql);
    let parsed = |(id, object): (String, String)| (id, serde_json::from_str(&object).expect("JSON"));
    Value::Object(rows.into_iter().map(parsed).collect::<Map<_, _>>())
}

/// The members of `expected` that `ours` has, too: state, user and credits are not projections.
fn common(expected: &Value, ours: &Value) -> Value {
    let (Some(expected), Some(ours)) = (expected.as_object(), ours.as_object()) else {
        return expected.clone();
    };
    let pick = |(id, object): (&String, &Value)| {
        let known = ours.get(id).and_then(Value::as_object);
        let members = object.as_object().into_iter().flatten();
        let kept = members.filter(|(name, _)| known.is_none_or(|known| known.contains_key(*name)));
        (
            id.clone(),
            Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect()),
        )
    };
    Value::Object(expected.iter().map(pick).collect())
}

async fn check(rig: &Rig, scenario: &Scenario, order: usize) {
    for (word, sql) in TABLES {
        let ours = rows(rig, sql).await;
        let expected = common(&scenario.expected[word], &ours);
        assert_eq!(ours, expected, "{}, order {order}: {word}", scenario.name);
    }
    let distinct = scenario.expected["events"]["distinct"].as_i64();
    assert_eq!(
        Some(rig.count("SELECT count(*) FROM events").await),
        distinct,
        "{}",
        scenario.name
    );
    assert_eq!(
        rig.count("SELECT count(*) FROM parked_events").await,
        0,
        "{}",
        scenario.name
    );
}

async fn empty(rig: &Rig) {
    let tables = "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE schemaname = 'public'
                  AND tablename NOT IN ('_sqlx_migrations', 'schema_compatibility')";
    let tables = rig.text(tables).await.expect("tables");
    rig.execute(&format!("TRUNCATE {tables}")).await;
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
            check(&rig, &scenario, number).await;
            empty(&rig).await;
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
        empty(&rig).await;
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
