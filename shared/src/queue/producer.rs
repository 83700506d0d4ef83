//! Ingest's side: put an event into the stream and know that it is there.

use std::time::Duration;

use super::{Keys, Link, QueueError};
use crate::entry::{Entry, FIELD_BODY, FIELD_META, FIELD_VERSION, newest};

/// Longest wait for replicas; within it every other command of the connection waits, too.
const REPLICAS_TIMEOUT: Duration = Duration::from_millis(500);

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

/// Adds entries to the stream. Cheap to clone; all clones share one pipelined connection, so requests
/// that arrive together share a write, and an fsync where Redis makes one (`appendfsync always`).
#[derive(Clone)]
pub struct Producer {
    link: Link,
    keys: Keys,
    replicas: u32,
}

impl Producer {
    /// Prepares a lazy connection; nothing is sent yet. Needs a tokio runtime. With `replicas` above zero an entry
    /// counts as enqueued only when so many replicas have confirmed it (`WAIT`), too.
    ///
    /// # Errors
    /// [`QueueError::BadUrl`].
    pub fn new(url: &str, keys: Keys, replicas: u32) -> Result<Self, QueueError> {
        Ok(Self {
            link: Link::new(url)?,
            keys,
            replicas,
        })
    }

    /// Adds one entry. No `MAXLEN`: nothing is ever trimmed in silence.
    ///
    /// # Errors
    /// [`EnqueueError`] when Redis has not confirmed within [`super::RESPONSE_TIMEOUT`].
    pub async fn enqueue(&self, entry: &Entry) -> Result<Receipt, EnqueueError> {
        let mut command = redis::cmd("XADD");
        command.arg(&self.keys.events).arg("*");
        command.arg(FIELD_VERSION).arg(newest());
        command.arg(FIELD_META).arg(entry.encode_meta());
        command.arg(FIELD_BODY).arg(&entry.body[..]);
        let mut link = self.link.clone();
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted("answer-before-xadd") {
            tokio::spawn(async move { drop(command.query_async::<()>(&mut link).await) });
            return Ok(Receipt(()));
        }
        if self.replicas == 0 {
            command.query_async::<()>(&mut link).await?;
            return Ok(Receipt(()));
        }
        let mut pipe = redis::pipe();
        pipe.add_command(command).ignore();
        pipe.cmd("WAIT")
            .arg(self.replicas)
            .arg(REPLICAS_TIMEOUT.as_millis());
        let (acknowledged,): (u32,) = pipe.query_async(&mut link).await?;
        if acknowledged < self.replicas {
            return Err(EnqueueError::Replicas {
                acknowledged,
                demanded: self.replicas,
            });
        }
        Ok(Receipt(()))
    }
}
