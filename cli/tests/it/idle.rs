//! `tollgate idle`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::process::{Ended, Tollgate};
use crate::support::{PATIENCE, Rig, customer};

async fn idle(rig: &Rig, timeout: &str) -> (Ended, Value) {
    let ended = Tollgate::run(&["idle", "--json", "--timeout", timeout], &rig.env()).await;
    let said = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    (ended, said)
}

async fn assert_idle(rig: &Rig, when: &str) {
    let (ended, said) = idle(rig, "10s").await;
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{when}: {ended:?}"
    );
    assert_eq!(said["idle"], true, "{when}: {said}");
}

async fn assert_busy(rig: &Rig, left: &Value, words: &str) {
    let (ended, said) = idle(rig, "100ms").await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!((&said["idle"], &said["left"]), (&json!(false), left), "{said}");
    assert!(ended.stderr.contains(words), "{ended:?}");
}

fn left(queued: u64, marks: u64, refetches: u64) -> Value {
    json!({"queued": queued, "in_flight": 0, "newer": 0, "marks": marks, "refetches_due": refetches})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_said() {
    let rig = Rig::new().await;
    assert_idle(&rig, "at first").await;

    rig.enqueue(&[customer(1, 1), customer(2, 1)]).await;
    assert_busy(&rig, &left(2, 0, 0), "2 events queued; does a worker run?").await;
    let mut redis = rig.redis().await;
    redis::cmd("DEL")
        .arg(rig.keys().events)
        .exec_async(&mut redis)
        .await
        .expect("deleted");

    rig.execute("INSERT INTO marks (account, kind, object_id) VALUES ('', 'user', 'usr_1')")
        .await;
    assert_busy(&rig, &left(0, 1, 0), "1 marks to be reckoned").await;
    rig.execute("UPDATE marks SET trouble = 'for a person'").await;
    assert_idle(&rig, "a mark set aside").await;

    rig.execute(
        "INSERT INTO refetches (account, kind, object_id, livemode, reason, next_attempt_at)
                 VALUES ('', 'price', 'p', false, 'tie', now())",
    )
    .await;
    assert_busy(&rig, &left(0, 0, 1), "1 objects to be asked of Stripe").await;
    rig.execute("UPDATE refetches SET next_attempt_at = now() + interval '1 hour'")
        .await;
    assert_idle(&rig, "a retry that is due later").await;
    rig.execute("UPDATE refetches SET next_attempt_at = now(), given_up_at = now()")
        .await;
    assert_idle(&rig, "a refetch given up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_until_what_came_in_has_had_its_effect() {
    const CUSTOMERS: usize = 300;
    let rig = Rig::new().await;
    let events: Vec<Bytes> = (0..CUSTOMERS).map(|number| customer(number, 1)).collect();
    rig.enqueue(&events).await;
    let mut waiting = Tollgate::start(&["idle", "--timeout", "60s"], &rig.env());
    let held = rig.hold_up("customers").await;
    let worker = rig.worker();
    rig.wait_until_held(CUSTOMERS as u64).await;
    drop(held);
    assert_eq!(
        waiting.end_within(PATIENCE).await,
        Some(0),
        "{}",
        waiting.stderr()
    );
    assert!(
        waiting.stdout().starts_with("idle after "),
        "{}",
        waiting.stdout()
    );
    assert_eq!(
        rig.count("SELECT count(*) FROM customers").await,
        CUSTOMERS as i64
    );
    assert_eq!(
        rig.count("SELECT count(*) FROM customer_users").await,
        CUSTOMERS as i64
    );
    worker.stop().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_asked_is_not_idle() {
    let rig = Rig::new().await;
    for (name, url, words) in [
        ("REDIS_URL", "redis://:canary@127.0.0.1:1", "redis"),
        (
            "DATABASE_URL",
            "postgres://someone:canary@127.0.0.1:1/nothing",
            "postgres",
        ),
    ] {
        let env = rig.env().with(name, url);
        let ended = Tollgate::run(&["idle", "--timeout", "100ms"], &env).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(
            ended.stderr.contains(words) && !ended.stderr.contains("canary"),
            "{ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_without_a_unit_is_a_usage_error() {
    let mut idle = Tollgate::start(&["idle", "--timeout", "30"], &shared::config::Env::default());
    assert_eq!(idle.end_within(Duration::from_secs(10)).await, Some(2));
    assert!(
        idle.stderr().contains("write it as 500ms, 30s, 2m"),
        "{}",
        idle.stderr()
    );
}
