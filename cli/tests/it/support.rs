//! What tests stand on.

pub mod browser;
pub mod copies;
pub mod crew;
pub mod http;
pub mod laws;
pub mod leaks;
pub mod process;
pub mod seeds;
pub mod stripe;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::streams::StreamInfoConsumersReply;
use serde_json::Value;
use shared::clock::Clock;
use shared::config::Env;
use shared::entry::{Entry, Meta};
use shared::envelope::{Envelope, VerifiedBody};
use shared::queue::shards::{SHARDS_MAX, said};
use shared::queue::{Consumer, GROUP, Gate, Keys, Probe, Producer, Sharding};
use shared::signature::{Secret, sign};
use shared::state_cache::StateCache;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};
use stack::Proxy;
use store::Store;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longest a test waits for a state.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Connections a test opens for looking.
const CONNECTIONS_MAX: u32 = 2;
pub const SECRET: &str = "whsec_test_secret";

/// A database and a key prefix, for one test.
pub struct Rig {
    pub database_url: String,
    pub redis_url: String,
    pub prefix: String,
    pub pool: PgPool,
}

impl Rig {
    /// On the servers all tests share.
    pub async fn new() -> Self {
        let stack = stack::shared().expect("Redis and Postgres start");
        let database = clone_template(&stack.admin_url().expect("Postgres was asked for")).await;
        Self::on(database, stack.redis_url().expect("Redis was asked for")).await
    }

    /// On the shared servers, with a database that nobody has migrated.
    pub async fn unmigrated() -> Self {
        let stack = stack::shared().expect("Redis and Postgres start");
        let admin_url = stack.admin_url().expect("Postgres was asked for");
        let database = format!("test_{}", unique());
        create(&admin_url, &database, "").await;
        let url = with_database(&admin_url, &database);
        Self::on(url, stack.redis_url().expect("Redis was asked for")).await
    }

    /// On servers of the test's own.
    pub async fn on(database_url: String, redis_url: String) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .connect_lazy(&database_url);
        let prefix = format!("t{}", unique());
        Self {
            pool: pool.expect("an URL"),
            database_url,
            redis_url,
            prefix,
        }
    }

    /// Settings for a role, as a process or in this one.
    pub fn env(&self) -> Env {
        self.env_with(&[])
    }

    /// The same with some more.
    pub fn env_with(&self, more: &[(&str, &str)]) -> Env {
        let usual = [
            ("REDIS_URL", self.redis_url.as_str()),
            ("DATABASE_URL", self.database_url.as_str()),
            ("TOLLGATE_REDIS_PREFIX", self.prefix.as_str()),
            ("TOLLGATE_REDIS_DURABILITY", "unsafe"),
            ("TOLLGATE_WORKER_ADMIN_ADDR", "127.0.0.1:0"),
            // Who tries that out turns it on.
            ("TOLLGATE_RECONCILE", "off"),
            ("TOLLGATE_INGEST_ADDR", "127.0.0.1:0"),
            ("TOLLGATE_INGEST_ADMIN_ADDR", "127.0.0.1:0"),
            ("STRIPE_WEBHOOK_SECRET", SECRET),
        ];
        usual.into_iter().chain(more.iter().copied()).collect()
    }

    /// Deletes every row.
    pub async fn empty(&self) {
        let tables =
            "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE schemaname = 'public'
                      AND tablename NOT IN ('_sqlx_migrations', 'schema_compatibility')";
        let tables = self.text(tables).await.expect("tables");
        // The ledger refuses to be emptied, as it should.
        self.execute(&format!(
            "SET session_replication_role = replica; TRUNCATE {tables}; SET session_replication_role = origin"
        ))
        .await;
        self.execute("INSERT INTO ledger_check DEFAULT VALUES").await;
    }

    /// Where Postgres listens.
    pub fn postgres(&self) -> SocketAddr {
        let (_, rest) = self.database_url.split_once('@').expect("a user");
        let (server, _) = rest.split_once('/').expect("a database");
        server.parse().expect("an address")
    }

    /// The database, reached over a proxy.
    pub fn database_url_over(&self, proxy: &Proxy) -> String {
        let server = self.postgres().to_string();
        self.database_url.replace(&server, &proxy.address().to_string())
    }

    /// Those of the first shard, which is where tests put what they enqueue themselves.
    pub fn keys(&self) -> Keys {
        Keys::new(&self.prefix, 0)
    }

    pub fn producer(&self) -> Producer {
        self.producer_into(1)
    }

    pub fn sharding(&self, shards: u16) -> Sharding {
        Sharding {
            prefix: self.prefix.clone(),
            shards,
        }
    }

    pub fn producer_into(&self, shards: u16) -> Producer {
        Producer::new(&self.redis_url, &self.sharding(shards), 0, &Gate::closed()).expect("an URL")
    }

    pub fn probe(&self) -> Probe {
        Probe::new(&self.redis_url, &self.prefix).expect("an URL")
    }

    pub fn consumer(&self, name: &str) -> Consumer {
        Consumer::new(&self.redis_url, &self.prefix, name.to_owned()).expect("an URL")
    }

    pub fn state_cache(&self) -> StateCache {
        StateCache::new(&self.redis_url, &self.prefix).expect("an URL")
    }

    pub fn store(&self) -> Store {
        Store::new(&self.database_url, "test", CONNECTIONS_MAX).expect("an URL")
    }

    /// A raw connection to Redis.
    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.redis_url.as_str()).expect("an URL");
        client
            .get_multiplexed_async_connection()
            .await
            .expect("Redis answers")
    }

    /// Puts events into the stream, as ingest would.
    pub async fn enqueue<'a>(&self, bodies: impl IntoIterator<Item = &'a Bytes>) {
        let producer = self.producer();
        for body in bodies {
            let _receipt = producer.enqueue(&entry(body)).await.expect("Redis takes it");
        }
    }

    /// Puts events into so many shards, and says that these are there, as ingest would.
    pub async fn enqueue_into<'a>(&self, shards: u16, bodies: impl IntoIterator<Item = &'a Bytes>) {
        let mut command = redis::cmd("SADD");
        command.arg(said(&self.prefix)).arg(Vec::from_iter(0..shards));
        let said = command.query_async::<()>(&mut self.redis().await).await;
        said.expect("said");
        let producer = self.producer_into(shards);
        for body in bodies {
            let _receipt = producer.enqueue(&entry(body)).await.expect("Redis takes it");
        }
    }

    /// Who has which shard, by name.
    pub async fn holders(&self) -> BTreeMap<String, Vec<u16>> {
        let mut command = redis::cmd("HGETALL");
        command.arg(format!("{{{}:v1}}:holders", self.prefix));
        let all: BTreeMap<u16, String> = command.query_async(&mut self.redis().await).await.expect("a map");
        let mut holders = BTreeMap::<String, Vec<u16>>::new();
        for (shard, holder) in all {
            let (_, name) = holder.split_once(' ').expect("when it runs out, and a name");
            holders.entry(name.to_owned()).or_default().push(shard);
        }
        holders
    }

    /// Waits until exactly so many workers share exactly so many shards.
    pub async fn wait_until_shared(&self, shards: usize, workers: usize) -> BTreeMap<String, Vec<u16>> {
        let mut holders = BTreeMap::new();
        let reached = wait_for(async || {
            holders = self.holders().await;
            let held: usize = holders.values().map(Vec::len).sum();
            (held, holders.len()) == (shards, workers) && is_even(&holders)
        });
        assert!(
            reached.await,
            "waited for {workers} with {shards} shards, last saw {holders:?}"
        );
        holders
    }

    /// Puts something into the first shard, whatever it is.
    pub async fn xadd(&self, fields: &[(&str, &[u8])]) {
        let mut command = redis::cmd("XADD");
        command.arg(self.keys().events).arg("*");
        for (name, value) in fields {
            command.arg(*name).arg(*value);
        }
        let added = command.query_async::<()>(&mut self.redis().await).await;
        added.expect("added");
    }

    /// A worker in this process.
    pub fn worker(&self) -> Running {
        self.worker_with(self.env())
    }

    pub fn worker_with(&self, env: Env) -> Running {
        let config = worker::config::WorkerConfig::from_env(&env).expect("usable settings");
        let stop = CancellationToken::new();
        let token = stop.clone();
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
            .build_recorder()
            .handle();
        // apalis's future cannot move between threads, so it gets one.
        let task = tokio::task::spawn_blocking(move || {
            let running = worker::run(config, Clock::system(), metrics, token);
            tokio::runtime::Handle::current()
                .block_on(running)
                .map_err(|e| e.to_string())
        });
        Running {
            _guard: stop.clone().drop_guard(),
            stop,
            task,
        }
    }

    /// A single number.
    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.pool)
            .await
            .expect(sql)
    }

    /// A single text, or its absence.
    pub async fn text(&self, sql: &str) -> Option<String> {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.pool)
            .await
            .expect(sql)
    }

    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&self.pool)
            .await
            .expect(sql);
    }

    /// Waits until a query gives a number.
    pub async fn wait_for_count(&self, sql: &str, wanted: i64) {
        let mut seen = None;
        let reached = wait_for(async || {
            let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.to_owned()))
                .fetch_one(&self.pool)
                .await;
            seen = count.ok();
            seen == Some(wanted)
        })
        .await;
        assert!(reached, "{sql}: waited for {wanted}, last saw {seen:?}");
    }

    /// Waits until a query gives a text.
    pub async fn wait_for_text(&self, sql: &str, wanted: &str) {
        let mut seen = None;
        let reached = wait_for(async || {
            let text = sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(sql.to_owned()))
                .fetch_optional(&self.pool)
                .await;
            seen = text.ok().flatten().flatten();
            seen.as_deref() == Some(wanted)
        })
        .await;
        assert!(reached, "{sql}: waited for {wanted}, last saw {seen:?}");
    }

    /// Entries in all shards: waiting or in flight.
    pub async fn backlog(&self) -> u64 {
        self.probe().depth(0).await.expect("an answer").entries
    }

    /// Waits until workers hold exactly so many entries.
    pub async fn wait_until_held(&self, wanted: u64) {
        let mut probe = self.probe();
        let mut held = None;
        let reached = wait_for(async || {
            held = probe.depth(0).await.ok().map(|depth| depth.in_flight);
            held == Some(wanted)
        });
        assert!(reached.await, "waited for {wanted} held, last saw {held:?}");
    }

    /// Nobody writes to `table` until this is dropped: workers stand still in mid-transaction.
    pub async fn hold_up(&self, table: &str) -> Transaction<'static, Postgres> {
        let mut held = self.pool.begin().await.expect("Postgres answers");
        let sql = format!("LOCK TABLE {table} IN SHARE MODE");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *held)
            .await
            .expect("locked");
        held
    }

    /// The names in the consumer groups, and how many entries each holds.
    pub async fn consumers(&self) -> BTreeMap<String, usize> {
        let mut consumers = BTreeMap::new();
        let mut redis = self.redis().await;
        for shard in 0..SHARDS_MAX {
            let mut command = redis::cmd("XINFO");
            let stream = Keys::new(&self.prefix, shard).events;
            command.arg("CONSUMERS").arg(stream).arg(GROUP);
            // An error: there is no such shard.
            let reply = command.query_async::<StreamInfoConsumersReply>(&mut redis).await;
            for consumer in reply.map_or(Vec::new(), |reply| reply.consumers) {
                *consumers.entry(consumer.name).or_default() += consumer.pending;
            }
        }
        consumers
    }

    /// Waits until nothing is waiting or in flight.
    pub async fn wait_until_drained(&self) {
        assert!(
            wait_for(async || self.backlog().await == 0).await,
            "{} left",
            self.backlog().await
        );
    }
}

/// Nobody has two more than another.
fn is_even(holders: &BTreeMap<String, Vec<u16>>) -> bool {
    let counts = holders.values().map(Vec::len);
    counts.clone().max().unwrap_or(0) <= counts.min().unwrap_or(0) + 1
}

/// A worker in this process. Stops when dropped, so that a failing test ends.
pub struct Running {
    _guard: DropGuard,
    stop: CancellationToken,
    pub task: JoinHandle<Result<(), String>>,
}

impl Running {
    /// Asks it to stop, and waits.
    pub async fn stop(self) -> Result<(), String> {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it stops in time")
            .expect("it does not panic")
    }
}

/// Looks again and again; false when [`PATIENCE`] runs out.
pub async fn wait_for(reached: impl AsyncFnMut() -> bool) -> bool {
    wait_within(PATIENCE, reached).await
}

/// Looks again and again; false when `limit` runs out.
pub async fn wait_within(limit: Duration, mut reached: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if reached().await {
            return true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    false
}

/// The body as ingest would pass it on.
pub fn entry(body: &Bytes) -> Entry {
    let secret = Secret::new(SECRET).expect("usable");
    let clock = Clock::system();
    let now = clock.unix_seconds();
    let header = sign(&secret, now, body);
    let verified =
        VerifiedBody::verify(&[secret], header.as_bytes(), body.clone(), now).expect("signed above");
    let envelope = Envelope::peek(&verified).expect("an event");
    let meta = Meta {
        envelope,
        endpoint: "default".into(),
        received_at_ms: clock.unix_ms(),
        mismatch: None,
        traceparent: None,
    };
    Entry::new(verified, meta)
}

/// A small snapshot event.
pub fn event(id: &str, event_type: &str, created: i64, object: &serde_json::Value) -> Bytes {
    let body = serde_json::json!({
        "id": id, "object": "event", "type": event_type, "created": created, "livemode": false,
        "data": {"object": object},
    });
    Bytes::from(body.to_string())
}

/// The customers most tests are about.
pub fn customer(number: usize, created: i64) -> Bytes {
    let object = serde_json::json!({
        "id": format!("cus_{number}"), "object": "customer", "email": format!("{created}@example.com"),
    });
    event(
        &format!("evt_{number}_{created}"),
        "customer.updated",
        created,
        &object,
    )
}

/// The folder with Stripe's shapes, unless it is not there, which is said.
pub fn shared_data(what: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/stripe")
        .join(what);
    if path.exists() {
        return Some(path);
    }
    // Not eprintln!, which the test runner keeps to itself.
    writeln!(std::io::stderr(), "NOT RUN: {} is missing", path.display()).ok();
    None
}

/// A recorded scenario, and the bodies of its deliveries; nothing when there are none, which is said.
pub fn scenario(name: &str) -> Option<(Value, Vec<Bytes>)> {
    let path = shared_data(&format!("scenarios/{name}.json"))?;
    let scenario: Value = serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
    let deliveries = scenario["deliveries"].as_array().expect("deliveries");
    let body = |delivery: &Value| Bytes::from(delivery["event"].to_string());
    let bodies = deliveries.iter().map(body).collect();
    Some((scenario, bodies))
}

pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A migrated database of the test's own, in milliseconds.
async fn clone_template(admin_url: &str) -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let name = |database: &str| with_database(admin_url, database);
    let template = TEMPLATE
        .get_or_init(async || {
            let template = format!("template_{}", std::process::id());
            create(admin_url, &template, "").await;
            let store = Store::new(&name(&template), "test", 1).expect("an URL");
            store.migrate().await.expect("the migrations apply");
            // A template must have no connections.
            store.close().await;
            template
        })
        .await;
    let database = format!("test_{}", unique());
    create(
        admin_url,
        &database,
        &format!("TEMPLATE {template} STRATEGY FILE_COPY"),
    )
    .await;
    name(&database)
}

/// The same server's other database.
fn with_database(url: &str, database: &str) -> String {
    let (base, _) = url.rsplit_once('/').expect("an URL with a database");
    format!("{base}/{database}")
}

async fn create(admin_url: &str, database: &str, how: &str) {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect(admin_url)
        .await
        .expect("Postgres answers");
    let sql = format!("CREATE DATABASE {database} {how}");
    // Two clones of one template at a time wait for each other only for a while.
    let made = wait_for(async || {
        sqlx::raw_sql(AssertSqlSafe(sql.clone()))
            .execute(&pool)
            .await
            .is_ok()
    })
    .await;
    assert!(made, "{sql}");
    pool.close().await;
}
