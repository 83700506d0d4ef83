//! Random lives that events alone do not tell: a second full of contradictions, invoices longer than an event shows.
//! The rest is asked of the model's API, within its limits and through its failures.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use simulator::ApiVersion;
use simulator::api::{Api, Faults, Limits};
use simulator::catalogue::Catalogue;
use simulator::deliveries::{Hostility, deliveries};
use simulator::history::random::Options;
use simulator::history::{Life, Riddles, Setting, catalogue_events, random};
use simulator::oracle::Truth;
use simulator::shop::{Model, Shop};
use tokio::net::TcpListener;

use crate::support::Rig;
use crate::support::laws::{Difference, differing};

const START: i64 = 1_790_000_000;
const LIVES: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn what_events_do_not_tell_is_asked_and_then_true() {
    let catalogue = Arc::new(Catalogue::new(1, START));
    let options = Options {
        riddles: Riddles::Allow,
        long_invoices: true,
        ..Options::new(Arc::clone(&catalogue))
    };
    let lives: Vec<Life> = (1..=LIVES).map(|seed| random(seed, START, &options)).collect();
    let model = Model::new(&catalogue, &lives);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let api = Api::serve(listener, Shop::of_histories(model), Limits::SANDBOX);
    api.set_faults(Faults {
        errors: 0.05,
        ..Faults::default()
    });

    let version = ApiVersion::V2026_10_28Endive;
    let shop = catalogue_events(Setting {
        catalogue: &catalogue,
        version,
        connected: false,
        seed: 1,
        now: START,
    });
    let events = shop.iter().chain(lives.iter().flat_map(|life| &life.events));
    let sent = deliveries(events, 1, Hostility::USUAL).order;
    let bodies: Vec<Bytes> = sent.iter().map(|event| event.body.clone()).collect();
    let rig = Rig::new().await;
    rig.enqueue(&bodies).await;
    let env = rig.env_with(&[("STRIPE_API_KEY", "rk_test_1"), ("TOLLGATE_STRIPE_API_URL", &url)]);
    let worker = rig.worker_with(env);
    let store = rig.store();
    let count =
        i64::try_from(lives.iter().map(|life| life.events.len()).sum::<usize>() + shop.len()).expect("small");
    rig.wait_for_count("SELECT count(*) FROM events WHERE rendering <> 'fetched'", count)
        .await;
    let left =
        "SELECT (SELECT count(*) FROM marks) + (SELECT count(*) FROM refetches WHERE given_up_at IS NULL)";
    rig.wait_for_count(left, 0).await;

    let mut truth = Truth::default();
    for life in &lives {
        truth.extend(life.truth.clone());
    }
    let state = store.state("").await.expect("readable");
    let asked = api.counters();
    let wrong = differences(&lives, &truth.expected(&sent), &state);
    assert!(wrong.is_empty(), "{asked:?}\n{}", wrong.join("\n"));
    assert!(
        asked.requests > 0 && asked.limited == 0 && asked.highest_rate <= 25,
        "{asked:?}"
    );
    worker.stop().await.expect("it ends well");
    store.close().await;
}

/// What is not as it should be, but for what no rule can see that it has to be asked: a debit that goes back in status
/// within a second.
fn differences(lives: &[Life], expected: &Value, found: &Value) -> Vec<String> {
    let is_debit =
        |it: &Difference| it.word == "payments" && lives.iter().any(|life| life.riddles.contains(&it.id));
    let differing = differing(expected, found).into_iter();
    differing.filter(|it| !is_debit(it)).map(|it| it.line).collect()
}
