//! Servers that stop being the one to talk to, those that have to confirm, too, and those that fall silent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shared::queue::{EnqueueError, Gate, Keys, Producer, Sharding};
use stack::{Proxy, RedisOptions, RedisServer};
use store::Store;

use crate::support::{Rig, customer, entry};

const KEYS_PREFIX: &str = "failover";
/// Longest until the new master is found: one answer that never comes, and a connection.
const SOON: Duration = Duration::from_secs(10);

/// A master and its replica, both with the master's password, and a proxy in front of the master.
struct Pair {
    master: RedisServer,
    replica: RedisServer,
    proxy: Proxy,
}

impl Pair {
    async fn start() -> Self {
        let start = || RedisServer::start(RedisOptions::default()).expect("a server");
        let servers = tokio::task::spawn_blocking(move || (start(), start()));
        let (master, replica) = servers.await.expect("no panic");
        let proxy = Proxy::start(address(&master)).expect("a port");
        let pair = Self {
            master,
            replica,
            proxy,
        };
        let password = pair.master.password().to_owned();
        let mut old = connect(&pair.replica, pair.replica.password()).await;
        for name in ["masterauth", "requirepass"] {
            ask::<()>(&mut old, &["CONFIG", "SET", name, &password]).await;
        }
        let mut master = pair.to(&pair.master).await;
        ask::<()>(&mut master, &["CONFIG", "SET", "masterauth", &password]).await;
        pair.follow(&pair.replica, Some(&pair.master)).await;
        while !ask::<String>(&mut master, &["INFO", "replication"])
            .await
            .contains("state=online")
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        pair
    }

    async fn to(&self, server: &RedisServer) -> redis::aio::MultiplexedConnection {
        connect(server, self.master.password()).await
    }

    async fn follow(&self, server: &RedisServer, master: Option<&RedisServer>) {
        let port = master.map(|master| master.port().to_string());
        let (host, port) = port.as_deref().map_or(("NO", "ONE"), |port| ("127.0.0.1", port));
        ask::<()>(&mut self.to(server).await, &["REPLICAOF", host, port]).await;
    }

    fn producer(&self, replicas: u32) -> Producer {
        let url = format!("redis://:{}@{}/0", self.master.password(), self.proxy.address());
        let sharding = Sharding {
            prefix: KEYS_PREFIX.to_owned(),
            shards: 1,
        };
        Producer::new(&url, &sharding, replicas, &Gate::closed()).expect("an URL")
    }

    async fn entries_on(&self, server: &RedisServer) -> usize {
        let key = Keys::new(KEYS_PREFIX, 0).events;
        ask(&mut self.to(server).await, &["XLEN", &key]).await
    }
}

fn address(server: &RedisServer) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port()))
}

async fn connect(server: &RedisServer, password: &str) -> redis::aio::MultiplexedConnection {
    let url = format!("redis://:{password}@127.0.0.1:{}/0", server.port());
    let client = redis::Client::open(url).expect("an URL");
    client
        .get_multiplexed_async_connection()
        .await
        .expect("Redis answers")
}

async fn ask<T: redis::FromRedisValue>(link: &mut redis::aio::MultiplexedConnection, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(link).await.expect("an answer")
}

/// Tries until it works; returns how often it did not.
async fn enqueue(producer: &Producer, n: usize) -> usize {
    let began = Instant::now();
    let entry = entry(&customer(n, 1));
    let mut failures = 0;
    while let Err(error) = producer.enqueue(&entry).await {
        assert!(began.elapsed() < SOON, "still {error} after {failures} failures");
        failures += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    failures
}

#[tokio::test]
async fn a_master_that_lives_on_as_a_replica_is_left() {
    let pair = Pair::start().await;
    let producer = pair.producer(0);
    assert_eq!(enqueue(&producer, 1).await, 0);
    pair.follow(&pair.replica, None).await;
    pair.follow(&pair.master, Some(&pair.replica)).await;
    pair.proxy.lead_to(address(&pair.replica));
    assert!(enqueue(&producer, 2).await > 0, "the old one refuses");
    assert_eq!(pair.entries_on(&pair.replica).await, 2);
}

#[tokio::test]
async fn a_connection_that_is_silent_is_left() {
    let pair = Pair::start().await;
    let producer = pair.producer(0);
    assert_eq!(enqueue(&producer, 1).await, 0);
    pair.proxy.half_open();
    assert_eq!(enqueue(&producer, 2).await, 1, "one answer that never comes");
    assert_eq!(pair.entries_on(&pair.master).await, 2);
}

#[tokio::test]
async fn as_many_replicas_as_demanded_have_what_is_accepted() {
    let mut pair = Pair::start().await;
    let producer = pair.producer(1);
    for n in 0..20 {
        let _receipt = producer
            .enqueue(&entry(&customer(n, 1)))
            .await
            .expect("both have it");
        assert_eq!(pair.entries_on(&pair.replica).await, n + 1, "before the answer");
    }
    pair.replica.pause().expect("it stops");
    let error = producer
        .enqueue(&entry(&customer(20, 1)))
        .await
        .expect_err("one has it");
    let EnqueueError::Replicas {
        acknowledged,
        demanded,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((acknowledged, demanded), (0, 1));
    pair.replica.resume().expect("it goes on");
    enqueue(&producer, 21).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_to_postgres_does_not_keep_its_place() {
    let rig = Rig::new().await;
    let proxy = Proxy::start(rig.postgres()).expect("a port");
    let store = Store::new(&rig.database_url_over(&proxy), "test", 1).expect("an URL");
    assert_eq!(store.waiting().await.expect("an answer").marks, 0);
    // Until then the pool itself asks whether it is of use, and waits as long as the kernel does.
    while store.connections_idle() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    proxy.half_open();
    let silence = tokio::time::timeout(Duration::from_millis(100), store.waiting());
    silence.await.expect_err("the peer is gone and does not say so");
    let began = Instant::now();
    while let Err(error) = store.waiting().await {
        assert!(began.elapsed() < SOON * 2, "still {error}");
    }
}
