//! One budget, seen from one place.

use std::net::SocketAddr;
use std::time::Duration;

use stack::{Proxy, RedisServer};
use stripe_api::{Budget, Endpoint, Mode, Pause, Priority, Retrievable, Turn};

use crate::support::{PATIENCE, budget, own_redis, prefix, redis_url, wait_until};

const CUSTOMER: Endpoint = Endpoint::Retrieve(Retrievable::Customer);
const INVOICE: Endpoint = Endpoint::Retrieve(Retrievable::Invoice);
const PAUSE: Duration = Duration::from_secs(100);

async fn take(budget: &Budget, account: Option<&str>, endpoint: Endpoint) -> Turn {
    budget.take(account, endpoint, Priority::Live).await
}

/// How long a pause keeps others waiting.
async fn paused(budget: &Budget, account: Option<&str>, endpoint: Endpoint) -> bool {
    match take(budget, account, endpoint).await {
        Turn::Granted => false,
        Turn::Wait(wait) => wait > PAUSE / 2,
    }
}

fn connection() -> redis::Connection {
    let client = redis::Client::open(redis_url()).expect("an address");
    client.get_connection().expect("a connection")
}

fn keys_of(prefix: &str) -> Vec<String> {
    let mut keys = redis::cmd("KEYS");
    let mut keys: Vec<String> = keys
        .arg(format!("*{prefix}*"))
        .query(&mut connection())
        .expect("keys");
    keys.sort();
    keys
}

fn ttl_ms(key: &str) -> i64 {
    redis::cmd("PTTL")
        .arg(key)
        .query(&mut connection())
        .expect("a time to live")
}

#[tokio::test]
async fn a_burst_is_small_and_then_there_is_a_wait() {
    let budget = budget(&prefix(), Mode::Sandbox);
    let mut waits = Vec::new();
    for _ in 0..6 {
        if let Turn::Wait(wait) = take(&budget, None, CUSTOMER).await {
            waits.push(wait);
        }
    }
    // Two at once; a slow machine may see one more token come.
    assert!((1..=4).contains(&waits.len()), "{waits:?}");
    assert!(
        waits.iter().all(|wait| *wait <= Duration::from_millis(48)),
        "{waits:?}"
    );
}

#[tokio::test]
async fn accounts_and_endpoints_have_budgets_of_their_own() {
    let budget = budget(&prefix(), Mode::Live);
    for _ in 0..20 {
        // Uses up one endpoint of the platform; its whole budget is four times as large.
        _ = take(&budget, None, CUSTOMER).await;
    }
    assert_eq!(take(&budget, None, INVOICE).await, Turn::Granted);
    assert_eq!(take(&budget, Some("acct_1"), CUSTOMER).await, Turn::Granted);
    assert!(matches!(take(&budget, None, CUSTOMER).await, Turn::Wait(_)));
}

#[tokio::test]
async fn a_pause_holds_for_all_replicas_and_only_where_it_was_asked() {
    let prefix = prefix();
    let (one, other) = (budget(&prefix, Mode::Live), budget(&prefix, Mode::Live));
    assert!(one.pause(None, Pause::Endpoint(CUSTOMER), PAUSE).await);
    assert!(paused(&other, None, CUSTOMER).await);
    assert!(!paused(&other, None, INVOICE).await);
    assert!(one.pause(Some("acct_1"), Pause::Account, PAUSE).await);
    assert!(paused(&other, Some("acct_1"), CUSTOMER).await);
    assert!(paused(&other, Some("acct_1"), INVOICE).await);
    assert!(!paused(&other, Some("acct_2"), INVOICE).await);
    // Another mode is another world.
    assert!(!paused(&budget(&prefix, Mode::Sandbox), None, CUSTOMER).await);
    // A shorter pause does not end a longer one.
    assert!(
        one.pause(None, Pause::Endpoint(CUSTOMER), Duration::from_millis(1))
            .await
    );
    assert!(paused(&other, None, CUSTOMER).await);
}

#[tokio::test]
async fn a_pause_ends() {
    let budget = budget(&prefix(), Mode::Live);
    assert!(
        budget
            .pause(None, Pause::Account, Duration::from_millis(300))
            .await
    );
    let start = std::time::Instant::now();
    budget
        .acquire(None, CUSTOMER, Priority::Live, Duration::from_secs(20))
        .await
        .expect("granted in the end");
    assert!(
        start.elapsed() > Duration::from_millis(200),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn who_has_no_patience_learns_how_long_it_takes() {
    let budget = budget(&prefix(), Mode::Live);
    assert!(budget.pause(None, Pause::Account, PAUSE).await);
    let wait = budget
        .acquire(None, CUSTOMER, Priority::Live, Duration::from_millis(50))
        .await;
    assert!(wait.is_err_and(|wait| wait > PAUSE / 2));
}

#[tokio::test]
async fn keys_are_few_and_vanish() {
    let prefix = prefix();
    let budget = budget(&prefix, Mode::Sandbox);
    for endpoint in Endpoint::all() {
        _ = take(&budget, None, endpoint).await;
        _ = take(&budget, Some("acct_1"), endpoint).await;
        _ = take(&budget, Some("}no account:*"), endpoint).await;
    }
    let expected = ["acct_1", "platform"].map(|who| format!("{{{prefix}:v1:stripe:sandbox:{who}}}:budget"));
    let keys = keys_of(&prefix);
    assert_eq!(keys, expected);
    for key in &keys {
        assert!((1..=3000).contains(&ttl_ms(key)), "{key}");
    }
    assert!(budget.pause(None, Pause::Endpoint(CUSTOMER), PAUSE).await);
    let turn = budget.acquire(None, INVOICE, Priority::Live, PATIENCE).await;
    assert_eq!(turn, Ok(()));
    assert!(
        ttl_ms(&expected[1]) > 50_000,
        "a turn does not shorten the life of a pause"
    );
    wait_until("only the pause is left", async || {
        keys_of(&prefix) == expected[1..]
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_jumped_back_does_not_stop_everything() {
    let prefix = prefix();
    let budget = budget(&prefix, Mode::Sandbox);
    let key = format!("{{{prefix}:v1:stripe:sandbox:platform}}:budget");
    let far = "9000000000000000";
    let mut set = redis::cmd("HSET");
    set.arg(&key).arg("tat").arg(far).arg("tat:customer").arg(far);
    let _: i64 = set.query(&mut connection()).expect("set");
    let Turn::Wait(wait) = take(&budget, None, CUSTOMER).await else {
        panic!("the bucket counts as empty");
    };
    assert!(wait <= Duration::from_millis(100), "{wait:?}");
}

#[tokio::test]
async fn without_redis_nothing_is_granted() {
    let port = stack::free_port().expect("a port");
    let nowhere = format!("redis://127.0.0.1:{port}");
    let budget = Budget::new(&nowhere, "x", Mode::Live).expect("a budget");
    assert!(matches!(take(&budget, None, CUSTOMER).await, Turn::Wait(_)));
    assert!(!budget.pause(None, Pause::Account, PAUSE).await);
    assert!(Budget::new("http://x", "x", Mode::Live).is_err());
}

#[tokio::test]
async fn redis_may_go_and_come_back() {
    let mut redis = tokio::task::spawn_blocking(own_redis).await.expect("started");
    let budget = Budget::new(&redis.url(), &prefix(), Mode::Live).expect("a budget");
    assert_eq!(take(&budget, None, CUSTOMER).await, Turn::Granted);

    redis.pause().expect("stopped");
    assert!(
        matches!(take(&budget, None, CUSTOMER).await, Turn::Wait(_)),
        "it hangs"
    );
    redis.resume().expect("goes on");
    let is_granted = async || take(&budget, None, CUSTOMER).await == Turn::Granted;
    wait_until("granted after the hang", is_granted).await;

    redis.kill().expect("killed");
    assert!(
        matches!(take(&budget, None, CUSTOMER).await, Turn::Wait(_)),
        "it is away"
    );
    let mut redis = tokio::task::spawn_blocking(move || redis.restart().map(|()| redis))
        .await
        .expect("no panic")
        .expect("restarted");
    wait_until("granted after the restart", is_granted).await;
    assert!(redis.is_running());
}

#[tokio::test]
async fn a_master_that_lives_on_as_a_replica_is_left() {
    let start = || (own_redis(), own_redis());
    let (old, new) = tokio::task::spawn_blocking(start).await.expect("started");
    let address = |redis: &RedisServer| SocketAddr::from(([127, 0, 0, 1], redis.port()));
    new.ask(&[&["CONFIG", "SET", "requirepass", old.password()]])
        .expect("one password for both");
    let proxy = Proxy::start(address(&old)).expect("a port");
    let url = format!("redis://:{}@{}/0", old.password(), proxy.address());
    let budget = Budget::new(&url, &prefix(), Mode::Live).expect("a budget");
    assert_eq!(take(&budget, None, CUSTOMER).await, Turn::Granted);

    old.ask(&[&["REPLICAOF", "127.0.0.1", &new.port().to_string()]])
        .expect("demoted");
    proxy.lead_to(address(&new));
    assert!(
        matches!(take(&budget, None, CUSTOMER).await, Turn::Wait(_)),
        "it refuses, and the connection is as good as ever"
    );
    let is_granted = async || take(&budget, None, CUSTOMER).await == Turn::Granted;
    wait_until("granted by the new one", is_granted).await;
}
