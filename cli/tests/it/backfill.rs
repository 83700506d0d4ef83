//! `tollgate backfill`: a shop with a past of which no event is left is brought in, also by one that was killed, and no
//! more than once in effect.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::config::Env;
use simulator::api::{Api, Faults, Limits};
use simulator::catalogue::Catalogue;
use simulator::history::random;
use simulator::history::random::Options;
use simulator::oracle::Truth;
use simulator::shop::{Model, Shop};
use stack::Signal;
use tokio::net::TcpListener;

use crate::support::laws::{self, Difference, differing};
use crate::support::process::{Ended, Tollgate};
use crate::support::{Rig, Running, wait_for};

/// When lives begin, unix seconds.
const START: i64 = 1_780_000_000;
const LIVES: u64 = 60;
/// Later than every life.
const UNTIL: &str = "2031-01-01T00:00:00Z";
/// How long each request takes when a backfill is to be met in the middle.
const SLOW: Duration = Duration::from_millis(150);
/// The truth is what events tell. None tells of the charge when a refund fails, none of some refunds that are pending, and
/// only those in old versions which invoice a payment that failed was for.
const TOLD_OTHERWISE: [&str; 3] = ["charges", "payments", "refunds"];
const LISTS: &str = "SELECT count(*) FROM backfill_lists WHERE finished_at IS NOT NULL";
const EVENTS: &str = "SELECT count(*) FROM events";

/// A Stripe that has forgotten its events, and an installation that has heard of none.
struct Past {
    rig: Rig,
    stripe: Api,
    env: Env,
    worker: Running,
    truth: Value,
}

impl Past {
    async fn open() -> Self {
        let rig = Rig::new().await;
        let catalogue = Arc::new(Catalogue::new(1, START));
        let options = Options::new(Arc::clone(&catalogue));
        let lives: Vec<_> = (1..=LIVES).map(|seed| random(seed, START, &options)).collect();
        let mut truth = Truth::default();
        lives.iter().for_each(|life| truth.extend(life.truth.clone()));
        let mut shop = Shop::of_histories(Model::new(&catalogue, &lives));
        shop.forget_events();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let stripe = Api::serve(listener, shop, Limits::NONE);
        let env = rig.env_with(&[
            ("STRIPE_API_KEY", "rk_test_1"),
            ("TOLLGATE_STRIPE_API_URL", &url),
            ("TOLLGATE_RECONCILE", "off"),
        ]);
        Self {
            worker: rig.worker_with(env.clone()),
            rig,
            stripe,
            env,
            truth: truth.json(),
        }
    }

    fn command<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["backfill", "--json", "--until", UNTIL], more].concat()
    }

    async fn run(&self, more: &[&str]) -> (Ended, Value) {
        let ended = Tollgate::run(&Self::command(more), &self.env).await;
        let said = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
        (ended, said)
    }

    /// All that is true of these lives is here, once everything has had its effect.
    async fn is_as_told(&self) {
        let store = self.rig.store();
        let mut last: Vec<Difference> = Vec::new();
        let reached = wait_for(async || {
            let found = laws::state(&store).await;
            last = differing(&self.truth, &found);
            last.retain(|it| !TOLD_OTHERWISE.contains(&it.word.as_str()) && !is_of_a_deleted_customer(it));
            last.is_empty()
        });
        let reached = reached.await;
        let lines: Vec<&str> = last.iter().map(|it| it.line.as_str()).take(12).collect();
        assert!(reached, "{} differences: {}", last.len(), lines.join("\n"));
        store.close().await;
    }
}

/// Stripe lists no customer who was deleted: all but the address follows from what they left.
fn is_of_a_deleted_customer(it: &Difference) -> bool {
    let plain = |row: &str| {
        row.split_once("\"email\":").map(|(before, rest)| {
            let rest = rest.split_once(",\"entitled\"").map_or("", |(_, rest)| rest);
            (
                before.rsplit_once('{').map_or("", |(_, row)| row).to_owned(),
                rest.to_owned(),
            )
        })
    };
    let sides = it.line.split_once(" instead of ");
    sides.is_some_and(|(found, told)| {
        it.word == "users"
            && found.contains("\"email\":null")
            && plain(found).is_some()
            && plain(found) == plain(told)
    })
}

fn sum(said: &Value, member: &str) -> i64 {
    let lists = said["lists"].as_array().unwrap_or_else(|| panic!("{said}"));
    lists.iter().filter_map(|list| list[member].as_i64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_without_events_is_brought_in_once() {
    let past = Past::open().await;
    let (ended, said) = past.run(&["--dry-run"]).await;
    assert_eq!(
        (ended.code, past.rig.count(EVENTS).await),
        (Some(0), 0),
        "{ended:?}"
    );
    let new = sum(&said, "new");
    assert!(new > i64::try_from(LIVES).expect("few"), "{said}");
    assert_eq!((sum(&said, "differ"), sum(&said, "equal")), (0, 0), "{said}");

    let (ended, said) = past.run(&[]).await;
    assert_eq!((ended.code, sum(&said, "unreadable")), (Some(0), 0), "{ended:?}");
    assert_eq!(said["resumed"], false);
    past.is_as_told().await;
    assert_eq!(laws::findings(&past.rig).await, Vec::<String>::new());
    let told = "SELECT count(*) FROM outbox WHERE type LIKE 'payment.%'";
    assert_eq!(past.rig.count(told).await, 0, "old news is no news");
    let audited = "SELECT count(*) FROM audit_log WHERE action = 'backfill'";
    assert_eq!(past.rig.count(audited).await, 1);

    let events = past.rig.count(EVENTS).await;
    let (ended, said) = past.run(&[]).await;
    assert_eq!(
        (ended.code, sum(&said, "new"), sum(&said, "differ")),
        (Some(0), 0, 0),
        "{said}"
    );
    assert_eq!(
        past.rig.count(EVENTS).await,
        events,
        "what is equal leaves nothing behind"
    );
    past.worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_killed_goes_on_where_it_was() {
    let past = Past::open().await;
    past.stripe.set_faults(Faults {
        latency: (SLOW, SLOW),
        ..Faults::default()
    });
    let mut killed = Tollgate::start(&Past::command(&[]), &past.env);
    let reached = wait_for(async || past.rig.count(LISTS).await >= 4).await;
    assert!(reached, "{}", killed.stderr());
    killed.signal(Signal::KILL);
    killed.end_within(Duration::from_secs(10)).await;
    assert!(past.rig.count(LISTS).await < 10, "in the middle");
    past.stripe.set_faults(Faults::default());

    let other = Tollgate::run(&["backfill", "--only", "refunds"], &past.env).await;
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(other.stderr.contains("--restart"), "{other:?}");
    let (ended, said) = past.run(&[]).await;
    assert_eq!(
        (ended.code, &said["resumed"]),
        (Some(0), &json!(true)),
        "{ended:?}"
    );
    past.is_as_told().await;

    let (ended, said) = past.run(&["--restart", "--only", "invoices,subscriptions"]).await;
    assert_eq!(
        (ended.code, sum(&said, "new"), sum(&said, "differ")),
        (Some(0), 0, 0),
        "{said}"
    );
    let lists = said["lists"].as_array().expect("lists");
    let kinds: Vec<&Value> = lists.iter().map(|list| &list["kind"]).collect();
    assert_eq!(kinds, ["subscription", "invoice"]);
    past.worker.stop().await.expect("a clean end");
}
