//! The doorstep: Redis Streams with one consumer group.
//!
//! An event is in Redis from the moment ingest answers 200 until a worker has committed it to
//! Postgres, and no longer. The life of an entry:
//!
//! ```text
//! Producer::enqueue ─▶ XADD ─▶ [stream] ─▶ Consumer::read_new ─▶ pending, leased to one consumer
//!                                               ▲                    │ renew while work runs
//!                          Consumer::take_over ─┘ lease ran out      │
//!                                                                    ▼
//!                                              Consumer::acknowledge: XACK + XDEL, gone
//! ```
//!
//! The queue is several streams, its shards: [`shards`] says which one an event goes to, [`fleet`] which worker reads
//! which. One key per shard, `{<prefix>:v1:<shard>}:events`. The braces are a Redis Cluster hash tag; the version lets a
//! later layout run beside this one.

mod consumer;
mod deeds;
mod depth;
mod durability;
pub mod fleet;
mod flow;
mod gate;
mod held;
mod lanes;
mod lease;
mod link;
mod newer;
pub mod pause;
mod producer;
mod reply;
pub mod roster;
mod scripts;
pub mod shards;
mod stream_id;
pub mod survey;
mod vitals;

use std::time::Duration;

pub use consumer::{Claimed, Consumer, NOBODY, Reader, Settled};
pub use deeds::{DEEDS_MAX, Log, QueueDeed};
pub use depth::{Depth, Probe};
pub use durability::{Durability, DurabilityReport, ParseDurabilityError};
pub use flow::Flow;
pub use gate::{ACCEPTING, Closed, Gate, GateLimits};
pub use held::GONE_THROUGH_MAX;
pub use lease::Leases;
pub use link::Link;
pub use pause::Pause;
pub use producer::{EnqueueError, Producer, Receipt};
pub use shards::Sharding;
pub use stream_id::StreamId;
pub use vitals::Vitals;

/// The one consumer group; every worker replica is a consumer in it.
pub const GROUP: &str = "workers";
/// How long a claimed entry belongs to its consumer without a sign of life.
pub const LEASE: Duration = Duration::from_secs(10);
/// How often a living consumer renews. Three chances before the lease runs out.
pub const RENEW_EVERY: Duration = Duration::from_secs(3);
/// How often a consumer looks for entries whose lease ran out.
pub const TAKE_OVER_EVERY: Duration = Duration::from_secs(2);
/// Most entries claimed at once: the size of a chunk.
pub const CHUNK_ENTRIES_MAX: usize = 256;
/// Tries before an entry that keeps killing its worker is set aside.
pub const DELIVERIES_MAX: u32 = 5;
/// Longest wait for an answer from Redis to anything but a blocking read.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest until [`Producer::enqueue`] answers: its turn to be sent comes, or not, while Redis answers what was sent
/// before.
pub const ENQUEUE_TIMEOUT: Duration = Duration::from_secs(2 * RESPONSE_TIMEOUT.as_secs());
/// Longest wait for a connection to Redis.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

const _: () = assert!(
    RENEW_EVERY.as_secs() * 3 < LEASE.as_secs(),
    "a lease outlives three renewals"
);
const _: () = assert!(
    RESPONSE_TIMEOUT.as_secs() + RENEW_EVERY.as_secs() < LEASE.as_secs(),
    "one slow renewal does not cost the lease"
);

/// A Redis URL that cannot be used, or Redis trouble while doing a named thing.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The URL does not parse.
    #[error("REDIS_URL cannot be used: {0}")]
    BadUrl(#[source] redis::RedisError),
    /// Redis refused or did not answer.
    #[error("redis: {0}")]
    Redis(redis::RedisError),
    /// No answer within [`RESPONSE_TIMEOUT`].
    #[error("redis did not answer in time")]
    TimedOut,
}

impl From<redis::RedisError> for QueueError {
    fn from(error: redis::RedisError) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Redis(error)
        }
    }
}

impl QueueError {
    /// The group or the stream is gone: somebody flushed, or failed over to an empty server.
    #[must_use]
    pub fn is_no_group(&self) -> bool {
        matches!(self, Self::Redis(error) if error.code() == Some("NOGROUP"))
    }
}

/// The Redis keys of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The stream.
    pub events: String,
    /// The layouts of which entries wait for a newer build: a set of numbers. The entries of each are in a stream under
    /// this name and the number.
    pub newer: String,
}

impl Keys {
    /// Keys under `prefix`, which separates installations (and tests) that share a Redis.
    #[must_use]
    pub fn new(prefix: &str, shard: u16) -> Self {
        Self {
            events: format!("{{{prefix}:v1:{shard}}}:events"),
            newer: format!("{{{prefix}:v1:{shard}}}:newer"),
        }
    }

    /// The stream of entries of a newer layout.
    #[must_use]
    pub fn newer_of(&self, layout: u32) -> String {
        format!("{}:{layout}", self.newer)
    }
}

/// A blocking read is silent for as long as it blocks, so its bound is its caller's.
pub(crate) async fn within<T>(
    limit: Duration,
    command: impl Future<Output = redis::RedisResult<T>>,
) -> Result<T, QueueError> {
    match tokio::time::timeout(limit, command).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(QueueError::TimedOut),
    }
}
