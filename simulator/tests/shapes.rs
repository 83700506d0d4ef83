//! The shape of our events: against what readers need, and against recorded examples where there are
//! any.

use std::io::Write;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use simulator::{
    ApiVersion,
    catalogue::Catalogue,
    event::{CURRENT_ONLY, Event, PROJECTED_TYPES},
    history::{STORIES, Setting, tell},
    traffic::Plan,
};

const START: i64 = 1_793_613_600;
/// Of the keys that we and an example have together, this share must be in both.
const COMMON_SHARE: f64 = 0.95;
/// `cus_` and fourteen characters is the shortest id; words like `price_details` are shorter.
const ID_LENGTH_MIN: usize = 18;

type Key = (String, ApiVersion);

fn events() -> Vec<Event> {
    let plan = Plan {
        connect: 0.0,
        unknown: 0.0,
        thin: 0.0,
        twins: 0.0,
        ..Plan::new(11, 6000, START)
    };
    plan.traffic()
        .distinct()
        .map(|event| event.as_ref().clone())
        .collect()
}

fn body(event: &Event) -> Value {
    serde_json::from_slice(&event.body).expect("JSON")
}

/// The objects of our events by type and version.
fn objects() -> BTreeMap<Key, Vec<Value>> {
    let mut all: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
    for event in events() {
        let version = event.version.expect("no thin events planned");
        all.entry((event.kind.clone(), version))
            .or_default()
            .push(body(&event)["data"]["object"].take());
    }
    all
}

/// The paths a reader of each object goes by (shape, never version): in both versions, only in the old
/// one, only in the current one.
type Needed = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

const NEEDED: &[Needed] = &[
    (
        "subscription",
        &["/status", "/customer", "/items/data/0/price/id"],
        &["/current_period_start", "/current_period_end"],
        &[
            "/items/data/0/current_period_start",
            "/items/data/0/current_period_end",
        ],
    ),
    (
        "invoice",
        &["/status", "/billing_reason", "/lines/data/0/period/end"],
        &[
            "/subscription",
            "/subscription_details/metadata/user_id",
            "/payment_intent",
            "/charge",
            "/lines/data/0/price/id",
            "/lines/data/0/price/product",
            "/lines/data/0/proration",
        ],
        &[
            "/parent/subscription_details/subscription",
            "/parent/subscription_details/metadata/user_id",
            "/lines/data/0/pricing/price_details/price",
            "/lines/data/0/pricing/price_details/product",
            "/lines/data/0/parent/subscription_item_details/proration",
        ],
    ),
    (
        "charge",
        &["/payment_intent", "/amount_refunded", "/status"],
        &["/invoice"],
        &[],
    ),
    (
        "payment_intent",
        &["/latest_charge", "/amount_received", "/status"],
        &["/invoice"],
        &[],
    ),
    (
        "refund",
        &["/amount", "/status", "/charge", "/payment_intent"],
        &[],
        &[],
    ),
    (
        "dispute",
        &[
            "/amount",
            "/status",
            "/charge",
            "/payment_intent",
            "/balance_transactions",
        ],
        &[],
        &[],
    ),
    (
        "checkout.session",
        &["/mode", "/status", "/payment_status", "/client_reference_id"],
        &[],
        &[],
    ),
    (
        "checkout.session",
        &["/metadata/user_id", "/amount_total", "/currency"],
        &[],
        &[],
    ),
    ("customer", &["/email", "/metadata/user_id"], &[], &[]),
    (
        "price",
        &["/metadata/credits", "/unit_amount", "/active", "/product"],
        &[],
        &[],
    ),
    (
        "invoice_payment",
        &["/invoice", "/payment/type", "/payment/payment_intent", "/status"],
        &[],
        &[],
    ),
    (
        "entitlements.active_entitlement_summary",
        &["/customer", "/entitlements/data/0/lookup_key"],
        &[],
        &[],
    ),
];

fn needed(object: &str, current: bool) -> impl Iterator<Item = &'static str> {
    let rows = NEEDED.iter().filter(move |row| row.0 == object);
    rows.flat_map(move |(_, both, old, new)| both.iter().chain(if current { *new } else { *old }))
        .copied()
}

/// Paths that moved away and must not be there any more (or not yet).
fn absent(object: &str, current: bool) -> &'static [&'static str] {
    match (object, current) {
        ("subscription", false) => &["/items/data/0/current_period_end", "/billing_mode"],
        ("subscription", true) => &["/current_period_start", "/current_period_end", "/discount"],
        ("invoice", false) => &["/parent", "/lines/data/0/pricing", "/lines/data/0/parent"],
        ("invoice", true) => &[
            "/subscription",
            "/payment_intent",
            "/charge",
            "/paid",
            "/lines/data/0/price",
            "/lines/data/0/proration",
        ],
        ("charge" | "payment_intent", true) => &["/invoice"],
        _ => &[],
    }
}

#[test]
fn what_readers_need_is_where_the_version_has_it() {
    for ((kind, version), objects) in objects() {
        for object in objects {
            let name = object["object"].as_str().expect("every object names its kind");
            for path in needed(name, version.is_current()) {
                assert!(object.pointer(path).is_some(), "{kind} {version} lacks {path}");
            }
            for path in absent(name, version.is_current()) {
                assert!(object.pointer(path).is_none(), "{kind} {version} has {path}");
            }
        }
    }
}

#[test]
fn bodies_are_as_large_as_real_ones() {
    let mut sizes: Vec<_> = events().iter().map(|event| event.body.len()).collect();
    sizes.sort_unstable();
    let median = sizes[sizes.len() / 2];
    assert!((3000..5500).contains(&median), "median {median} bytes");
    assert!(sizes[sizes.len() - 1] < 12_000);
}

/// Every text in `value` that has the shape of an object's id.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    const PREFIXES: [&str; 6] = ["cus_", "sub_", "in_", "pi_", "ch_", "price_"];
    match value {
        Value::String(text) if text.len() >= ID_LENGTH_MIN && !text.contains("_secret_") => {
            let is_id = PREFIXES.iter().any(|prefix| text.starts_with(prefix));
            found.extend(is_id.then(|| text.clone()));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(map) => map.values().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// Every story, told whole in both versions; cut traffic would lack the newest events.
fn stories(catalogue: &Catalogue) -> Vec<(String, Vec<Event>)> {
    let mut all = Vec::new();
    for version in ApiVersion::ALL {
        for (seed, story) in (1..).zip(STORIES) {
            let setting = Setting {
                catalogue,
                version,
                connected: false,
                seed,
                now: START,
            };
            all.push((format!("{} in {version}", story.name), tell(story, setting)));
        }
    }
    all
}

#[test]
fn no_story_ends_in_the_future_or_goes_back_in_time() {
    for (name, events) in stories(&Catalogue::new(1, START)) {
        assert!(events.iter().map(|event| event.created).is_sorted(), "{name}");
        assert!(events.iter().all(|event| event.created <= START), "{name}");
    }
}

#[test]
fn every_reference_leads_to_an_object_with_an_event() {
    let catalogue = Catalogue::new(1, START);
    for (name, events) in stories(&catalogue) {
        let mut known: BTreeSet<String> = events
            .iter()
            .filter_map(|event| event.object_id.clone())
            .collect();
        known.extend(catalogue.prices().map(|price| price.id.clone()));
        let mut named = BTreeSet::new();
        events
            .iter()
            .for_each(|event| references(&body(event)["data"], &mut named));
        let lost: Vec<_> = named.difference(&known).collect();
        assert!(lost.is_empty(), "{name} refers to {lost:?}");
    }
}

/// `created` has a resolution of one second, so whoever orders snapshots needs the status to tell two
/// of one second apart. Where neither differs, only another request to Stripe could help, and that
/// is not what these stories are for.
#[test]
fn snapshots_of_one_second_and_status_are_equal() {
    for (name, events) in stories(&Catalogue::new(1, START)) {
        let mut seen: BTreeMap<(String, i64, String), Value> = BTreeMap::new();
        for event in &events {
            let object = body(event)["data"]["object"].take();
            let Some(id) = event.object_id.clone() else {
                continue;
            };
            let key = (
                format!("{} {id}", object["object"]),
                event.created,
                object["status"].to_string(),
            );
            let first = seen.entry(key).or_insert_with(|| object.clone());
            assert!(*first == object, "{name}: {} at {}", event.kind, event.created);
        }
    }
}

fn examples() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/stripe/events");
    folder.is_dir().then_some(folder)
}

fn keys(value: &Value) -> BTreeSet<String> {
    value
        .as_object()
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}

/// The share of keys that both have.
fn common(ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> f64 {
    let (both, either) = (ours.intersection(theirs).count(), ours.union(theirs).count());
    f64::from(u32::try_from(both).expect("small")) / f64::from(u32::try_from(either.max(1)).expect("small"))
}

#[test]
fn the_keys_are_those_of_the_recorded_examples() {
    let Some(folder) = examples() else {
        // Not eprintln!, which the test runner keeps to itself.
        writeln!(
            std::io::stderr(),
            "NOT RUN: there are no recorded examples beside this repository"
        )
        .ok();
        return;
    };
    let ours = objects();
    let mut compared = 0;
    for version in ApiVersion::ALL {
        for kind in PROJECTED_TYPES {
            let Ok(text) = fs::read(folder.join(format!("{kind}__{version}.json"))) else {
                continue;
            };
            let example: Value = serde_json::from_slice(&text).expect("JSON");
            let theirs = keys(&example["data"]["object"]);
            let Some(objects) = ours.get(&((*kind).to_owned(), version)) else {
                assert!(CURRENT_ONLY.contains(kind), "{kind} in {version} is never made");
                continue;
            };
            let best = objects
                .iter()
                .map(|object| common(&keys(object), &theirs))
                .fold(0.0, f64::max);
            let first: Vec<_> = keys(&objects[0]).symmetric_difference(&theirs).cloned().collect();
            assert!(
                best >= COMMON_SHARE,
                "{kind} {version}: {best:.2} in common, differing in {first:?}"
            );
            compared += 1;
        }
    }
    assert!(compared > 90, "only {compared} types were compared");
}
