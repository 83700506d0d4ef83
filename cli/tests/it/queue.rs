//! The queue's promises, on a real Redis.

use std::time::Duration;

use redis::streams::StreamRangeReply;
use shared::queue::{Claimed, Consumer, DELIVERIES_MAX, GROUP, LEASE, Settled, StreamId};

use crate::support::{Rig, customer};

const SOON: Duration = Duration::from_secs(5);
/// Where the rig enqueues.
const FIRST: [u16; 1] = [0];

/// Claims new entries, as a worker would.
pub async fn claim(consumer: &Consumer, count: usize) -> Vec<Claimed> {
    consumer.ensure_groups(&FIRST).await.expect("a group");
    let mut reader = consumer.reader().await.expect("a connection");
    consumer
        .read_new(&mut reader, &FIRST, count, SOON)
        .await
        .expect("entries")
}

fn ids(claimed: &[Claimed]) -> Vec<StreamId> {
    claimed.iter().map(|claimed| claimed.id).collect()
}

/// Makes entries look as if their consumer had been silent for a lease.
pub async fn let_leases_run_out(rig: &Rig, consumer: &Consumer, ids: &[StreamId], deliveries: u32) {
    let mut command = redis::cmd("XCLAIM");
    command
        .arg(rig.keys().events)
        .arg(GROUP)
        .arg(consumer.name())
        .arg(0);
    for id in ids {
        command.arg(id.in_stream());
    }
    command
        .arg("IDLE")
        .arg(LEASE.as_millis() as u64)
        .arg("RETRYCOUNT")
        .arg(deliveries)
        .arg("JUSTID");
    command
        .query_async::<()>(&mut rig.redis().await)
        .await
        .expect("claimed");
}

#[tokio::test]
async fn what_is_enqueued_is_claimed_once_and_gone_when_settled() {
    let rig = Rig::new().await;
    let bodies: Vec<_> = (0..3).map(|n| customer(n, 1)).collect();
    rig.enqueue(&bodies).await;
    let (a, b) = (rig.consumer("a"), rig.consumer("b"));
    let claimed = claim(&a, 10).await;
    assert_eq!(claimed.len(), 3);
    assert!(claimed.iter().all(|claimed| claimed.deliveries == 1));
    assert_eq!(claimed[1].entry.as_ref().expect("ours").body, bodies[1]);
    assert!(b.take_over(&FIRST).await.expect("an answer").is_empty(), "leased");
    a.acknowledge(&Settled::after_commit(ids(&claimed)))
        .await
        .expect("acknowledged");
    assert_eq!(rig.backlog().await, 0);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_over_by_one() {
    let rig = Rig::new().await;
    rig.enqueue(&[customer(0, 1)]).await;
    let (dead, b, c) = (rig.consumer("dead"), rig.consumer("b"), rig.consumer("c"));
    let held = ids(&claim(&dead, 1).await);
    let_leases_run_out(&rig, &dead, &held, 1).await;
    let (b_got, c_got) = tokio::join!(b.take_over(&FIRST), c.take_over(&FIRST));
    let (b_got, c_got) = (b_got.expect("an answer"), c_got.expect("an answer"));
    assert_eq!(b_got.len() + c_got.len(), 1, "one of them, not both");
    assert_eq!(
        b_got
            .iter()
            .chain(&c_got)
            .next()
            .map(|claimed| claimed.deliveries),
        Some(2)
    );
}

#[tokio::test]
async fn a_worker_that_wakes_up_late_does_not_take_back_what_another_holds() {
    let rig = Rig::new().await;
    rig.enqueue(&[customer(0, 1), customer(1, 1)]).await;
    let (sleeper, other) = (rig.consumer("sleeper"), rig.consumer("other"));
    let held = ids(&claim(&sleeper, 2).await);
    let_leases_run_out(&rig, &sleeper, &held[..1], 1).await;
    assert_eq!(other.take_over(&FIRST).await.expect("an answer").len(), 1);
    assert_eq!(
        sleeper.renew(&held).await.expect("an answer"),
        1,
        "only what is still its own"
    );
    assert_eq!(other.renew(&held[..1]).await.expect("an answer"), 1);
}

#[tokio::test]
async fn what_is_handed_back_goes_at_once_and_does_not_count_against_the_entry() {
    let rig = Rig::new().await;
    rig.enqueue(&[customer(0, 1)]).await;
    let (a, b) = (rig.consumer("a"), rig.consumer("b"));
    let held = ids(&claim(&a, 1).await);
    for _ in 0..=DELIVERIES_MAX {
        assert_eq!(a.hand_back(&held, 1).await.expect("an answer"), 1);
        let taken = a.take_over(&FIRST).await.expect("an answer");
        assert_eq!(taken.len(), 1, "no waiting for the lease");
        assert_eq!(taken[0].deliveries, 1);
    }
    assert_eq!(b.hand_back(&held, 1).await.expect("an answer"), 0, "not its own");
}

#[tokio::test]
async fn a_delivery_that_is_forgiven_does_not_count_and_the_lease_stays() {
    let rig = Rig::new().await;
    rig.enqueue(&[customer(0, 1)]).await;
    let (a, b) = (rig.consumer("a"), rig.consumer("b"));
    let held = ids(&claim(&a, 1).await);
    for _ in 0..=DELIVERIES_MAX {
        a.forgive(&held, 1).await.expect("an answer");
        assert!(b.take_over(&FIRST).await.expect("an answer").is_empty(), "leased");
        let_leases_run_out(&rig, &a, &held, deliveries_of(&rig).await).await;
        assert_eq!(a.take_over(&FIRST).await.expect("an answer")[0].deliveries, 1);
    }
    let_leases_run_out(&rig, &a, &held, 3).await;
    assert_eq!(b.take_over(&FIRST).await.expect("an answer")[0].deliveries, 4);
    b.forgive(&held, 4).await.expect("an answer");
    assert_eq!(deliveries_of(&rig).await, 3, "the others stay");
    a.forgive(&held, 1).await.expect("an answer");
    assert_eq!(deliveries_of(&rig).await, 3, "not its own");
}

/// What Redis shows for the only pending entry.
async fn deliveries_of(rig: &Rig) -> u32 {
    let mut command = redis::cmd("XPENDING");
    command.arg(rig.keys().events).arg(GROUP).arg("-").arg("+").arg(1);
    let pending: Vec<(String, String, u64, u32)> =
        command.query_async(&mut rig.redis().await).await.expect("a list");
    pending[0].3
}

#[tokio::test]
async fn a_consumer_leaves_only_when_it_holds_nothing() {
    let rig = Rig::new().await;
    rig.enqueue(&[customer(0, 1)]).await;
    let a = rig.consumer("a");
    let held = ids(&claim(&a, 1).await);
    a.leave(&FIRST).await.expect("an answer");
    assert_eq!(
        a.renew(&held).await.expect("an answer"),
        1,
        "still pending: nothing was dropped"
    );
    a.acknowledge(&Settled::after_commit(held))
        .await
        .expect("acknowledged");
    a.leave(&FIRST).await.expect("an answer");
    let consumers: Vec<redis::Value> = redis::cmd("XINFO")
        .arg("CONSUMERS")
        .arg(rig.keys().events)
        .arg(GROUP)
        .query_async(&mut rig.redis().await)
        .await
        .expect("a list");
    assert!(consumers.is_empty());
}

#[tokio::test]
async fn depth_counts_waiting_and_in_flight() {
    let rig = Rig::new().await;
    let mut probe = rig.probe();
    let now = shared::clock::Clock::system().unix_ms();
    assert_eq!(
        probe.depth(now).await.expect("an answer").entries,
        0,
        "no stream is an empty queue"
    );
    rig.enqueue(&[customer(0, 1), customer(1, 1)]).await;
    let claimed = claim(&rig.consumer("a"), 1).await;
    let depth = probe.depth(now + 60_000).await.expect("an answer");
    assert_eq!((depth.entries, depth.in_flight), (2, 1));
    assert!(depth.oldest_age_ms > 30_000, "{}", depth.oldest_age_ms);
    assert_eq!(claimed.len(), 1);
}

#[tokio::test]
async fn who_was_there_at_two_deaths_is_left_unless_one_has_nothing_else_in_ones_hands() {
    let rig = Rig::new().await;
    rig.enqueue(&[customer(0, 1)]).await;
    let (a, b) = (rig.consumer("a"), rig.consumer("b"));
    let held = ids(&claim(&a, 1).await);
    let_leases_run_out(&rig, &a, &held, 1).await;
    let once = b.take_over_if(&FIRST, async || false).await.expect("an answer");
    assert_eq!(once[0].deliveries, 2, "once may be chance");
    let_leases_run_out(&rig, &b, &held, 2).await;
    assert!(
        a.take_over_if(&FIRST, async || false)
            .await
            .expect("an answer")
            .is_empty()
    );
    let alone = a.take_over_if(&FIRST, async || true).await.expect("an answer");
    assert_eq!(alone[0].deliveries, 3, "being left did not count");
}

#[tokio::test]
async fn entries_of_a_newer_layout_wait_as_they_are_for_a_build_that_reads_them() {
    let rig = Rig::new().await;
    let newer: [(&str, &[u8]); 3] = [("v", b"2"), ("elsewhere", b"\xff\0"), ("body", b"{}")];
    rig.xadd(&newer).await;
    rig.enqueue(&[customer(0, 1)]).await;
    let (a, keys) = (rig.consumer("a"), rig.keys());
    let claimed = claim(&a, 10).await;
    assert_eq!(claimed.len(), 1, "only what this build can read");
    a.acknowledge(&Settled::after_commit(ids(&claimed)))
        .await
        .expect("acknowledged");
    let mut redis = rig.redis().await;
    let mut range = redis::cmd("XRANGE");
    range.arg(keys.newer_of(2)).arg("-").arg("+");
    let waiting: StreamRangeReply = range.query_async(&mut redis).await.expect("a list");
    let kept = |name: &str| waiting.ids[0].get::<Vec<u8>>(name);
    assert_eq!((waiting.ids.len(), waiting.ids[0].map.len()), (1, newer.len()));
    for (name, value) in newer {
        assert_eq!(kept(name).as_deref(), Some(value), "{name}");
    }
    let mut probe = rig.probe();
    let depth = probe.depth(0).await.expect("an answer");
    assert_eq!((depth.entries, depth.in_flight, depth.newer), (0, 0, 1));
    assert!(
        a.take_over(&FIRST).await.expect("an answer").is_empty(),
        "still nothing for this build"
    );
    assert_eq!(probe.depth(0).await.expect("an answer").newer, 1);
}

/// As if a build that knows no layout at all had left them.
#[tokio::test]
async fn entries_that_waited_for_this_build_come_back() {
    let rig = Rig::new().await;
    rig.enqueue(&[customer(0, 1), customer(1, 1)]).await;
    let (keys, mut redis) = (rig.keys(), rig.redis().await);
    let mut pipe = redis::pipe();
    pipe.cmd("RENAME")
        .arg(&keys.events)
        .arg(keys.newer_of(1))
        .ignore();
    pipe.cmd("SADD").arg(&keys.newer).arg(1).ignore();
    pipe.query_async::<()>(&mut redis).await.expect("moved");
    let mut probe = rig.probe();
    assert_eq!(probe.depth(0).await.expect("an answer").newer, 2);
    let a = rig.consumer("a");
    a.ensure_groups(&FIRST).await.expect("a group");
    a.take_over(&FIRST).await.expect("an answer");
    assert_eq!(probe.depth(0).await.expect("an answer").newer, 0);
    let bodies: Vec<_> = claim(&a, 10)
        .await
        .into_iter()
        .map(|it| it.entry.expect("ours").body)
        .collect();
    assert_eq!(bodies, [customer(0, 1), customer(1, 1)]);
}
