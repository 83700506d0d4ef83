//! A running ingest and its Redis.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ingest::{IngestConfig, Server};
use metrics_exporter_prometheus::PrometheusHandle;
use shared::clock::Clock;
use shared::config::Env;
use shared::entry::Entry;
use shared::queue::Consumer;
use shared::role::Role;
use stack::{RedisOptions, RedisServer};
use tokio_util::sync::CancellationToken;

use crate::client::{self, Answer, signed};

pub(crate) const SECRET: &str = "whsec_test";
/// What the servers' clocks show.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const DEFAULT: &str = "/webhooks/stripe";

/// How long a state may take to come about before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const ENTRIES_MAX: usize = 10_000;

/// The Redis of every test that does not hurt it.
pub(crate) fn redis() -> &'static RedisServer {
    static REDIS: OnceLock<RedisServer> = OnceLock::new();
    REDIS.get_or_init(own_redis)
}

/// A Redis to kill.
pub(crate) fn own_redis() -> RedisServer {
    RedisServer::start(RedisOptions::default()).expect("a private Redis")
}

/// Says one thing to Redis.
pub(crate) fn tell(redis: &RedisServer, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).expect("connects");
    let script = format!("AUTH {}\r\n{command}\r\nQUIT\r\n", redis.password());
    stream.write_all(script.as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(!answer.contains("-ERR"), "{command}: {answer}");
    answer
}

/// Waits for a state.
pub(crate) fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

fn metrics() -> PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS
        .get_or_init(|| {
            shared::telemetry::init_metrics("ingest", ingest::Ingest::METRICS).expect("the only recorder")
        })
        .clone()
}

/// The settings every test starts from, with a key prefix of its own.
pub(crate) fn env(redis: &RedisServer) -> Env {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    [
        ("REDIS_URL", redis.url()),
        (
            "TOLLGATE_REDIS_PREFIX",
            format!("test-{}-{number}", std::process::id()),
        ),
        ("STRIPE_WEBHOOK_SECRET", SECRET.to_owned()),
        ("TOLLGATE_INGEST_ADDR", "127.0.0.1:0".to_owned()),
        ("TOLLGATE_INGEST_ADMIN_ADDR", "127.0.0.1:0".to_owned()),
    ]
    .into_iter()
    .collect()
}

/// An ingest in this process, on a thread of its own.
pub(crate) struct Ingest {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) config: IngestConfig,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Ingest {
    /// One that is ready, in front of the shared Redis.
    pub(crate) fn ready() -> Self {
        let ingest = Self::start(&env(redis()), |_| {});
        ingest.wait_ready();
        ingest
    }

    /// One that is ready, with other limits.
    pub(crate) fn ready_with(change: impl FnOnce(&mut IngestConfig)) -> Self {
        let ingest = Self::start(&env(redis()), change);
        ingest.wait_ready();
        ingest
    }

    pub(crate) fn start(env: &Env, change: impl FnOnce(&mut IngestConfig)) -> Self {
        Self::start_at(env, NOW, change)
    }

    pub(crate) fn start_at(env: &Env, now: i64, change: impl FnOnce(&mut IngestConfig)) -> Self {
        let mut config = IngestConfig::from_env(env).expect("a usable configuration");
        change(&mut config);
        let stop = CancellationToken::new();
        let (addresses, bound) = mpsc::channel();
        let (token, copy) = (stop.clone(), config.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let server = Server::bind(copy, Clock::fixed(now), metrics())
                    .await
                    .expect("binds");
                addresses
                    .send((server.address(), server.admin_address()))
                    .expect("somebody waits");
                // Spawned, as who runs several roles in one process does.
                let run = tokio::spawn(server.run(token));
                run.await.expect("no panic").expect("runs");
            });
        });
        let (address, admin) = bound.recv().expect("bound");
        Self {
            address,
            admin,
            config,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        client::get(self.admin, "/readyz").status == 200
    }

    pub(crate) fn wait_ready(&self) {
        wait_until("ready", || self.is_ready());
    }

    /// Delivers an event as Stripe would.
    pub(crate) fn deliver(&self, body: &[u8]) -> Answer {
        client::send(self.address, &signed(DEFAULT, SECRET, NOW, body))
    }

    /// The value of a metric, by its full name with labels.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let text = client::get(self.admin, "/metrics").text();
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value)
    }

    pub(crate) fn refused(&self, reason: &str) -> f64 {
        self.metric(&format!("tollgate_ingest_refused_total{{reason=\"{reason}\"}}"))
            .unwrap_or_else(|| panic!("no counter for {reason}"))
    }

    /// Everything put into the queue since the last call.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let (prefix, shards) = (&self.config.common.redis_prefix, self.config.shards);
        let shards: Vec<u16> = (0..shards).collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let claimed = runtime.block_on(async {
            let consumer = Consumer::new(&self.config.common.redis_url, prefix, "test".into())?;
            consumer.ensure_groups(&shards).await?;
            let mut reader = consumer.reader().await?;
            consumer
                .read_new(&mut reader, &shards, ENTRIES_MAX, Duration::ZERO)
                .await
        });
        let claimed = claimed.expect("Redis answers");
        claimed
            .into_iter()
            .map(|claimed| claimed.entry.expect("readable"))
            .collect()
    }

    /// Tells it to stop, without waiting.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for its end.
    pub(crate) fn join(mut self) {
        self.thread.take().expect("once").join().expect("no panic");
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        assert!(ended || std::thread::panicking(), "ingest panicked");
    }
}

/// A snapshot event with this id and these more members (`"livemode":true,`).
pub(crate) fn event(id: &str, members: &str) -> Vec<u8> {
    format!(
        r#"{{"id":"{id}","object":"event","type":"invoice.paid","created":1800000000,{members}
            "data":{{"object":{{"id":"in_1","object":"invoice","customer":"cus_1"}}}}}}"#
    )
    .into_bytes()
}

/// An event of exactly this many bytes.
pub(crate) fn event_of(id: &str, bytes: usize) -> Vec<u8> {
    let empty = event(id, r#""x":"","#).len();
    event(id, &format!(r#""x":"{}","#, "y".repeat(bytes - empty)))
}
