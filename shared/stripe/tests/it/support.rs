//! What all tests share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use shared::clock::Clock;
use stack::{RedisOptions, RedisServer};
use stripe_api::{Budget, Client, Mode, ObjectRef, Retrievable, SecretKey, Settings};

/// What our clock shows.
pub(crate) const NOW: i64 = 1_800_000_000;
/// Never to be seen in a message.
pub(crate) const KEY: &str = "sk_test_secret";
/// How long a state may take to come about before the test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) fn client(url: &str) -> Client {
    client_with(url, PATIENCE)
}

pub(crate) fn client_with(url: &str, timeout: Duration) -> Client {
    let settings = Settings {
        base_url: url.to_owned(),
        timeout,
        ..Settings::new(SecretKey::new(KEY).expect("a key"))
    };
    Client::new(settings, Clock::fixed(NOW)).expect("a client")
}

pub(crate) fn object(kind: Retrievable, id: &str) -> ObjectRef {
    ObjectRef {
        account: None,
        kind,
        id: id.to_owned(),
    }
}

pub(crate) fn customer() -> ObjectRef {
    object(Retrievable::Customer, "cus_1")
}

/// The Redis of every test that does not hurt it.
pub(crate) fn redis_url() -> String {
    static REDIS: OnceLock<RedisServer> = OnceLock::new();
    REDIS.get_or_init(own_redis).url()
}

/// A Redis to kill.
pub(crate) fn own_redis() -> RedisServer {
    RedisServer::start(RedisOptions::default()).expect("a private Redis")
}

/// A prefix of its own for each test.
pub(crate) fn prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{number}", std::process::id())
}

/// One replica's view of a budget.
pub(crate) fn budget(prefix: &str, mode: Mode) -> Budget {
    Budget::new(&redis_url(), prefix, mode).expect("a budget")
}

/// Waits for a state.
pub(crate) async fn wait_until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
