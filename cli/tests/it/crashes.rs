//! A worker that dies between any two statements, or after one whose answer it never hears: started again, it comes to
//! the same rows, the same ledger and the same news as one that never died.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::Policy;
use serde_json::Value;
use shared::queue::{Claimed, StreamId};
use simulator::ApiVersion;
use simulator::catalogue::Catalogue;
use simulator::event::Event;
use simulator::history::{Setting, Story, catalogue_events, tell};
use stack::{Proxy, Verdict};
use store::Store;
use worker::item::Item;
use worker::reckon::{MARKS_MAX, reckon};
use worker::transact::transact;

use crate::support::{Rig, entry};

/// What customers live through: credits granted, topped up, taken back, held, and a subscription that ends.
const STORIES: [&str; 4] = [
    "refund_subscription",
    "dispute_lost",
    "refund_partial_twice",
    "payment_recovers",
];
/// A message nobody sends.
const NEVER: u64 = u64::MAX;
/// Connections of the worker: one, so that its messages have an order.
const CONNECTIONS_MAX: u32 = 1;

/// What happens to customers with these stories, in that order.
pub fn history(stories: &[&str]) -> Vec<Event> {
    let (seed, now) = (11, 1_760_000_000);
    let catalogue = Catalogue::new(seed, now);
    let setting = Setting {
        catalogue: &catalogue,
        version: ApiVersion::V2026_10_28Endive,
        connected: false,
        seed,
        now,
    };
    let stories = stories.iter().map(|name| Story::named(name).expect("a story"));
    let lives = (0..).zip(stories).flat_map(|(n, story)| {
        tell(
            story,
            Setting {
                seed: seed + n,
                ..setting
            },
        )
    });
    catalogue_events(setting).into_iter().chain(lives).collect()
}

/// As a worker claims them, the first as entry `first`.
pub fn items<'a>(first: u64, bodies: impl IntoIterator<Item = &'a Bytes>) -> Vec<Item> {
    let entries = (first..).zip(bodies).map(|(seq, body)| Claimed {
        id: StreamId { shard: 0, ms: 1, seq },
        deliveries: 1,
        entry: Ok(entry(body)),
        fields: Vec::new(),
    });
    entries.map(Item::new).collect()
}

/// Applies everything and reckons until nothing is left; `None` when Postgres went away on the way.
pub async fn work(store: &Store, items: &[Item]) -> Option<()> {
    transact(store, items).await.ok()?;
    loop {
        while reckon(store, &Policy::default(), MARKS_MAX).await.ok()?.is_some() {}
        if store.waiting().await.ok()?.marks == 0 {
            return Some(());
        }
        // Postgres has not yet noticed that who held them is dead.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Everything that is true afterwards. Times and numbers that only count attempts are left out.
async fn outcome(rig: &Rig) -> (Value, Option<String>, Option<String>) {
    let store = rig.store();
    let state = store.state("").await.expect("readable");
    store.close().await;
    let ledger = "SELECT string_agg(concat_ws(' ', kind, owner_kind, owner_id, amount, key, seq), E'\\n'
                      ORDER BY key, seq, kind, owner_kind, owner_id, amount)
                  FROM ledger_entries JOIN ledger_accounts a ON a.id = ledger_account_id";
    let news = "SELECT string_agg(key, E'\\n' ORDER BY key) FROM outbox";
    (state, rig.text(ledger).await, rig.text(news).await)
}

/// A way to the database that ends at one message.
struct Way {
    proxy: Proxy,
    url: String,
    sent: Arc<AtomicU64>,
}

fn way(rig: &Rig, at: u64, verdict: Verdict) -> Way {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let tap = move || -> stack::Tap {
        let counter = Arc::clone(&counter);
        Box::new(move |_| match counter.fetch_add(1, Ordering::SeqCst) {
            n if n == at => verdict,
            // Whoever dies does not connect again.
            n if n > at => Verdict::CutBefore,
            _ => Verdict::Pass,
        })
    };
    let proxy = Proxy::tapped(rig.postgres(), tap).expect("a port");
    let url = rig.database_url_over(&proxy);
    Way { proxy, url, sent }
}

/// A worker's life that ends at a message; returns how many it sent, and whether it was done.
async fn live(rig: &Rig, items: &[Item], at: u64, verdict: Verdict) -> (u64, bool) {
    let way = way(rig, at, verdict);
    let store = Store::new(&way.url, "test", CONNECTIONS_MAX).expect("an URL");
    let ended = work(&store, items).await;
    let sent = way.sent.load(Ordering::SeqCst);
    store.close().await;
    drop(way.proxy);
    (sent, ended.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_die_at_any_statement() {
    let items = items(0, history(&STORIES).iter().map(|event| &event.body));
    let rig = Rig::new().await;
    let (messages, _) = live(&rig, &items, NEVER, Verdict::Pass).await;
    let expected = outcome(&rig).await;
    assert!(messages > 50, "only {messages} messages");
    let ledger = expected.1.as_deref().unwrap_or_default();
    for kind in ["grant", "topup", "refund", "dispute"] {
        assert!(ledger.contains(kind), "no {kind} in {ledger}");
    }
    for at in 0..messages {
        for verdict in [Verdict::CutBefore, Verdict::CutAfter] {
            rig.empty().await;
            let (_, is_done) = live(&rig, &items, at, verdict).await;
            // The last message is a farewell that nobody waits for.
            assert!(!is_done || at + 1 >= messages, "{verdict:?} at {at} did nothing");
            // Its successor is given what was not acknowledged: all of it.
            let store = rig.store();
            work(&store, &items).await.expect("Postgres is there");
            store.close().await;
            assert_eq!(
                outcome(&rig).await,
                expected,
                "{verdict:?} at message {at} of {messages}"
            );
        }
    }
}
