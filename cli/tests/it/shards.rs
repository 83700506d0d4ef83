//! The queue's shards: each is read by one worker at a time, whoever comes and goes, and so one customer's events never
//! run at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::streams::{StreamInfoConsumersReply, StreamRangeReply};
use shared::queue::fleet::{ATTEND_EVERY, SHARD_LEASE};
use shared::queue::shards::said;
use shared::queue::{CHUNK_ENTRIES_MAX, GROUP, Keys, NOBODY};
use stack::Signal;

use crate::support::process::Tollgate;
use crate::support::{Rig, customer, event, wait_for, wait_within};

const SHARDS: u16 = 8;
const ALL: &str = "SELECT count(*) FROM events";
/// Well below a shard's lease: within it nothing was waited for.
const PROMPTLY: Duration = Duration::from_secs(5);
/// Few enough for one worker to hold, however they fall.
const HELD: usize = CHUNK_ENTRIES_MAX;
/// Until a dead worker's shards are somebody's, and a busy machine's time.
const INHERITED: Duration = Duration::from_secs(SHARD_LEASE.as_secs() + ATTEND_EVERY.as_secs() + 3);

fn customers(from: usize, to: usize) -> Vec<Bytes> {
    (from..to).map(|number| customer(number, 1)).collect()
}

/// One customer's.
fn busy(from: usize, to: usize) -> Vec<Bytes> {
    let object = serde_json::json!({"id": "cus_busy", "object": "customer"});
    let body = |number| event(&format!("evt_busy{number}"), "customer.updated", 1, &object);
    (from..to).map(body).collect()
}

/// Who has a name in the group of each shard.
async fn readers(rig: &Rig) -> BTreeMap<u16, BTreeSet<String>> {
    let (mut readers, mut redis) = (BTreeMap::new(), rig.redis().await);
    for shard in 0..SHARDS {
        let mut command = redis::cmd("XINFO");
        command
            .arg("CONSUMERS")
            .arg(Keys::new(&rig.prefix, shard).events)
            .arg(GROUP);
        let reply = command.query_async::<StreamInfoConsumersReply>(&mut redis);
        let consumers = reply.await.expect("a group").consumers;
        let names = consumers.into_iter().map(|it| it.name);
        readers.insert(shard, names.filter(|name| name != NOBODY).collect());
    }
    readers
}

/// Waits until each shard is read by nobody but its holder.
async fn assert_read_by_holders(rig: &Rig, workers: usize) {
    let holders = rig.wait_until_shared(usize::from(SHARDS), workers).await;
    let mut seen = BTreeMap::new();
    let reached = wait_for(async || {
        seen = readers(rig).await;
        let is_its = |name: &String, shard: &u16| holders.get(name).is_some_and(|has| has.contains(shard));
        seen.iter()
            .all(|(shard, names)| names.iter().all(|name| is_its(name, shard)))
    });
    assert!(reached.await, "{seen:?} read, and {holders:?} hold");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_share_the_shards_whoever_comes_and_goes() {
    let rig = Rig::new().await;
    rig.enqueue_into(SHARDS, &customers(0, 100)).await;
    let first = rig.worker();
    assert_read_by_holders(&rig, 1).await;
    let second = rig.worker();
    assert_read_by_holders(&rig, 2).await;
    rig.enqueue_into(SHARDS, &customers(100, 200)).await;
    let third = rig.worker();
    assert_read_by_holders(&rig, 3).await;
    rig.enqueue_into(SHARDS, &customers(200, 300)).await;
    second.stop().await.expect("a clean end");
    let stopped_at = Instant::now();
    assert_read_by_holders(&rig, 2).await;
    assert!(stopped_at.elapsed() < PROMPTLY, "its shards were not let go of");
    rig.wait_for_count(ALL, 300).await;
    for worker in [first, third] {
        worker.stop().await.expect("a clean end");
    }
    assert!(rig.holders().await.is_empty());
    let left = rig.consumers().await;
    assert!(
        left.iter().all(|(name, held)| name == NOBODY && *held == 0),
        "{left:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_s_shards_are_somebody_else_s_before_its_entries_are() {
    let rig = Rig::new().await;
    rig.enqueue_into(SHARDS, &[]).await;
    let mut first = Tollgate::start(&["worker"], &rig.env());
    first.ready().await;
    let second = rig.worker();
    rig.wait_until_shared(usize::from(SHARDS), 2).await;
    let held_up = rig.hold_up("customers").await;
    rig.enqueue_into(SHARDS, &customers(0, HELD)).await;
    let all_held = wait_for(async || {
        rig.probe()
            .depth(0)
            .await
            .is_ok_and(|depth| depth.in_flight == HELD as u64)
    });
    assert!(all_held.await, "they do not take them");
    first.signal(Signal::KILL);
    drop(held_up);
    let inherited = wait_within(INHERITED, async || rig.holders().await.len() == 1);
    assert!(inherited.await, "{:?}", rig.holders().await);
    rig.wait_until_drained().await;
    let once = "SELECT count(DISTINCT id) FROM events WHERE status = 'applied'";
    assert_eq!(
        (rig.count(ALL).await, rig.count(once).await),
        (HELD as i64, HELD as i64)
    );
    second.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_workers_than_shards_wait_as_spares() {
    let rig = Rig::new().await;
    // As a build left it that knew one shard only, and said nothing.
    rig.enqueue(&customers(0, 10)).await;
    let start = || Tollgate::start(&["worker"], &rig.env());
    let mut workers = [start(), start()];
    for worker in &mut workers {
        worker.ready().await;
    }
    rig.wait_for_count(ALL, 10).await;
    let is_spare = |worker: &Tollgate| worker.stderr().contains("it waits as a spare");
    assert!(
        wait_for(async || workers.iter().any(is_spare)).await,
        "nobody says so"
    );
    let holder = rig.wait_until_shared(1, 1).await;
    let [mut first, second] = workers;
    let holds = holder.contains_key(&first.logged("working", "consumer").await);
    let (busy, spare) = if holds { (first, second) } else { (second, first) };
    assert_eq!(busy.terminate(PROMPTLY).await, Some(0));
    rig.enqueue(&customers(10, 20)).await;
    let done = wait_within(PROMPTLY, async || rig.backlog().await == 0);
    assert!(done.await, "the spare does not step in");
    assert_eq!(rig.count(ALL).await, 20);
    assert_eq!(spare.terminate(PROMPTLY).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_are_emptied_that_nobody_fills_any_more() {
    let rig = Rig::new().await;
    rig.enqueue(&customers(0, 50)).await;
    for (shards, from) in [(8, 50), (3, 100), (16, 150), (1, 200)] {
        rig.enqueue_into(shards, &customers(from, from + 50)).await;
    }
    let worker = rig.worker();
    rig.wait_for_count(ALL, 250).await;
    rig.wait_until_drained().await;
    rig.wait_until_shared(16, 1).await;
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_forgot_everything_is_shared_again() {
    let rig = Rig::new().await;
    rig.enqueue_into(SHARDS, &customers(0, 50)).await;
    let workers = [rig.worker(), rig.worker()];
    let before = rig.wait_until_shared(usize::from(SHARDS), 2).await;
    rig.wait_for_count(ALL, 50).await;
    rig.wait_until_drained().await;
    // The server is everybody's: what is this test's, at once.
    let mut flush = redis::cmd("DEL");
    for what in ["workers", "holders", "shards"] {
        flush.arg(format!("{{{}:v1}}:{what}", rig.prefix));
    }
    for shard in 0..SHARDS {
        flush.arg(Keys::new(&rig.prefix, shard).events);
    }
    flush
        .query_async::<()>(&mut rig.redis().await)
        .await
        .expect("gone");
    let after = rig.wait_until_shared(usize::from(SHARDS), 2).await;
    assert_eq!(before, after, "everybody keeps what it has");
    // Without saying which shards there are: the workers have said so.
    let producer = rig.producer_into(SHARDS);
    for body in customers(50, 100) {
        let _receipt = producer
            .enqueue(&crate::support::entry(&body))
            .await
            .expect("taken");
    }
    rig.wait_for_count(ALL, 100).await;
    for worker in workers {
        worker.stop().await.expect("a clean end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_says_which_shards_there_are_and_says_it_again() {
    let rig = Rig::new().await;
    let mut ingest = Tollgate::start(&["ingest"], &rig.env_with(&[("TOLLGATE_QUEUE_SHARDS", "5")]));
    ingest.ready().await;
    let (key, mut redis) = (said(&rig.prefix), rig.redis().await);
    for _ in 0..2 {
        let mut seen = BTreeSet::new();
        let reached = wait_for(async || {
            let mut command = redis::cmd("SMEMBERS");
            let members = command.arg(&key).query_async::<BTreeSet<u16>>(&mut redis);
            seen = members.await.expect("a set");
            // The first need not be said.
            seen.is_superset(&(1..5).collect())
        });
        assert!(reached.await, "{seen:?}");
        let mut forget = redis::cmd("DEL");
        let forgotten = forget.arg(&key).query_async::<()>(&mut redis);
        forgotten.await.expect("gone");
    }
    assert_eq!(ingest.terminate(PROMPTLY).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_customer_s_events_never_run_at_the_same_time() {
    let rig = Rig::new().await;
    let store = rig.store();
    store.watch_overlaps("cus_busy").await.expect("watched");
    rig.enqueue_into(SHARDS, &busy(0, 400)).await;
    let first = rig.worker();
    rig.wait_for_count("SELECT least(count(*), 1) FROM events", 1)
        .await;
    // While they come and go, there is always more.
    let second = rig.worker();
    for round in 1..6 {
        rig.enqueue_into(SHARDS, &busy(round * 400, (round + 1) * 400))
            .await;
    }
    let third = rig.worker();
    rig.wait_until_shared(usize::from(SHARDS), 3).await;
    first.stop().await.expect("a clean end");
    rig.enqueue_into(SHARDS, &busy(2_400, 2_800)).await;
    rig.wait_for_count(ALL, 2_800).await;
    assert_eq!(store.overlaps().await.expect("a number"), 0);
    for worker in [second, third] {
        worker.stop().await.expect("a clean end");
    }
}

/// The one before can fail: without the rule, they meet.
#[tokio::test(flavor = "multi_thread")]
async fn events_in_the_wrong_shards_do_run_at_the_same_time() {
    let rig = Rig::new().await;
    let store = rig.store();
    store.watch_overlaps("cus_busy").await.expect("watched");
    rig.enqueue_into(SHARDS, &[]).await;
    let workers = [rig.worker(), rig.worker()];
    rig.wait_until_shared(usize::from(SHARDS), 2).await;
    // Whoever is first stands still with them.
    let held_up = rig.hold_up("customers").await;
    rig.enqueue(&busy(0, 1)).await;
    rig.wait_until_held(1).await;
    let mut redis = rig.redis().await;
    let mut range = redis::cmd("XRANGE");
    range.arg(rig.keys().events).arg("-").arg("+");
    let entries: StreamRangeReply = range.query_async(&mut redis).await.expect("a list");
    for shard in 1..SHARDS {
        let mut command = redis::cmd("XADD");
        command.arg(Keys::new(&rig.prefix, shard).events).arg("*");
        for name in ["v", "meta", "body"] {
            command
                .arg(name)
                .arg(entries.ids[0].get::<Vec<u8>>(name).expect("a field"));
        }
        command.query_async::<()>(&mut redis).await.expect("added");
    }
    let met = wait_for(async || store.overlaps().await.is_ok_and(|count| count > 0));
    assert!(met.await, "nobody notices");
    drop(held_up);
    for worker in workers {
        worker.stop().await.expect("a clean end");
    }
}
