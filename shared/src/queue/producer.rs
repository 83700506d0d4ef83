//! Ingest's side: put an event into its shard and know that it is there.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};

use super::lanes::Lanes;
use super::{Gate, Keys, QueueError, Sharding, shards};
use crate::entry::{Entry, FIELD_BODY, FIELD_META, FIELD_VERSION, newest};

/// Longest wait for replicas; within it the connection that waits carries nothing else.
const REPLICAS_TIMEOUT: Duration = Duration::from_millis(500);
/// Arguments of `XADD`, and room for each of those that are single words.
const XADD_ARGS: usize = 9;
const WORD_BYTES: usize = 8;

/// Proof that Redis has the entry. Only [`Producer::enqueue`] makes one, and only a receipt becomes a 200.
#[derive(Debug)]
#[must_use = "a receipt is what a 200 is made of"]
pub struct Receipt(());

/// Why an entry is not known to be in Redis. It may be there all the same (an answer can get lost);
/// the sender's retry is then a duplicate, which the inbox absorbs.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// Redis is at `maxmemory` and, as it must, evicts nothing.
    #[error("redis is out of memory")]
    OutOfMemory,
    /// The master has it, too few replicas do: it would be lost with the master.
    #[error("{acknowledged} of {demanded} redis replicas confirmed in time")]
    Replicas {
        /// Replicas that confirmed.
        acknowledged: u32,
        /// How many had to.
        demanded: u32,
    },
    /// Redis is away, loading, read-only after a failover, or slow.
    #[error(transparent)]
    Unavailable(QueueError),
}

impl EnqueueError {
    /// The value of the `reason` label on the refusal counter.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::OutOfMemory => "redis_out_of_memory",
            Self::Replicas { .. } => "redis_replicas",
            Self::Unavailable(_) => "redis_unavailable",
        }
    }
}

impl From<redis::RedisError> for EnqueueError {
    fn from(error: redis::RedisError) -> Self {
        if error.code() == Some("OOM") {
            Self::OutOfMemory
        } else {
            Self::Unavailable(error.into())
        }
    }
}

/// Adds entries to the shards. Cheap to clone; all clones share some pipelined connections, so requests that arrive
/// together share a write, and an fsync where Redis makes one (`appendfsync always`).
#[derive(Clone)]
pub struct Producer {
    lanes: Lanes,
    /// By shard.
    streams: Arc<[String]>,
    replicas: u32,
}

impl Producer {
    /// Prepares lazy connections; nothing is sent yet. Needs a tokio runtime. With `replicas` above zero an entry
    /// counts as enqueued only when so many replicas have confirmed it (`WAIT`), too. How much goes out together depends
    /// on the durability that `gate` sees.
    ///
    /// # Errors
    /// [`QueueError::BadUrl`].
    pub fn new(url: &str, sharding: &Sharding, replicas: u32, gate: &Gate) -> Result<Self, QueueError> {
        let wait = (replicas > 0).then(|| {
            let mut wait = redis::cmd("WAIT");
            wait.arg(replicas).arg(REPLICAS_TIMEOUT.as_millis());
            wait
        });
        Ok(Self {
            lanes: Lanes::new(url, wait, gate.syncs())?,
            streams: (0..sharding.shards.max(1))
                .map(|shard| Keys::new(&sharding.prefix, shard).events)
                .collect(),
            replicas,
        })
    }

    /// All of a customer's go into one.
    fn stream_of(&self, entry: &Entry) -> &str {
        // As when ingests do not agree how many shards there are: the inbox alone stands between two deliveries then.
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted("check-then-insert") {
            return crate::planted::any_of(&self.streams);
        }
        let envelope = &entry.meta.envelope;
        let (account, count) = (envelope.account.as_deref(), self.streams.len());
        let shard = shards::shard_of(
            account,
            envelope.ordering_key(),
            u16::try_from(count).unwrap_or(1),
        );
        &self.streams[usize::from(shard)]
    }

    /// Adds one entry. No `MAXLEN`: nothing is ever trimmed in silence.
    ///
    /// # Errors
    /// [`EnqueueError`] when Redis has not confirmed within [`super::ENQUEUE_TIMEOUT`].
    pub async fn enqueue(&self, entry: &Entry) -> Result<Receipt, EnqueueError> {
        let stream = self.stream_of(entry);
        let meta = entry.encode_meta();
        let bytes = stream.len() + meta.len() + entry.body.len();
        let mut command = Cmd::with_capacity(XADD_ARGS, bytes + XADD_ARGS * WORD_BYTES);
        command.arg("XADD").arg(stream).arg("*");
        command.arg(FIELD_VERSION).arg(newest());
        command.arg(FIELD_META).arg(meta);
        command.arg(FIELD_BODY).arg(&entry.body[..]);
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted("answer-before-xadd") {
            let lanes = self.lanes.clone();
            tokio::spawn(async move { drop(lanes.ask(command, bytes).await) });
            return Ok(Receipt(()));
        }
        let answer = self.lanes.ask(command, bytes).await?;
        if self.replicas > 0 {
            let acknowledged = match answer {
                Value::Int(count) => u32::try_from(count).unwrap_or(0),
                _ => 0,
            };
            if acknowledged < self.replicas {
                return Err(EnqueueError::Replicas {
                    acknowledged,
                    demanded: self.replicas,
                });
            }
        }
        Ok(Receipt(()))
    }
}
