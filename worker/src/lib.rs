//! The worker: claims events from Redis and applies each exactly once in effect.
//!
//! The way of an event through this crate: [`attendance`] sees to it that this worker reads its [`shards`], [`claims`]
//! fetches the event, [`waiting`] gives it to a free slot with others,
//! [`chunk`] takes it all the way: each entry is read ([`read`], with one file per kind in [`handlers`]),
//! the whole is decided and written in one transaction ([`transact`]), and acknowledged.

mod analyst;
mod attempt;
pub mod attendance;
mod auditor;
mod backend;
pub mod backfill;
pub mod breaker;
pub mod chunk;
pub mod claims;
pub mod config;
mod event_types;
pub mod handlers;
pub mod item;
mod meters;
mod news;
pub mod park;
mod pause;
pub mod read;
pub mod reapply;
pub mod reckon;
mod reckoner;
pub mod reconcile;
mod reconciler;
pub mod refetch;
mod refetcher;
pub mod replay;
mod replayer;
mod report;
pub mod resync;
mod sampler;
mod scribe;
pub mod shards;
mod share;
pub mod sweeper;
pub mod ties;
mod told;
pub mod transact;
pub mod view;
pub mod waiting;
mod watchdog;
mod watcher;
pub mod whole;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusHandle;
use shared::admin::{self, Readiness};
use shared::clock::Clock;
use shared::config::{ConfigError, Env, Setting};
use shared::lifecycle::again;
use shared::metric::Metric;
use shared::queue::{Consumer, Leases, Link, Probe, QueueError, RESPONSE_TIMEOUT, survey};
use shared::role::Role;
use shared::state_cache::StateCache;
use store::{SchemaError, Store, StoreError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use auditor::Auditor;
use breaker::Breaker;
use chunk::Pipeline;
use config::WorkerConfig;
use reckoner::Reckoner;
use reconcile::{Comparer, Mender};
use reconciler::Reconciler;
use refetcher::{PATIENCE, Refetcher};
use replayer::Replayer;
use sampler::Sampler;
use scribe::Scribe;
use sweeper::Sweeper;
use tokio::task::JoinSet;

/// The event types about objects we handle: what an endpoint at Stripe should send.
pub use event_types::KNOWN as EVENT_TYPES;
pub use meters::METRICS;

/// How often a worker that cannot reach Postgres looks again before it starts.
const SCHEMA_RETRY: Duration = Duration::from_secs(1);

/// Why a worker does not run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The admin listener's address is taken, or not ours.
    #[error("cannot listen on {0} (TOLLGATE_WORKER_ADMIN_ADDR): {1}")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    /// `REDIS_URL` cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// `DATABASE_URL` cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The schema does not suit this build.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// `TOLLGATE_STRIPE_API_URL` cannot be used.
    #[error("TOLLGATE_STRIPE_API_URL: {0}")]
    Stripe(#[from] stripe_api::SettingsError),
    /// `REDIS_URL` cannot be used for the budget of Stripe's API.
    #[error(transparent)]
    Budget(#[from] stripe_api::BadRedisUrl),
    /// apalis gave up.
    #[error("the worker ended: {0}")]
    Ended(String),
}

/// Runs a worker until `stop`: finishes what it holds, hands back what it has not begun, returns.
///
/// # Errors
/// [`WorkerError`] when it cannot start, or when the schema does not suit it. Redis or Postgres being away
/// is no error: the worker waits, and is not ready.
pub async fn run(
    config: WorkerConfig,
    clock: Clock,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let readiness = Readiness::waiting_for(&[chunk::POSTGRES, claims::REDIS]);
    let listener = TcpListener::bind(config.admin_addr)
        .await
        .map_err(|e| WorkerError::Listen(config.admin_addr, e))?;
    // With the port that was really taken.
    if let Ok(admin_address) = listener.local_addr() {
        tracing::info!(%admin_address, "listening");
    }
    let admin = tokio::spawn(admin::serve(
        listener,
        admin::router(readiness.clone(), metrics),
        CancellationToken::new(),
    ));
    let result = work(&config, clock, readiness, stop).await;
    // Answers through the draining; whoever holds a connection open then does not keep us.
    admin.abort();
    result
}

async fn work(
    config: &WorkerConfig,
    clock: Clock,
    readiness: Readiness,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    watchdog::start();
    let store = Store::for_working(&config.database_url, config.connections_max())?
        .asking(config.stripe.is_some())
        .telling_low_credits(config.credits_low)
        .with_state_cache(StateCache::new(
            &config.common.redis_url,
            &config.common.redis_prefix,
        )?);
    let consumer = Consumer::new(
        &config.common.redis_url,
        &config.common.redis_prefix,
        consumer_name(&clock),
    )?;
    if !wait_for_schema(&store, &readiness, &stop).await? {
        return Ok(());
    }
    tracing::info!(
        consumer = consumer.name(),
        concurrency = config.concurrency,
        "working"
    );
    let pipeline = Pipeline {
        store,
        consumer,
        leases: Leases::new(Instant::now()),
        readiness,
        clock,
        breaker: Breaker::default(),
        marked: Arc::default(),
        stop,
    };
    let store = pipeline.store.clone();
    let reckoner_stop = CancellationToken::new();
    let mut background = spawn_background(config, &pipeline, &reckoner_stop)?;
    let mut periodic = spawn_periodic(config, &pipeline)?;
    let result = backend::run(pipeline, config.concurrency as usize).await;
    // Not before: the last chunk left marks, too.
    reckoner_stop.cancel();
    while background.join_next().await.is_some() {}
    periodic.shutdown().await;
    store.close().await;
    tracing::info!("stopped");
    result.map_err(|error| WorkerError::Ended(error.to_string()))
}

/// Who asks Stripe, when there is a key to ask with.
fn refetcher(config: &WorkerConfig, pipeline: &Pipeline) -> Result<Option<Refetcher>, WorkerError> {
    let Some(settings) = config.stripe.clone() else {
        tracing::info!("no STRIPE_API_KEY: what events cannot tell stays open");
        return Ok(None);
    };
    let client = stripe_api::Client::new(settings, pipeline.clock.clone())?;
    let (redis_url, prefix) = (&config.common.redis_url, &config.common.redis_prefix);
    let budget = stripe_api::Budget::new(redis_url, prefix, client.mode())?;
    Ok(Some(Refetcher {
        store: pipeline.store.clone(),
        stripe: stripe_api::Budgeted::new(client, budget, stripe_api::Priority::Live, PATIENCE),
        clock: pipeline.clock.clone(),
        marked: Arc::clone(&pipeline.marked),
    }))
}

/// Who compares Stripe's list of events with what is here, when that is wanted and there is a key.
fn reconciler(config: &WorkerConfig, pipeline: &Pipeline) -> Result<Option<Reconciler>, WorkerError> {
    let (Some(settings), true) = (config.stripe.clone(), config.reconcile.is_on()) else {
        return Ok(None);
    };
    let (common, clock) = (&config.common, pipeline.clock.clone());
    let store = pipeline.store.clone();
    Ok(Some(Reconciler {
        comparer: Comparer::new(common, settings, &config.reconcile, store, clock.clone())?,
        mender: Mender::new(common, clock.clone()),
        settings: config.reconcile.clone(),
        clock,
    }))
}

/// Who compares objects with Stripe's, when that is wanted and there is a key.
fn sampler(config: &WorkerConfig, pipeline: &Pipeline) -> Result<Option<Sampler>, WorkerError> {
    let (Some(settings), true) = (config.stripe.clone(), config.reconcile.is_sampling()) else {
        return Ok(None);
    };
    let (common, clock) = (&config.common, pipeline.clock.clone());
    let store = pipeline.store.clone();
    Ok(Some(Sampler {
        comparer: Comparer::new(common, settings, &config.reconcile, store, clock.clone())?,
        settings: config.reconcile.clone(),
        clock,
        marked: Arc::clone(&pipeline.marked),
    }))
}

/// What runs beside the events and is waited for: who reckons and asks Stripe until `reckoner_stop`, and who carries out
/// jobs until the role is asked to stop, for what is cut off in mid-way looks like a death.
fn spawn_background(
    config: &WorkerConfig,
    pipeline: &Pipeline,
    reckoner_stop: &CancellationToken,
) -> Result<JoinSet<()>, WorkerError> {
    let reckoner = Reckoner {
        store: pipeline.store.clone(),
        policy: config.policy,
        readiness: pipeline.readiness.clone(),
        marked: Arc::clone(&pipeline.marked),
        role_stop: pipeline.stop.clone(),
    };
    let replayer = Replayer {
        store: pipeline.store.clone(),
        marked: Arc::clone(&pipeline.marked),
    };
    let mut background = JoinSet::new();
    let stop = reckoner_stop.clone();
    background.spawn(again("reckoning", move || reckoner.clone().run(stop.clone())));
    if let Some(refetcher) = refetcher(config, pipeline)? {
        let stop = reckoner_stop.clone();
        background.spawn(again("asking Stripe", move || {
            refetcher.clone().run(stop.clone())
        }));
    }
    let stop = pipeline.stop.clone();
    background.spawn(again("replaying", move || replayer.clone().run(stop.clone())));
    Ok(background)
}

/// What runs beside the events and may be cut off, until the role is asked to stop.
fn spawn_periodic(config: &WorkerConfig, pipeline: &Pipeline) -> Result<JoinSet<()>, WorkerError> {
    let auditor = Auditor {
        store: pipeline.store.clone(),
        outstanding_max: config.policy.outstanding_max,
    };
    let sweeper = Sweeper {
        store: pipeline.store.clone(),
        policy: config.policy,
        marked: Arc::clone(&pipeline.marked),
        every: config.sweep_every,
    };
    let mut periodic = JoinSet::new();
    let (store, stop) = (pipeline.store.clone(), pipeline.stop.clone());
    periodic.spawn(again("looking at new tables", move || {
        analyst::analyze(store.clone(), stop.clone())
    }));
    let stop = pipeline.stop.clone();
    periodic.spawn(again("auditing", move || auditor.clone().run(stop.clone())));
    if let Some(reconciler) = reconciler(config, pipeline)? {
        let stop = pipeline.stop.clone();
        periodic.spawn(again("reconciling", move || reconciler.clone().run(stop.clone())));
    }
    if let Some(sampler) = sampler(config, pipeline)? {
        let stop = pipeline.stop.clone();
        periodic.spawn(again("comparing objects", move || {
            sampler.clone().run(stop.clone())
        }));
    }
    let stop = pipeline.stop.clone();
    periodic.spawn(again("sweeping", move || sweeper.clone().run(stop.clone())));
    let (store, stop) = (pipeline.store.clone(), pipeline.stop.clone());
    periodic.spawn(again("watching", move || {
        watcher::watch(store.clone(), stop.clone())
    }));
    let link = Link::new(&config.common.redis_url, RESPONSE_TIMEOUT)?;
    let prefix = config.common.redis_prefix.clone();
    let clock = pipeline.clock.clone();
    let survey = move || survey::watch(link.clone(), prefix.clone(), clock.clone());
    periodic.spawn(again("surveying", survey));
    let scribe = Scribe {
        probe: Probe::new(&config.common.redis_url, &config.common.redis_prefix)?,
        store: pipeline.store.clone(),
    };
    let stop = pipeline.stop.clone();
    periodic.spawn(again("writing down deeds", move || {
        scribe.clone().run(stop.clone())
    }));
    Ok(periodic)
}

/// Waits for Postgres; an unsuitable schema is an error. `false` when asked to stop before.
async fn wait_for_schema(
    store: &Store,
    readiness: &Readiness,
    stop: &CancellationToken,
) -> Result<bool, SchemaError> {
    loop {
        match store.check_schema().await {
            Ok(()) => {
                readiness.set(chunk::POSTGRES, None);
                return Ok(true);
            }
            Err(SchemaError::Store(error)) => report::waiting(readiness, chunk::POSTGRES, &error.message()),
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(false),
            () = tokio::time::sleep(SCHEMA_RETRY) => {}
        }
    }
}

/// Unique among all workers that ever were: host, process, when it started, and which one of the process it is.
fn consumer_name(clock: &Clock) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "worker" } else { host };
    format!("{host}-{}-{:x}-{number}", std::process::id(), clock.unix_ms())
}

/// The worker as a process.
pub struct Worker;

impl Role for Worker {
    type Config = WorkerConfig;
    const NAME: &'static str = "worker";
    const ABOUT: &'static str = "Claims events from Redis and applies each exactly once in effect to Postgres. As many as the queue has shards share the work; more are spares.";
    const SETTINGS: &'static [Setting] = config::SETTINGS;
    const METRICS: &'static [&'static [Metric]] =
        &[METRICS, survey::METRICS, store::METRICS, stripe_api::METRICS];
    const THREADS_MAX: usize = 16;

    fn configure(env: &Env) -> Result<WorkerConfig, ConfigError> {
        WorkerConfig::from_env(env)
    }

    fn shutdown(config: &WorkerConfig) -> Duration {
        config.common.shutdown
    }

    async fn run(
        config: WorkerConfig,
        metrics: PrometheusHandle,
        stop: CancellationToken,
    ) -> Result<(), Box<dyn std::error::Error>> {
        Ok(run(config, Clock::system(), metrics, stop).await?)
    }
}
