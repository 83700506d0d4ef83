//! Pausing the queue: nothing is taken, what is held is finished, and everybody can see who did it.

use serde_json::Value;
use shared::queue::shards::SHARDS_DEFAULT;
use stack::Signal;

use crate::support::process::{Ended, Tollgate};
use crate::support::{Rig, SECRET, customer, http, wait_for};

const ALL: &str = "SELECT count(*) FROM events";
const SHARDS: usize = SHARDS_DEFAULT as usize;

async fn run(rig: &Rig, args: &[&str]) -> Ended {
    Tollgate::run(args, &rig.env_with(&[("USER", "jo")])).await
}

/// Runs a command that must succeed, and reads its answer.
async fn told(rig: &Rig, args: &[&str]) -> Value {
    let ended = run(rig, args).await;
    assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

async fn workers(rig: &Rig) -> Vec<Value> {
    let roster = told(rig, &["workers", "--json"]).await;
    roster["workers"].as_array().expect("a list").clone()
}

/// So many customers' events, from this number on, in all shards.
async fn enqueue(rig: &Rig, from: usize, count: usize) {
    let bodies: Vec<_> = (from..from + count).map(|number| customer(number, 1)).collect();
    rig.enqueue_into(SHARDS_DEFAULT, &bodies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_lets_workers_finish_what_they_hold_and_begin_nothing_until_it_is_resumed() {
    let rig = Rig::new().await;
    enqueue(&rig, 0, 20).await;
    let held_up = rig.hold_up("customers").await;
    let (first, second) = (rig.worker(), rig.worker());
    rig.wait_until_held(20).await;

    let paused = told(&rig, &["queue", "pause", "--why", "a move", "--json"]).await;
    assert_eq!(
        (&paused["paused"]["by"], &paused["was_paused"]),
        (&"jo".into(), &false.into())
    );
    let in_vain = ["queue", "pause", "--why", "another", "--wait", "1s", "--json"];
    let busy = run(&rig, &in_vain).await;
    assert_eq!(busy.code, Some(1), "they hold twenty: {busy:?}");
    drop(held_up);
    let at_rest = told(
        &rig,
        &["queue", "pause", "--why", "another", "--wait", "25s", "--json"],
    )
    .await;
    assert_eq!(
        (&at_rest["at_rest"], &at_rest["was_paused"]),
        (&true.into(), &true.into())
    );
    assert_eq!(at_rest["paused"], paused["paused"], "who was first stays named");
    assert_eq!((rig.count(ALL).await, rig.backlog().await), (20, 0));

    enqueue(&rig, 20, 20).await;
    first.stop().await.expect("a clean end");
    second.stop().await.expect("a clean end");
    let third = rig.worker();
    rig.wait_until_shared(SHARDS, 1).await;
    let at_ms = &paused["paused"]["at_ms"];
    let rests = async || {
        workers(&rig)
            .await
            .iter()
            .all(|it| it["about"]["resting"] == *at_ms)
    };
    assert!(wait_for(rests).await, "who comes later is not told");
    assert_eq!((rig.count(ALL).await, rig.backlog().await), (20, 20));

    let resumed = told(&rig, &["queue", "resume", "--json"]).await;
    assert_eq!(resumed["was_paused"], paused["paused"]);
    rig.wait_for_count(ALL, 40).await;
    rig.wait_until_drained().await;
    third.stop().await.expect("a clean end");
    assert_eq!(
        told(&rig, &["queue", "resume", "--json"]).await["was_paused"],
        Value::Null
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_is_accepted_into_and_everybody_is_ready() {
    let rig = Rig::new().await;
    told(&rig, &["queue", "pause", "--why", "a move", "--json"]).await;
    let env = rig.env();
    let (mut ingest, mut worker) = (
        Tollgate::start(&["ingest"], &env),
        Tollgate::start(&["worker"], &env),
    );
    let webhooks = ingest.logged("listening", "address").await;
    let (ingest_admin, worker_admin) = (ingest.ready().await, worker.ready().await);
    let body = customer(1, 1);
    let url = format!("http://{webhooks}/webhooks/stripe");
    assert_eq!(
        http::post(&url, &http::signature(SECRET, &body), &body).await,
        200
    );
    for admin in [&ingest_admin, &worker_admin] {
        let series = r#"tollgate_queue_paused{queue="events",shard="0"}"#;
        let shown = wait_for(async || http::metric(admin, series).await == 1);
        assert!(shown.await, "{admin} does not show it");
    }
    rig.wait_until_shared(SHARDS, 1).await;
    assert_eq!((rig.backlog().await, rig.count(ALL).await), (1, 0));
    assert_eq!(
        http::get(&format!("{worker_admin}/readyz")).await.map(|it| it.0),
        Some(200)
    );

    let stats = told(&rig, &["queue", "stats", "--json"]).await;
    assert_eq!(stats["paused"]["why"], "a move");
    assert_eq!(
        (&stats["total"]["waiting"], &stats["total"]["in_flight"]),
        (&1.into(), &0.into())
    );
    told(&rig, &["queue", "resume", "--json"]).await;
    rig.wait_for_count(ALL, 1).await;
    let shown = wait_for(async || {
        http::metric(
            &worker_admin,
            r#"tollgate_queue_paused{queue="events",shard="0"}"#,
        )
        .await
            == 0
    });
    assert!(shown.await, "it still shows the pause");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_listed_with_what_they_read_and_hold_and_the_dead_while_they_hold_something() {
    let rig = Rig::new().await;
    let nobody = run(&rig, &["workers"]).await;
    assert_eq!((nobody.code, nobody.stdout.trim()), (Some(1), "no worker lives"));
    enqueue(&rig, 0, 10).await;
    let _held_up = rig.hold_up("customers").await;
    let mut first = Tollgate::start(&["worker"], &rig.env());
    first.ready().await;
    rig.wait_until_held(10).await;
    let [one] = &workers(&rig).await[..] else {
        panic!("one worker")
    };
    let read = one["shards"].as_object().map(serde_json::Map::len);
    assert_eq!(
        (&one["alive"], &one["in_flight"], read),
        (&true.into(), &10.into(), Some(SHARDS))
    );
    assert_eq!(one["about"]["slots"], 4);
    let name = one["name"].as_str().expect("a name").to_owned();
    assert!(name.contains(&first.id().to_string()), "{name}");
    let stats = told(&rig, &["queue", "stats", "--json"]).await;
    assert_eq!(
        (&stats["total"]["in_flight"], &stats["paused"]),
        (&10.into(), &Value::Null)
    );
    assert!(
        stats["shards"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|it| it["reader"] == *name)
    );

    first.signal(Signal::KILL);
    let is_dead = wait_for(async || {
        let ended = run(&rig, &["workers"]).await;
        ended.code == Some(1) && ended.stdout.contains(&name) && ended.stdout.trim().ends_with("dead")
    });
    assert!(is_dead.await, "{:?}", run(&rig, &["workers"]).await);
}

/// Rows of the audit log about the queue: what, who, as what, why.
const DEEDS: &str =
    "SELECT string_agg(concat_ws(' ', action, actor, role, reason), '; ' ORDER BY created_at, id)
                     FROM audit_log WHERE action LIKE 'queue.%'";

#[tokio::test(flavor = "multi_thread")]
async fn every_pause_is_in_the_audit_log_once_however_many_workers_hear_of_it() {
    let rig = Rig::new().await;
    let (first, second) = (rig.worker(), rig.worker());
    for why in ["a move", "another wish"] {
        told(&rig, &["queue", "pause", "--why", why, "--json"]).await;
    }
    told(&rig, &["queue", "resume", "--why", "it is over", "--json"]).await;
    told(&rig, &["queue", "resume", "--json"]).await;
    let both = "queue.pause jo operator a move; queue.resume jo operator it is over";
    rig.wait_for_text(DEEDS, both).await;
    first.stop().await.expect("a clean end");
    second.stop().await.expect("a clean end");

    // Nobody hears of it while it lasts.
    told(&rig, &["queue", "pause", "--why", "a look", "--json"]).await;
    told(&rig, &["queue", "resume", "--json"]).await;
    let done_by = rig.text("SELECT clock_timestamp()::text").await.expect("now");
    let (third, fourth) = (rig.worker(), rig.worker());
    let all = format!("{both}; queue.pause jo operator a look; queue.resume jo operator not said");
    rig.wait_for_text(DEEDS, &all).await;
    let later = format!("SELECT count(*) FROM audit_log WHERE created_at > '{done_by}'");
    assert_eq!(rig.count(&later).await, 0, "it is told when it was done");
    let forgotten = wait_for(async || rig.probe().deeds().await.is_ok_and(|left| left.is_empty()));
    assert!(forgotten.await);
    third.stop().await.expect("a clean end");
    fourth.stop().await.expect("a clean end");
}

/// A worker that died between writing and forgetting; another finds the same again.
#[tokio::test]
async fn a_deed_that_is_told_twice_is_written_once() {
    let rig = Rig::new().await;
    told(&rig, &["queue", "pause", "--why", "a move", "--json"]).await;
    let deeds = rig.probe().deeds().await.expect("Redis answers");
    let store = rig.store();
    for _ in 0..2 {
        store.write_queue_deeds(&deeds).await.expect("written");
    }
    assert_eq!(rig.count("SELECT count(*) FROM audit_log").await, 1);
}
