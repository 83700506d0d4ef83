//! Every scenario, in any order, with any repetition, by several workers: the same rows, and those the scenario
//! expects.
//!
//! More of it, for a night: `TOLLGATE_TEST_NIGHT=1 cargo test -p cli --test it scenarios::`. `TOLLGATE_TEST_SHUFFLES`
//! says how many orders at random, `TOLLGATE_TEST_SEED` which ones, `TOLLGATE_TEST_SCENARIO` of which scenarios.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingest::Endpoint;
use serde_json::{Map, Value, json};
use simulator::dice::Dice;

use crate::support::copies::{Template, by_copy, events_by_copy};
use crate::support::crew::{Chunk, Crew, Delivery, endpoint};
use crate::support::laws::{self, differences};
use crate::support::seeds::{cut, deal, is_night, setting, shaken};
use crate::support::{Rig, shared_data};

/// Random orders of each scenario, beside the one things happened in and its reverse.
const SHUFFLES: u64 = 200;
const SHUFFLES_AT_NIGHT: u64 = 5_000;
/// Share of deliveries that are repeated in a random order.
const REPEATED: f64 = 0.3;
/// Most deliveries of one scenario in one transaction.
const PIECE_MAX: u64 = 4;
/// Histories of up to so many events are tried in all orders.
const SHORT: usize = 7;
/// Deliveries that are compared at a time; then the database is emptied.
const WAVE: usize = 20_000;
/// The same, before Postgres knows the tables.
const FIRST_WAVE: usize = 1_000;
const WORKERS: usize = 2;

struct Scenario {
    name: String,
    endpoint: Arc<Endpoint>,
    deliveries: Vec<Template>,
    /// The id of each delivery's event.
    events: Vec<String>,
    expected: Value,
    state_path: Vec<Value>,
}

/// One scenario in one order.
#[derive(Clone)]
struct Order {
    scenario: usize,
    /// Places in its deliveries.
    places: Vec<usize>,
    pieces_max: u64,
    label: String,
}

fn scenario(path: &Path) -> Scenario {
    let value: Value = serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
    let events: Vec<&Value> = value["deliveries"]
        .as_array()
        .expect("deliveries")
        .iter()
        .map(|delivery| &delivery["event"])
        .collect();
    let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
    Scenario {
        name: name.to_owned(),
        endpoint: Arc::new(endpoint(value["config"]["expected_livemode"].as_bool())),
        deliveries: events
            .iter()
            .map(|event| Template::new(&event.to_string()))
            .collect(),
        events: events
            .iter()
            .map(|event| event["id"].as_str().expect("an id").to_owned())
            .collect(),
        expected: value["expected"].clone(),
        state_path: value["state_path"].as_array().cloned().unwrap_or_default(),
    }
}

/// All of them, or those whose name the environment says; nothing when they are not there.
fn scenarios() -> Option<Vec<Scenario>> {
    let folder = shared_data("scenarios")?;
    let wanted = std::env::var("TOLLGATE_TEST_SCENARIO").unwrap_or_default();
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    assert!(files.len() > 50, "only {} scenarios", files.len());
    files.retain(|path| path.to_string_lossy().contains(&wanted));
    files.sort();
    Some(files.iter().map(|path| scenario(path)).collect())
}

impl Scenario {
    fn copy(&self, place: usize, number: usize) -> Delivery {
        Delivery {
            body: self.deliveries[place].copy(number),
            endpoint: Arc::clone(&self.endpoint),
        }
    }

    fn expected_after(&self, deliveries: usize) -> Value {
        let mut expected = self.expected.clone();
        // The order has repetitions of its own.
        expected["events"]["deliveries"] = json!(deliveries);
        expected
    }

    /// The places of the events, each once.
    fn distinct(&self) -> Vec<usize> {
        let first = |place: &usize| !self.events[..*place].contains(&self.events[*place]);
        (0..self.events.len()).filter(first).collect()
    }
}

/// Tries orders, as many side by side as are good to compare.
async fn try_orders(scenarios: &[Scenario], orders: impl IntoIterator<Item = Order>) {
    let _again = Again;
    let rig = Rig::new().await;
    laws::guard(&rig).await;
    let crew = Crew::new(&rig, WORKERS);
    let mut dice = Dice::new(seed());
    let mut orders = orders.into_iter().peekable();
    let mut size = FIRST_WAVE;
    while orders.peek().is_some() {
        let wave = next_wave(&mut orders, size);
        crew.work(chunks(scenarios, &wave, &mut dice), dice.seed()).await;
        check(&rig, &crew, scenarios, &wave).await;
        if size == FIRST_WAVE {
            // As autovacuum does after a minute; until then Postgres knows nothing of the tables.
            rig.execute("ANALYZE").await;
        }
        size = WAVE;
        rig.empty().await;
    }
}

/// As many orders as have `size` deliveries together, but at least one.
fn next_wave(orders: &mut Peekable<impl Iterator<Item = Order>>, size: usize) -> Vec<Order> {
    let mut wave = Vec::new();
    let mut deliveries = 0;
    while let Some(order) = orders.next_if(|order| wave.is_empty() || deliveries + order.places.len() <= size)
    {
        deliveries += order.places.len();
        wave.push(order);
    }
    wave
}

fn chunks(scenarios: &[Scenario], wave: &[Order], dice: &mut Dice) -> Vec<Chunk> {
    let mut pieces = Vec::with_capacity(wave.len());
    for (number, order) in wave.iter().enumerate() {
        let copy = |place: &usize| scenarios[order.scenario].copy(*place, number);
        let deliveries: Vec<Delivery> = order.places.iter().map(copy).collect();
        pieces.push(cut(deliveries, order.pieces_max, dice));
    }
    deal(pieces, dice)
}

async fn check(rig: &Rig, crew: &Crew, scenarios: &[Scenario], wave: &[Order]) {
    let mut found = by_copy(&laws::state(crew.store()).await);
    let mut events = events_by_copy(rig).await;
    for (number, order) in wave.iter().enumerate() {
        let mut found = found.remove(&number).unwrap_or_default();
        found.insert("events".to_owned(), events.remove(&number).unwrap_or_default());
        let scenario = &scenarios[order.scenario];
        let expected = scenario.expected_after(order.places.len());
        let differences = differences(&expected, &Value::Object(found));
        assert!(
            differences.is_empty(),
            "{}",
            scenario.complaint(order, &differences)
        );
    }
    assert_eq!(laws::findings(rig).await, Vec::<String>::new());
    let parked = rig.count("SELECT count(*) FROM parked_events").await;
    assert_eq!(parked, 0, "something was set aside");
}

impl Scenario {
    fn complaint(&self, order: &Order, differences: &[String]) -> String {
        let events: Vec<&str> = order
            .places
            .iter()
            .map(|place| self.events[*place].as_str())
            .collect();
        format!(
            "{}, {}:\n  {}\ndelivered: {}\n{}",
            self.name,
            order.label,
            differences.join("\n  "),
            events.join(" "),
            again(&self.name),
        )
    }
}

/// The command that tries the same orders again.
fn again(scenario: &str) -> String {
    format!(
        "again: TOLLGATE_TEST_SEED={} TOLLGATE_TEST_SHUFFLES={} TOLLGATE_TEST_SCENARIO={scenario} \
         cargo test -p cli --test it scenarios::",
        seed(),
        shuffles(),
    )
}

fn seed() -> u64 {
    setting("TOLLGATE_TEST_SEED", 1)
}

fn shuffles() -> u64 {
    let usual = if is_night() { SHUFFLES_AT_NIGHT } else { SHUFFLES };
    setting("TOLLGATE_TEST_SHUFFLES", usual)
}

/// Says how to try again when anything fails, wherever.
struct Again;

impl Drop for Again {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let wanted = std::env::var("TOLLGATE_TEST_SCENARIO").unwrap_or_default();
            eprintln!("everything {}", again(&wanted));
        }
    }
}

/// As it happened, backwards, and shuffled with repetitions.
fn some_orders(scenarios: &[Scenario]) -> impl Iterator<Item = Order> {
    let (seed, shuffles) = (seed(), shuffles());
    let of = move |(scenario, it): (usize, &Scenario)| {
        let all: Vec<usize> = (0..it.deliveries.len()).collect();
        let order = move |places: Vec<usize>, label: String| Order {
            scenario,
            places,
            pieces_max: PIECE_MAX,
            label,
        };
        let backwards = all.iter().rev().copied().collect();
        let straight = [
            order(all.clone(), "as it happened".into()),
            order(backwards, "backwards".into()),
        ];
        let shuffled = (0..shuffles).map(move |number| {
            let mut dice = Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
            order(shaken(&all, REPEATED, &mut dice), format!("shuffle {number}"))
        });
        straight.into_iter().chain(shuffled)
    };
    scenarios.iter().enumerate().flat_map(of)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_ends_as_expected_in_any_order() {
    let Some(scenarios) = scenarios() else { return };
    try_orders(&scenarios, some_orders(&scenarios)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_short_scenario_ends_as_expected_in_all_orders() {
    let Some(scenarios) = scenarios() else { return };
    let short = scenarios
        .iter()
        .enumerate()
        .map(|(scenario, it)| (scenario, it.distinct()))
        .filter(|(_, places)| places.len() <= SHORT);
    let orders = short.flat_map(|(scenario, places)| {
        permutations(&places).into_iter().map(move |places| Order {
            scenario,
            label: format!("permutation {places:?}"),
            places,
            pieces_max: 2,
        })
    });
    try_orders(&scenarios, orders).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_goes_through_its_states() {
    let Some(scenarios) = scenarios() else { return };
    let rig = Rig::new().await;
    let crew = Crew::new(&rig, 1);
    let longest = scenarios.iter().map(|it| it.deliveries.len()).max().unwrap_or(0);
    for delivered in 1..=longest {
        let living = || {
            scenarios
                .iter()
                .enumerate()
                .filter(|(_, it)| delivered <= it.deliveries.len())
        };
        let chunk: Chunk = living()
            .map(|(number, it)| it.copy(delivered - 1, number))
            .collect();
        crew.one_by_one([chunk]).await;
        let found = by_copy(&laws::state(crew.store()).await);
        for (number, scenario) in living() {
            let reached = |step: &&Value| {
                step["after"]
                    .as_u64()
                    .is_some_and(|after| after <= delivered as u64)
            };
            let Some(expected) = scenario.state_path.iter().rfind(reached) else {
                continue;
            };
            let nobody = Value::Object(Map::new());
            let users = found
                .get(&number)
                .and_then(|words| words.get("users"))
                .unwrap_or(&nobody);
            for (user, expected) in expected["users"].as_object().expect("users") {
                let at = format!("{} after {delivered}: {user}", scenario.name);
                assert_eq!(users[user]["state"], expected["state"], "{at}");
                assert_eq!(users[user]["credits"], expected["credits"], "{at}");
            }
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
        Delivery::plain(body.to_string())
    };
    let items = |quantity: i64| json!({"data": [{"id": "si_1", "price": "price_1", "quantity": quantity}]});
    let was = |previous: Value| Some(previous);
    let events = [
        event("evt_d", "created", subscription("incomplete", false, 1), None),
        event(
            "evt_c",
            "updated",
            subscription("active", false, 1),
            was(json!({"status": "incomplete"})),
        ),
        event(
            "evt_b",
            "updated",
            subscription("active", false, 2),
            was(json!({"items": items(1)})),
        ),
        event(
            "evt_a",
            "updated",
            subscription("active", true, 2),
            was(json!({"cancel_at_period_end": false})),
        ),
    ];
    let rig = Rig::new().await;
    let crew = Crew::new(&rig, WORKERS);
    let mut dice = Dice::new(1);
    for order in permutations(&events) {
        crew.work(cut(order, 3, &mut dice), dice.seed()).await;
        let stands = "SELECT event_id || ' ' || status || ' ' || cancel_at_period_end FROM subscriptions";
        assert_eq!(rig.text(stands).await.as_deref(), Some("evt_a active true"));
        assert_eq!(rig.count("SELECT quantity FROM subscription_items").await, 2);
        rig.empty().await;
    }
}

pub fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.len() <= 1 {
        return vec![items.to_vec()];
    }
    (0..items.len())
        .flat_map(|first| {
            let mut rest = items.to_vec();
            let head = rest.remove(first);
            permutations(&rest).into_iter().map(move |mut tail| {
                tail.insert(0, head.clone());
                tail
            })
        })
        .collect()
}
