//! Listening, one task per connection, and an orderly end.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::PrometheusHandle;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shared::admin::{self, Readiness};
use shared::clock::Clock;
use shared::lifecycle::again;
use shared::queue::{Gate, Link, Producer, QueueError, RESPONSE_TIMEOUT, Sharding, survey};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{IngestConfig, Limits};
use crate::crowd::Crowd;
use crate::meters::{Counted, Meters, count_refusal};
use crate::refusal::{HEADERS_TIMEOUT, HEADERS_TOO_LARGE, HTTP_MALFORMED};
use crate::status;
use crate::stream::{ClientStream, Pace};
use crate::throttle::Throttle;
use crate::webhook::Webhook;

/// Pause after a connection could not be taken. Without it, running out of file descriptors would be a
/// busy loop that keeps others from freeing them.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// File descriptors beside the connections: listeners, Redis, epoll, standard streams, `/proc`.
const FILES_BESIDE: u64 = 64;
static LOGS: Throttle = Throttle::new(1);

/// Why ingest cannot run.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
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
}

/// A bound ingest that has not started yet.
pub struct Server {
    listener: TcpListener,
    admin_listener: TcpListener,
    address: SocketAddr,
    admin_address: SocketAddr,
    webhook: Arc<Webhook>,
    config: IngestConfig,
    sharding: Sharding,
    metrics: PrometheusHandle,
}

impl Server {
    /// Takes both addresses. Connections wait in the kernel until [`Server::run`].
    ///
    /// # Errors
    /// [`IngestError`]; an unreachable Redis is none, the server then starts not ready.
    pub async fn bind(
        config: IngestConfig,
        clock: Clock,
        metrics: PrometheusHandle,
    ) -> Result<Self, IngestError> {
        raise_file_limit(config.connections_max);
        let (listener, address) = listen("TOLLGATE_INGEST_ADDR", config.address).await?;
        let (admin_listener, admin_address) =
            listen("TOLLGATE_INGEST_ADMIN_ADDR", config.admin_address).await?;
        let sharding = Sharding {
            prefix: config.common.redis_prefix.clone(),
            shards: config.shards,
        };
        let gate = Gate::closed();
        let webhook = Webhook {
            producer: Producer::new(&config.common.redis_url, &sharding, config.gate.replicas, &gate)?,
            gate,
            clock,
            bodies_budget: Semaphore::new(config.limits.bodies_bytes_max),
            body_limit: config.limits.body,
            meters: Meters::new(&config.endpoints),
            endpoints: config.endpoints.clone(),
        };
        Ok(Self {
            listener,
            admin_listener,
            address,
            admin_address,
            webhook: Arc::new(webhook),
            config,
            sharding,
            metrics,
        })
    }

    /// Where Stripe's requests arrive, with the port that was really taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/livez`, `/readyz` and `/metrics` are, with the port that was really taken.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until `stop`; then stops accepting, finishes what is in flight, and returns.
    ///
    /// How long that may take is up to the caller; each request is bounded by [`Limits`].
    ///
    /// # Errors
    /// [`IngestError`]; nothing that happens while serving ends the server.
    pub async fn run(self, stop: CancellationToken) -> Result<(), IngestError> {
        tracing::info!(address = %self.address, admin_address = %self.admin_address, "listening");
        for endpoint in &self.config.endpoints {
            let has_token = endpoint.token.is_some();
            tracing::info!(
                path = endpoint.path(),
                secrets = endpoint.secrets.len(),
                has_token,
                "endpoint"
            );
        }
        let readiness = Readiness::waiting_for(&[status::QUEUE]);
        // Lives through the draining, so that whoever asks is told; ends with the set, finished or not.
        let mut beside = JoinSet::new();
        beside.spawn(serve_admin(self.admin_listener, readiness.clone(), self.metrics));
        let link = Link::new(&self.config.common.redis_url, RESPONSE_TIMEOUT)?;
        let (prefix, clock) = (self.sharding.prefix.clone(), self.webhook.clock.clone());
        let survey = move || survey::watch(link.clone(), prefix.clone(), clock.clone());
        beside.spawn(again("surveying", survey));
        let (webhook, config) = (Arc::clone(&self.webhook), self.config.clone());
        let watch = move || watch_queue(Arc::clone(&webhook), config.clone(), self.sharding.clone());
        beside.spawn(again("watching the queue", watch));
        let (webhook, told) = (Arc::clone(&self.webhook), readiness.clone());
        let status = move || status::keep(Arc::clone(&webhook), told.clone());
        beside.spawn(again("keeping readiness", status));

        let slots = Arc::new(Semaphore::new(self.config.connections_max as usize));
        accept(self.listener, &self.webhook, &self.config.limits, &slots, &stop).await;
        readiness.set(status::STOPPING, Some("told to end".to_owned()));
        // Every connection holds one; to hold all of them is to know that none is left.
        drop(slots.acquire_many(self.config.connections_max).await);
        tracing::info!("stopped");
        Ok(())
    }
}

async fn listen(
    setting: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), IngestError> {
    let bind = async {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind.await.map_err(|source| IngestError::Listen {
        setting,
        address,
        source,
    })
}

async fn serve_admin(listener: TcpListener, readiness: Readiness, metrics: PrometheusHandle) {
    let router = admin::router(readiness, metrics);
    if let Err(error) = admin::serve(listener, router, CancellationToken::new()).await {
        tracing::error!(%error, "the admin listener ended");
    }
}

async fn watch_queue(webhook: Arc<Webhook>, config: IngestConfig, sharding: Sharding) {
    let gate = webhook.gate.clone();
    let clock = webhook.clock.clone();
    let forever = CancellationToken::new();
    let watching = gate.watch(&config.common.redis_url, sharding, config.gate, clock, forever);
    if let Err(error) = watching.await {
        tracing::error!(%error, "the queue is not watched");
    }
}

/// Takes connections until `stop`. At the cap the next one waits, and those behind it in the kernel, unaccepted. While it
/// does, every connection ends with its next answer, and those that have been idle for a while end one by one: whoever keeps
/// sending, or keeps a connection for later, must not keep others from being answered.
async fn accept(
    listener: TcpListener,
    webhook: &Arc<Webhook>,
    limits: &Limits,
    slots: &Arc<Semaphore>,
    stop: &CancellationToken,
) {
    let crowd = Crowd::default();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((tcp, _)) => {
                let slot = stop.run_until_cancelled(crowd.place(slots)).await;
                let Some(Ok(slot)) = slot else { break };
                let serving = Serving {
                    webhook: Arc::clone(webhook),
                    limits: *limits,
                    crowd: crowd.clone(),
                    stop: stop.clone(),
                };
                tokio::spawn(serving.serve(tcp, slot));
            }
            // The client's own doing. A pause here would let strangers stop us by hanging up.
            Err(error) if is_hang_up(&error) => {}
            Err(error) => {
                webhook.meters.accept_errors.increment(1);
                if LOGS.allows(Instant::now()) {
                    tracing::warn!(%error, "cannot take a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// What it takes to serve a connection.
struct Serving {
    webhook: Arc<Webhook>,
    limits: Limits,
    crowd: Crowd,
    stop: CancellationToken,
}

impl Serving {
    /// One connection, from its first byte to its last.
    async fn serve(self, tcp: TcpStream, _slot: OwnedSemaphorePermit) {
        let Self {
            webhook,
            limits,
            crowd,
            ..
        } = &self;
        // An answer is one small packet; nothing follows that it could wait for.
        tcp.set_nodelay(true).ok();
        let _counted = Counted::new(&webhook.meters.connections);
        let pace = Pace::default();
        let stream = ClientStream::new(tcp, pace.clone(), crowd.clone(), limits);
        let service = service_fn(|request| {
            pace.request();
            let answer = webhook.answer(request);
            let pace = &pace;
            async move {
                let mut response = answer.await;
                if crowd.is_there() {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                pace.idle();
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            // The stream has the limits for headers and for idling: hyper would make a timer for each request.
            .header_read_timeout(None)
            // Also answers 431. The number of headers is left at hyper's 100, which it keeps on the stack.
            .max_buf_size(limits.head_bytes_max)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let result = match self.stop.run_until_cancelled(connection.as_mut()).await {
            Some(result) => result,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Some(reason) = result.err().and_then(|error| reason_of(&error)) {
            count_refusal(reason);
        }
    }
}

/// What hyper refused before there was a request. Clients that just went away are not counted.
fn reason_of(error: &hyper::Error) -> Option<&'static str> {
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    if error.is_parse_too_large() {
        Some(HEADERS_TOO_LARGE)
    } else if error.is_parse() {
        Some(HTTP_MALFORMED)
    } else if source.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        Some(HEADERS_TIMEOUT)
    } else {
        None
    }
}

/// Most systems start a process with room for 1024 files, which is not enough for the default number of
/// connections, and let it ask for more.
fn raise_file_limit(connections_max: u32) {
    let wanted = u64::from(connections_max) + FILES_BESIDE;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = Rlimit {
        current: Some(allowed),
        maximum: limit.maximum,
    };
    if setrlimit(Resource::Nofile, raised).is_err() || allowed < wanted {
        tracing::warn!(
            wanted,
            allowed,
            "too few open files are allowed for TOLLGATE_INGEST_CONNECTIONS_MAX"
        );
    }
}
