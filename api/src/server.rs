//! Listening, connections with limits, and an orderly end.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use shared::admin::{self, Readiness};
use shared::lifecycle::again;
use shared::limiter::Limiter;
use shared::queue::{Probe, QueueError};
use shared::state_cache::{StateCache, keeping};
use store::api::{RoleProblem, Settlement};
use store::{SchemaError, Store, StoreError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Parts};
use crate::auth::Keys;
use crate::capacity::Capacity;
use crate::config::ApiConfig;
use crate::idempotency::KEPT_FOR;
use crate::intents::finish;
use crate::meters;
use crate::ops::{self, Ops};
use crate::router::{openapi, router};
use crate::stripe::Stripe;
use crate::switch::Switches;

/// Most open connections.
const CONNECTIONS_MAX: u32 = 1_024;
/// Longest a connection may be idle, or take to send a head.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest head of a request, bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Pause after a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often Postgres is asked whether it suits, and answers that have had their time are forgotten.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Most answers forgotten at once.
const FORGET_ROWS_MAX: u32 = 5_000;
/// Most reservations given back at once.
const OVERDUE_ROWS_MAX: u32 = 500;
const STORE: &str = "store";
const STOPPING: &str = "stopping";

/// Why the API cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// An address is taken, or not ours.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Listen {
        /// The setting it comes from.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// `REDIS_URL` cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// `DATABASE_URL` cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The schema does not suit this build.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The database role does not protect.
    #[error(transparent)]
    Role(#[from] RoleProblem),
    /// `TOLLGATE_STRIPE_API_URL` cannot be used.
    #[error("TOLLGATE_STRIPE_API_URL: {0}")]
    Stripe(#[from] stripe_api::SettingsError),
    /// `REDIS_URL` cannot be used for the budget.
    #[error(transparent)]
    Budget(#[from] stripe_api::BadRedisUrl),
}

/// A bound API that has not started yet.
pub struct Server {
    listener: TcpListener,
    admin_listener: TcpListener,
    address: SocketAddr,
    admin_address: SocketAddr,
    app: App,
    ops: Option<Ops>,
    metrics: PrometheusHandle,
}

impl Server {
    /// Takes both addresses. Connections wait in the kernel until [`Server::run`].
    ///
    /// # Errors
    /// [`ApiError`]; a Redis or Postgres that does not answer is none, the server then starts not ready.
    pub async fn bind(config: ApiConfig, metrics: PrometheusHandle) -> Result<Self, ApiError> {
        meters::show_routes(&openapi());
        let (redis_url, prefix) = (&config.common.redis_url, &config.common.redis_prefix);
        let cache = StateCache::new(redis_url, prefix)?;
        let probe = Probe::new(redis_url, prefix)?;
        let store = Store::for_api(&config.database_url, config.connections_max)?
            .telling_low_credits(config.credits_low)
            .with_state_cache(cache.clone());
        let app = App::new(Parts {
            cache,
            limiter: Limiter::new(redis_url, prefix)?,
            keys: Keys::new(config.auth, &config.account),
            switches: Switches::new(store.clone(), &config.account),
            capacity: Capacity::new(store.clone(), &config.account, config.policy.outstanding_max),
            stripe: Stripe::new(config.stripe, &config.common)?,
            sales: config.sales,
            policy: config.policy,
            account: config.account,
            store,
        });
        let (listener, address) = listen("TOLLGATE_API_ADDR", config.address).await?;
        let (admin_listener, admin_address) = listen("TOLLGATE_API_ADMIN_ADDR", config.admin_address).await?;
        Ok(Self {
            listener,
            admin_listener,
            address,
            admin_address,
            ops: config.ops.map(|it| Ops::new(it, app.clone(), probe)),
            app,
            metrics,
        })
    }

    /// Where the API is, with the port that was really taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin listener and the ops page are, with the port that was really taken.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until `stop`; then stops accepting, finishes what is in flight, and returns.
    ///
    /// # Errors
    /// [`ApiError`] when the database is there and does not suit.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ApiError> {
        let readiness = Readiness::waiting_for(&[STORE]);
        let mut beside = JoinSet::new();
        let mut admin = admin::router(readiness.clone(), self.metrics);
        if let Some(ops) = self.ops {
            admin = admin.merge(ops::router(ops.clone()));
            beside.spawn(ops::watch(ops));
        }
        beside.spawn(async move {
            if let Err(error) = admin::serve(self.admin_listener, admin, CancellationToken::new()).await {
                tracing::error!(%error, "the admin listener ended");
            }
        });
        if stop
            .run_until_cancelled(wait_for_store(&self.app.store, &readiness))
            .await
            .transpose()?
            .is_none()
        {
            return Ok(());
        }
        tracing::info!(address = %self.address, admin_address = %self.admin_address, "listening");
        spawn_beside(&mut beside, &self.app, &readiness);
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        accept(self.listener, &router(self.app), &slots, &stop).await;
        readiness.set(STOPPING, Some("told to end".to_owned()));
        // Every connection holds one; to hold all of them is to know that none is left.
        drop(slots.acquire_many(CONNECTIONS_MAX).await);
        tracing::info!("stopped");
        Ok(())
    }
}

/// What goes on beside the requests.
fn spawn_beside(beside: &mut JoinSet<()>, app: &App, readiness: &Readiness) {
    let its = app.clone();
    let keys = move || {
        let its = its.clone();
        async move { its.keys.keep().await }
    };
    beside.spawn(again("keeping keys", keys));
    let its = app.clone();
    beside.spawn(again("finishing intents", move || finish(its.clone())));
    let its = app.cache.clone();
    beside.spawn(again("announcing", move || announce(its.clone())));
    let (its, readiness) = (app.clone(), readiness.clone());
    beside.spawn(again("looking after things", move || {
        look_after(its.clone(), readiness.clone())
    }));
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), ApiError> {
    let bind = async {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind.await.map_err(|source| ApiError::Listen {
        setting,
        address,
        source,
    })
}

/// Waits for a Postgres that suits. One that is away may come; one that does not suit, or does not protect, ends us.
async fn wait_for_store(store: &Store, readiness: &Readiness) -> Result<(), ApiError> {
    loop {
        let problem = match suits(store).await {
            Ok(()) => None,
            Err(error) if is_temporary(&error) => Some(error.to_string()),
            Err(error) => return Err(error),
        };
        let is_good = problem.is_none();
        readiness.set(STORE, problem);
        if is_good {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn suits(store: &Store) -> Result<(), ApiError> {
    let looking = async {
        store.check_schema().await?;
        store.check_api_role().await?;
        Ok(())
    };
    let found = store::in_time(async { Ok(looking.await) }).await;
    found.map_err(SchemaError::Store)?
}

fn is_temporary(error: &ApiError) -> bool {
    match error {
        ApiError::Schema(SchemaError::Store(error)) | ApiError::Role(RoleProblem::Store(error)) => {
            error.class() == domain::Class::Transient
        }
        _ => false,
    }
}

/// Lets everybody know that states are kept.
async fn announce(cache: StateCache) {
    let mut ticks = tokio::time::interval(keeping::RENEW_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = cache.announce().await {
            tracing::debug!(%error, "states are not kept for a while");
        }
    }
}

/// Keeps readiness true, and forgets answers that have had their time.
async fn look_after(app: App, readiness: Readiness) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        app.store.show_pool();
        readiness.set(
            STORE,
            suits(&app.store).await.err().map(|error| error.to_string()),
        );
        if let Err(error) = store::in_time(app.store.forget_requests(KEPT_FOR, FORGET_ROWS_MAX)).await {
            tracing::debug!(%error, "old answers are kept a little longer");
        }
        if let Err(error) = store::in_time(release_overdue(&app)).await {
            tracing::warn!(%error, "reservations stay open a little longer");
        }
    }
}

/// Gives back what was reserved and never settled. Another replica may be at it: each is settled once.
async fn release_overdue(app: &App) -> Result<(), StoreError> {
    let us = app.ourselves();
    for (id, user) in app.store.overdue_reservations(&us, OVERDUE_ROWS_MAX).await? {
        let mut tx = app.store.begin_as(&us).await?;
        tx.settle(&user, &id, Settlement::Expired).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Takes connections until `stop`. At the cap the next ones wait in the kernel, unaccepted.
async fn accept(listener: TcpListener, router: &Router, slots: &Arc<Semaphore>, stop: &CancellationToken) {
    let next = async || {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        Some((slot, listener.accept().await))
    };
    while let Some(Some((slot, accepted))) = stop.run_until_cancelled(next()).await {
        match accepted {
            Ok((tcp, _)) => {
                let (router, stop) = (router.clone(), stop.clone());
                tokio::spawn(async move {
                    serve(tcp, router, stop).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, from its first byte to its last.
async fn serve(tcp: TcpStream, router: Router, stop: CancellationToken) {
    tcp.set_nodelay(true).ok();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(tcp), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let result = match stop.run_until_cancelled(connection.as_mut()).await {
        Some(result) => result,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended");
    }
}
