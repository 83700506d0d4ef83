//! Ingest's side: put an event into the stream and know that it is there.

use redis::aio::ConnectionManager;

use super::{Keys, QueueError, RESPONSE_TIMEOUT, manager, within};
use crate::entry::{Entry, FIELD_BODY, FIELD_META, FIELD_VERSION, VERSION};

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
            Self::Unavailable(_) => "redis_unavailable",
        }
    }
}

/// Adds entries to the stream. Cheap to clone; all clones share one pipelined connection, so requests
/// that arrive together share a write, and an fsync where Redis makes one (`appendfsync always`).
#[derive(Clone)]
pub struct Producer {
    connection: ConnectionManager,
    keys: Keys,
}

impl Producer {
    /// Prepares a lazy connection; nothing is sent yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`QueueError::BadUrl`].
    pub fn new(url: &str, keys: Keys) -> Result<Self, QueueError> {
        Ok(Self {
            connection: manager(url)?,
            keys,
        })
    }

    /// Adds one entry. No `MAXLEN`: nothing is ever trimmed in silence.
    ///
    /// # Errors
    /// [`EnqueueError`] when Redis has not confirmed within [`RESPONSE_TIMEOUT`].
    pub async fn enqueue(&self, entry: &Entry) -> Result<Receipt, EnqueueError> {
        let mut command = redis::cmd("XADD");
        command.arg(&self.keys.events).arg("*");
        command.arg(FIELD_VERSION).arg(VERSION);
        command.arg(FIELD_META).arg(entry.encode_meta());
        command.arg(FIELD_BODY).arg(&entry.body[..]);
        let mut connection = self.connection.clone();
        match within(RESPONSE_TIMEOUT, command.query_async::<()>(&mut connection)).await {
            Ok(()) => Ok(Receipt(())),
            Err(QueueError::Redis(error)) if error.code() == Some("OOM") => Err(EnqueueError::OutOfMemory),
            Err(error) => Err(EnqueueError::Unavailable(error)),
        }
    }
}
