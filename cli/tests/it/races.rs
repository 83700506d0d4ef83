//! One worker stands still between any two statements of its reckoning while another applies what comes late and reckons
//! it: then both go on, and what is true does not depend on where the first one stood.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use domain::Policy;
use serde_json::{Value, json};
use simulator::event::Event;
use stack::{Proxy, Tap, Verdict};
use store::Store;
use worker::item::Item;
use worker::reckon::{MARKS_MAX, reckon};
use worker::transact::transact;

use crate::crashes::{history, items, work};
use crate::support::{Rig, event, laws};

/// What customers live through.
const STORIES: [&str; 1] = ["refund_subscription"];
/// What comes late, by the beginning of its type, one kind in each round.
const LATE: [&[&str]; 2] = [&["refund.", "charge.refund"], &["price.", "product."]];
/// How long the other one works while the first stands still; by then it is done, or waits for the first.
const HEAD_START: Duration = Duration::from_millis(30);
/// Longest until the first one gets to where it is to stand.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections of each: one, so that messages have an order.
const CONNECTIONS_MAX: u32 = 1;

/// A way to the database on which one message waits until it may go on.
struct Way {
    proxy: Proxy,
    reached: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

fn way(rig: &Rig, at: u64) -> Way {
    let (tell, reached) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let (sent, wait) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(wait)));
    let new_tap = move || -> Tap {
        let (sent, tell, wait) = (Arc::clone(&sent), tell.clone(), Arc::clone(&wait));
        Box::new(move |_| {
            if sent.fetch_add(1, Ordering::SeqCst) == at {
                // Nobody listens any more when the test has failed.
                tell.send(()).unwrap_or_default();
                wait.lock().expect("unpoisoned").recv().unwrap_or_default();
            }
            Verdict::Pass
        })
    };
    let proxy = Proxy::tapped(rig.postgres(), new_tap).expect("a port");
    Way {
        proxy,
        reached,
        go_on,
    }
}

async fn reckon_all(store: Store) {
    while matches!(reckon(&store, &Policy::default(), MARKS_MAX).await, Ok(Some(_))) {}
    store.close().await;
}

/// What is true, and what breaks a law.
async fn outcome(rig: &Rig) -> (Value, Option<String>, Vec<String>) {
    let store = rig.store();
    let state = store.state("").await.expect("readable");
    store.close().await;
    let ledger = "SELECT string_agg(concat_ws(' ', key, owner_id, credits), E'\\n' ORDER BY key, owner_id) FROM (
                      SELECT e.key, a.owner_id, sum(e.amount) AS credits FROM ledger_entries e
                      JOIN ledger_accounts a ON a.id = e.ledger_account_id GROUP BY 1, 2) AS sums WHERE credits <> 0";
    (state, rig.text(ledger).await, laws::findings(rig).await)
}

/// Applies what came early, lets one worker reckon and stand still at a message, lets another one apply and reckon the
/// rest, lets both go on. Returns whether there was such a message.
async fn race(
    rig: &Rig,
    Round {
        before, early, late, ..
    }: &Round,
    at: u64,
) -> bool {
    rig.empty().await;
    let store = rig.store();
    work(&store, before).await.expect("Postgres is there");
    transact(&store, early).await.expect("Postgres is there");
    let Way {
        proxy,
        reached,
        go_on,
    } = way(rig, at);
    let first = Store::new(&rig.database_url_over(&proxy), "first", CONNECTIONS_MAX).expect("an URL");
    let first = tokio::spawn(reckon_all(first));
    let stands = tokio::task::spawn_blocking(move || reached.recv_timeout(PATIENCE).is_ok());
    while !stands.is_finished() && !first.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let is_there = stands.is_finished();
    let (other, late) = (
        Store::new(&rig.database_url, "other", CONNECTIONS_MAX).expect("an URL"),
        late.clone(),
    );
    let other = tokio::spawn(async move {
        while transact(&other, &late).await.is_err() {}
        reckon_all(other).await;
    });
    tokio::time::sleep(HEAD_START).await;
    // It is over when there was no such message.
    go_on.send(()).unwrap_or_default();
    for worker in [first, other] {
        worker.await.expect("no panic");
    }
    work(&store, &[]).await.expect("Postgres is there");
    store.close().await;
    drop(proxy);
    is_there
}

/// What is known early, and what comes late.
struct Round {
    name: String,
    /// Applied and reckoned before it begins.
    before: Vec<Item>,
    early: Vec<Item>,
    late: Vec<Item>,
}

impl Round {
    fn new(name: String, [before, early, late]: [&[Bytes]; 3]) -> Self {
        assert!(!late.is_empty(), "{name}");
        let from = |n: usize| u64::try_from(n).expect("small");
        Self {
            name,
            before: items(0, before),
            early: items(from(before.len()), early),
            late: items(from(before.len() + early.len()), late),
        }
    }

    fn of(history: &[Event], kinds: &[&str]) -> Self {
        let is_late = |event: &&Event| kinds.iter().any(|kind| event.kind.starts_with(kind));
        let (late, early): (Vec<&Event>, Vec<&Event>) = history.iter().partition(is_late);
        let bodies = |events: Vec<&Event>| {
            events
                .into_iter()
                .map(|event| event.body.clone())
                .collect::<Vec<_>>()
        };
        Self::new(format!("{kinds:?}"), [&[], &bodies(early), &bodies(late)])
    }

    /// A team without a customer buys, and gets half of it back: no lock but the payment's own is on the way.
    fn of_a_team() -> Self {
        let paid = json!({"id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 1000,
            "amount_received": 1000, "currency": "usd", "created": 1,
            "metadata": {"credits_source": "payment_intent", "credits": "500", "team_id": "t"}});
        let refund = json!({"id": "re_1", "object": "refund", "status": "succeeded", "amount": 500, "currency": "usd",
            "payment_intent": "pi_1"});
        let charge = json!({"id": "ch_1", "object": "charge", "status": "succeeded", "amount": 1000, "currency": "usd",
            "payment_intent": "pi_1"});
        let before = event("evt_1", "payment_intent.succeeded", 1, &paid);
        let early = event("evt_2", "charge.succeeded", 1, &charge);
        let late = event("evt_3", "refund.created", 2, &refund);
        Self::new("a team's refund".to_owned(), [&[before], &[early], &[late]])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_stands_when_the_rest_comes_makes_no_difference() {
    let history = history(&STORIES);
    let rounds = LATE.iter().map(|kinds| Round::of(&history, kinds));
    let rig = Rig::new().await;
    for round in [Round::of_a_team()].into_iter().chain(rounds) {
        let name = &round.name;
        rig.empty().await;
        let store = rig.store();
        for items in [&round.before, &round.early, &round.late] {
            work(&store, items).await.expect("Postgres is there");
        }
        store.close().await;
        let expected = outcome(&rig).await;
        assert_eq!(expected.2, [""; 0], "{name}");
        let mut at = 0;
        while race(&rig, &round, at).await {
            assert_eq!(
                outcome(&rig).await,
                expected,
                "{name} came while one stood at message {at}"
            );
            at += 1;
        }
        assert!(at > 20, "only {at} messages");
    }
}
