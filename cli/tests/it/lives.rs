//! Random lives of many customers at once, held against the truth: in any order, with repetitions and twins, in any
//! mix of versions, applied by two workers of whom one dies every now and then.
//!
//! `TOLLGATE_LIVES=200000 cargo test --release -p cli --test it lives` is for the night.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::{Class, Policy};
use serde_json::Value;
use shared::queue::CHUNK_ENTRIES_MAX;
use simulator::ApiVersion;
use simulator::catalogue::Catalogue;
use simulator::deliveries::{Hostility, deliveries};
use simulator::dice::Dice;
use simulator::event::Event;
use simulator::history::random::Options;
use simulator::history::{Life, Setting, catalogue_events, random};
use simulator::oracle::Truth;
use stack::{Proxy, Tap, Verdict};
use store::Store;
use worker::item::Item;
use worker::reckon::{MARKS_MAX, reckon};
use worker::transact::transact;

use crate::crashes::items;
use crate::ledger::check::round;
use crate::support::Rig;
use crate::support::laws::{self, Difference, differing};
use crate::support::seeds::{cut, setting};

/// Lives, unless `TOLLGATE_LIVES` says otherwise.
const LIVES: u64 = 10_000;
/// The first life's seed, unless `TOLLGATE_LIVES_SEED` says otherwise.
const SEED: u64 = 1;
/// Lives in one database at the same time.
const CROWD: u64 = 250;
/// When lives begin, unix seconds.
const START: i64 = 1_790_000_000;
/// Messages to Postgres after which the mortal worker's connections die: at least, and at most so many more.
const LIFE_MESSAGES: (u64, u64) = (30, 300);
/// Share of chunks after which a worker reckons.
const RECKONED: f64 = 0.5;
/// Differences shown.
const SHOWN_MAX: usize = 8;
/// What repeats lives, after the variables that say which.
const COMMAND: &str = "cargo test -p cli --test it lives";
/// Most tries of one chunk; the mortal worker dies with some.
const TRIES_MAX: usize = 100;
/// Rows of one step of the ledger's check.
const CHECK_ROWS: u32 = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_life_ends_in_the_truth() {
    let (first, count) = (
        setting("TOLLGATE_LIVES_SEED", SEED),
        setting("TOLLGATE_LIVES", LIVES),
    );
    let rig = Rig::new().await;
    let catalogue = Arc::new(Catalogue::new(1, START));
    let mut begin = first;
    while begin < first + count {
        let end = (begin + CROWD).min(first + count);
        rig.empty().await;
        crowd(&rig, &catalogue, begin, end).await;
        begin = end;
    }
}

/// Lives of the seeds from `begin` to `end`, all at once.
async fn crowd(rig: &Rig, catalogue: &Arc<Catalogue>, begin: u64, end: u64) {
    let options = Options::new(Arc::clone(catalogue));
    let lives: Vec<Life> = (begin..end).map(|seed| random(seed, START, &options)).collect();
    let version = ApiVersion::V2026_10_28Endive;
    let setting = Setting {
        catalogue,
        version,
        connected: false,
        seed: 1,
        now: START,
    };
    let shop = catalogue_events(setting);
    let events = shop.iter().chain(lives.iter().flat_map(|life| &life.events));
    let sent = deliveries(events, begin, Hostility::USUAL).order;
    apply(rig, &sent, begin).await;
    let mut truth = Truth::default();
    for life in &lives {
        truth.extend(life.truth.clone());
    }
    let store = rig.store();
    let state = store.state("").await.expect("readable");
    let differences = differences(begin, &lives, &truth.expected(&sent), &state);
    let broken = round(&store, CHECK_ROWS, false).await;
    let mut violations: Vec<String> = broken.iter().map(|it| format!("{it:?}")).collect();
    violations.extend(laws::findings(rig).await);
    store.close().await;
    assert!(
        differences.is_empty() && violations.is_empty(),
        "{} differences, {violations:?}\n{}\nall of them again: TOLLGATE_LIVES_SEED={begin} TOLLGATE_LIVES={} {COMMAND}",
        differences.len(),
        differences[..differences.len().min(SHOWN_MAX)].join("\n"),
        end - begin
    );
}

/// What is not as it should be, each with the command that repeats the life it is from.
fn differences(begin: u64, lives: &[Life], expected: &Value, found: &Value) -> Vec<String> {
    let again = |it: Difference| {
        let mut numbered = (begin..).zip(lives);
        let life = numbered.find(|(_, life)| !life.truth.json()[&it.word][&it.id].is_null());
        let again = life.map_or_else(String::new, |(seed, life)| {
            format!(
                "\n  {}\n  TOLLGATE_LIVES_SEED={seed} TOLLGATE_LIVES=1 {COMMAND}",
                life.label()
            )
        });
        it.line + &again
    };
    differing(expected, found).into_iter().map(again).collect()
}

/// Two workers apply everything, in chunks that each takes when it is free.
async fn apply(rig: &Rig, sent: &[Event], seed: u64) {
    let items = items(0, sent.iter().map(|event| &event.body));
    let chunks = Arc::new(cut(items, CHUNK_ENTRIES_MAX as u64, &mut Dice::new(seed)));
    let next = Arc::new(AtomicU64::new(0));
    let deadly = proxy(rig, seed);
    let mut workers = tokio::task::JoinSet::new();
    for (number, url) in [(0, rig.database_url.clone()), (1, deadly.1)] {
        let (chunks, next) = (Arc::clone(&chunks), Arc::clone(&next));
        workers.spawn(async move {
            let store = Store::for_working(&url, 2).expect("an URL");
            let mut dice = Dice::new(seed + number);
            while let Some(chunk) =
                chunks.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).expect("small"))
            {
                transact_at_last(&store, chunk).await;
                if dice.chance(RECKONED) {
                    settle(&store).await;
                }
            }
            finish(&store).await;
            store.close().await;
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.expect("no panic");
    }
    drop(deadly.0);
}

async fn transact_at_last(store: &Store, chunk: &[Item]) {
    for _ in 0..TRIES_MAX {
        match transact(store, chunk).await {
            Ok(_) => return,
            Err(error) if error.class() == Class::Transient => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("a chunk was tried {TRIES_MAX} times");
}

/// Reckons until nobody's marks are free, or the worker dies.
async fn settle(store: &Store) {
    while let Ok(Some(_)) = reckon(store, &Policy::default(), MARKS_MAX).await {}
}

/// Reckons until there are no marks.
async fn finish(store: &Store) {
    loop {
        settle(store).await;
        if matches!(store.waiting().await, Ok(waiting) if waiting.marks == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A way to the database on which connections die at random messages, before they arrive or after.
fn proxy(rig: &Rig, seed: u64) -> (Proxy, String) {
    let connections = AtomicU64::new(seed);
    let new_tap = move || -> Tap {
        let mut dice = Dice::new(connections.fetch_add(1, Ordering::SeqCst));
        let mut left = LIFE_MESSAGES.0 + dice.below(LIFE_MESSAGES.1);
        let end = if dice.chance(0.5) {
            Verdict::CutBefore
        } else {
            Verdict::CutAfter
        };
        Box::new(move |_| {
            left = left.saturating_sub(1);
            if left == 0 { end } else { Verdict::Pass }
        })
    };
    let proxy = Proxy::tapped(rig.postgres(), new_tap).expect("a port");
    let url = rig.database_url_over(&proxy);
    (proxy, url)
}
