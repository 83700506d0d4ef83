//! The worker's side: claim entries, keep them, give them up.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use redis::Value;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamPendingCountReply;

use super::reply::{self, RawEntry};
use super::{
    CHUNK_ENTRIES_MAX, CONNECT_TIMEOUT, GROUP, Keys, LEASE, Link, QueueError, RESPONSE_TIMEOUT, link, newer,
    scripts, within,
};
use crate::entry::{Entry, MalformedEntry};

/// Entries looked at in one search for run-out leases.
const TAKE_OVER_SCAN_MAX: usize = CHUNK_ENTRIES_MAX;
/// Chunk size for entries that were being worked on once when their worker died.
const SUSPECT_CHUNK_MAX: usize = 16;
/// Entries that were delivered so often come alone.
const ALONE_FROM: u32 = 2;
/// A consumer that has not been heard of for this long and holds nothing is forgotten.
const CONSUMER_IDLE_MAX: Duration = Duration::from_secs(3600);
/// Under which name entries wait that were handed back.
const NOBODY: &str = "handed-back";
/// Ids in one command or script call; Lua's `unpack` ends at 8,000.
const IDS_PER_CALL_MAX: usize = 1_000;

/// A stream entry's id: milliseconds and a sequence number, ordered as Redis orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Redis's clock when the entry was added, unix milliseconds.
    pub ms: u64,
    /// Counts entries within one millisecond.
    pub seq: u64,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for StreamId {
    type Err = QueueError;

    fn from_str(text: &str) -> Result<Self, QueueError> {
        let parts = text
            .split_once('-')
            .and_then(|(ms, seq)| Some((ms.parse().ok()?, seq.parse().ok()?)));
        let (ms, seq) = parts.ok_or_else(|| unexpected("a stream id"))?;
        Ok(Self { ms, seq })
    }
}

/// One entry, claimed by this process.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its place in the stream.
    pub id: StreamId,
    /// How often it was delivered, this time included. More than once means that a worker died with it.
    pub deliveries: u32,
    /// The event, or why this is not one of our entries.
    pub entry: Result<Entry, MalformedEntry>,
    /// All fields as they stand in Redis, for an entry that could not be read.
    pub fields: Vec<(String, Bytes)>,
}

/// Proof that the entries' fate is committed in Postgres. Whoever makes one vouches for that commit.
#[derive(Debug)]
#[must_use = "settled entries want to be acknowledged"]
pub struct Settled(Vec<StreamId>);

impl Settled {
    /// Call only after the transaction that decided these entries has committed.
    pub fn after_commit(ids: Vec<StreamId>) -> Self {
        Self(ids)
    }

    /// The entries.
    #[must_use]
    pub fn ids(&self) -> &[StreamId] {
        &self.0
    }

    /// Joins two proofs.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

/// One consumer of the group. Clones share the connection for short commands; the blocking read has its own.
#[derive(Clone)]
pub struct Consumer {
    client: redis::Client,
    control: Link,
    keys: Keys,
    name: String,
}

/// The connection that blocks in `XREADGROUP`. Thrown away on any error.
pub struct Reader(MultiplexedConnection);

impl Consumer {
    /// Prepares lazy connections; nothing is sent yet. `name` must be unique in the group. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`QueueError::BadUrl`].
    pub fn new(url: &str, keys: Keys, name: String) -> Result<Self, QueueError> {
        let client = link::client(url)?;
        Ok(Self {
            client,
            control: Link::new(url, RESPONSE_TIMEOUT)?,
            keys,
            name,
        })
    }

    /// This consumer's name in the group.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates stream and group when they are missing, reading from the very first entry.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn ensure_group(&self) -> Result<(), QueueError> {
        let mut command = redis::cmd("XGROUP");
        command
            .arg("CREATE")
            .arg(&self.keys.events)
            .arg(GROUP)
            .arg("0")
            .arg("MKSTREAM");
        match command.query_async::<()>(&mut self.control.clone()).await {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
            result => Ok(result?),
        }
    }

    /// Opens the connection for [`Consumer::read_new`]. The client's own response timeout is off,
    /// because a blocking read is silent for as long as it blocks; `read_new` sets the bound.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be reached.
    pub async fn reader(&self) -> Result<Reader, QueueError> {
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        let connect = self.client.get_multiplexed_async_connection_with_config(&config);
        Ok(Reader(within(CONNECT_TIMEOUT * 2, connect).await?))
    }

    /// Claims up to `count` entries nobody has had yet, waiting up to `block` for the first
    /// (not at all when zero).
    ///
    /// # Errors
    /// [`QueueError`]; the reader must then be replaced. `is_no_group` asks for [`Consumer::ensure_group`].
    pub async fn read_new(
        &self,
        reader: &mut Reader,
        count: usize,
        block: Duration,
    ) -> Result<Vec<Claimed>, QueueError> {
        let mut command = redis::cmd("XREADGROUP");
        command
            .arg("GROUP")
            .arg(GROUP)
            .arg(&self.name)
            .arg("COUNT")
            .arg(count);
        if !block.is_zero() {
            // BLOCK 0 would block for ever.
            command
                .arg("BLOCK")
                .arg(u64::try_from(block.as_millis()).unwrap_or(u64::MAX).max(1));
        }
        command.arg("STREAMS").arg(&self.keys.events).arg(">");
        let reply: Value = within(block + RESPONSE_TIMEOUT, command.query_async(&mut reader.0)).await?;
        let entries = reply::entries_read(reply)?.into_iter();
        let claimed = entries
            .map(|entry| claimed(entry, 1))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(newer::leave(&mut self.control.clone(), &self.keys, &self.name, claimed).await)
    }

    /// Takes over entries whose lease ran out. Entries that were in flight when a worker died come in
    /// small chunks, and alone the next time, so that one that kills its worker is found and its
    /// neighbours get away.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn take_over(&self) -> Result<Vec<Claimed>, QueueError> {
        self.take_over_if(async || true).await
    }

    /// The same, but an entry that comes alone is left where it is unless `is_alone` then says that this process has
    /// nothing else in its hands: what is there when the entry kills the process counts one delivery more, too, and
    /// neighbours that come back together time and again would look like killers.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn take_over_if(
        &self,
        is_alone: impl AsyncFnOnce() -> bool,
    ) -> Result<Vec<Claimed>, QueueError> {
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted("no-reclaim") {
            return Ok(Vec::new());
        }
        let mut connection = self.control.clone();
        // A Redis that is full cannot: no reason to take nothing over.
        if let Err(error) = newer::bring_back(&mut connection, &self.keys).await {
            tracing::debug!("entries that waited for this build are not back: {error}");
        }
        let lease_ms = u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("XPENDING");
        command
            .arg(&self.keys.events)
            .arg(GROUP)
            .arg("IDLE")
            .arg(lease_ms)
            .arg("-")
            .arg("+");
        command.arg(TAKE_OVER_SCAN_MAX);
        let pending: StreamPendingCountReply = command.query_async(&mut connection).await?;
        let pending: Vec<(String, u32)> = pending
            .ids
            .into_iter()
            .map(|entry| (entry.id, u32::try_from(entry.times_delivered).unwrap_or(u32::MAX)))
            .collect();
        let (chunk, deliveries) = first_chunk(&pending);
        if chunk.is_empty() || (deliveries >= ALONE_FROM && !is_alone().await) {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("XCLAIM");
        // The minimum idle time makes one of several claimants win; the others get nothing.
        command
            .arg(&self.keys.events)
            .arg(GROUP)
            .arg(&self.name)
            .arg(lease_ms);
        for (id, _) in chunk {
            command.arg(id);
        }
        let reply: Value = command.query_async(&mut connection).await?;
        let entries = reply::entries_claimed(reply)?.into_iter();
        let claimed = entries
            .map(|entry| claimed(entry, deliveries + 1))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(newer::leave(&mut connection, &self.keys, &self.name, claimed).await)
    }

    /// Renews the leases on `ids`. Returns how many still belong to this consumer.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn renew(&self, ids: &[StreamId]) -> Result<usize, QueueError> {
        let mut renewed = 0;
        for ids in ids.chunks(IDS_PER_CALL_MAX) {
            let mut call = scripts::RENEW.prepare_invoke();
            call.key(&self.keys.events).arg(GROUP).arg(&self.name);
            for id in ids {
                call.arg(id.to_string());
            }
            renewed += call.invoke_async::<usize>(&mut self.control.clone()).await?;
        }
        Ok(renewed)
    }

    /// Removes settled entries from the group and from the stream, in one transaction.
    ///
    /// # Errors
    /// [`QueueError`]; the entries then come back after their lease and are absorbed by the inbox.
    pub async fn acknowledge(&self, settled: &Settled) -> Result<(), QueueError> {
        for ids in settled.ids().chunks(IDS_PER_CALL_MAX) {
            let mut pipe = redis::pipe();
            pipe.atomic();
            let ids: Vec<String> = ids.iter().map(StreamId::to_string).collect();
            pipe.cmd("XACK").arg(&self.keys.events).arg(GROUP).arg(&ids);
            pipe.cmd("XDEL").arg(&self.keys.events).arg(&ids);
            pipe.query_async::<()>(&mut self.control.clone()).await?;
        }
        Ok(())
    }

    /// Does not count a delivery (the one of number `deliveries`) against entries: what keeps them from being done is
    /// not their content. Who is killed while it waits for Postgres does not make them look like killers.
    ///
    /// # Errors
    /// [`QueueError`]; it then counts.
    pub async fn forgive(&self, ids: &[StreamId], deliveries: u32) -> Result<(), QueueError> {
        for ids in ids.chunks(IDS_PER_CALL_MAX) {
            let mut call = scripts::FORGIVE.prepare_invoke();
            call.key(&self.keys.events).arg(GROUP).arg(&self.name);
            call.arg(deliveries.saturating_sub(1));
            for id in ids {
                call.arg(id.to_string());
            }
            call.invoke_async::<()>(&mut self.control.clone()).await?;
        }
        Ok(())
    }

    /// Hands unfinished entries back, so that another consumer takes them at once instead of after the
    /// lease. The delivery (the one of number `deliveries`) does not count against them. Returns how many were handed
    /// back.
    ///
    /// # Errors
    /// [`QueueError`]; the entries are then taken over when the lease runs out.
    pub async fn hand_back(&self, ids: &[StreamId], deliveries: u32) -> Result<usize, QueueError> {
        let mut handed_back = 0;
        let idle_ms = LEASE.as_millis().to_string();
        for ids in ids.chunks(IDS_PER_CALL_MAX) {
            let mut call = scripts::HAND_BACK.prepare_invoke();
            call.key(&self.keys.events)
                .arg(GROUP)
                .arg(&self.name)
                .arg(&idle_ms)
                .arg(deliveries.saturating_sub(1))
                .arg(NOBODY);
            for id in ids {
                call.arg(id.to_string());
            }
            handed_back += call.invoke_async::<usize>(&mut self.control.clone()).await?;
        }
        Ok(handed_back)
    }

    /// Takes this consumer's name off the group, unless entries are still pending under it.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn leave(&self) -> Result<(), QueueError> {
        self.remove(&self.name).await
    }

    /// Forgets consumers that died long ago and hold nothing.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn forget_stale_consumers(&self) -> Result<(), QueueError> {
        let mut command = redis::cmd("XINFO");
        command.arg("CONSUMERS").arg(&self.keys.events).arg(GROUP);
        let reply: redis::streams::StreamInfoConsumersReply =
            command.query_async(&mut self.control.clone()).await?;
        for consumer in reply.consumers {
            let idle = Duration::from_millis(u64::try_from(consumer.idle).unwrap_or(0));
            if consumer.pending == 0 && idle > CONSUMER_IDLE_MAX {
                self.remove(&consumer.name).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<(), QueueError> {
        let mut call = scripts::REMOVE_CONSUMER.prepare_invoke();
        call.key(&self.keys.events).arg(GROUP).arg(name);
        Ok(call.invoke_async::<()>(&mut self.control.clone()).await?)
    }
}

/// The oldest run-out entries that may share a chunk, and how often they were delivered.
fn first_chunk(pending: &[(String, u32)]) -> (&[(String, u32)], u32) {
    let Some(&(_, deliveries)) = pending.first() else {
        return (&[], 0);
    };
    let limit = match deliveries {
        0 => CHUNK_ENTRIES_MAX,
        ALONE_FROM.. => 1,
        1 => SUSPECT_CHUNK_MAX,
    };
    let alike = pending
        .iter()
        .take(limit)
        .take_while(|(_, count)| *count == deliveries)
        .count();
    (&pending[..alike], deliveries)
}

fn claimed(entry: RawEntry, deliveries: u32) -> Result<Claimed, QueueError> {
    let id = entry.id.parse()?;
    let fields = entry.fields;
    let entry = Entry::decode(|name| {
        fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.clone())
    });
    // Only for an entry that is none of ours do the names matter.
    let fields = match &entry {
        Ok(_) => Vec::new(),
        Err(_) => fields
            .into_iter()
            .map(|(name, value)| (text(&name), value))
            .collect(),
    };
    Ok(Claimed {
        id,
        deliveries,
        entry,
        fields,
    })
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn unexpected(what: &'static str) -> QueueError {
    QueueError::Redis(
        (
            redis::ErrorKind::UnexpectedReturnType,
            "expected",
            what.to_owned(),
        )
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_ids_keep_redis_order() {
        let id = |text: &str| text.parse::<StreamId>().expect("an id");
        assert!(id("9-10") > id("9-9"));
        assert!(id("10-0") > id("9-10"));
        assert_eq!(id("1526919030474-55").to_string(), "1526919030474-55");
        assert!("1526919030474".parse::<StreamId>().is_err());
    }

    fn pending(counts: &[u32]) -> Vec<(String, u32)> {
        counts
            .iter()
            .enumerate()
            .map(|(i, count)| (format!("{i}-0"), *count))
            .collect()
    }

    #[test]
    fn suspects_are_narrowed_down() {
        let sizes = |counts: &[u32]| {
            let pending = pending(counts);
            let (chunk, deliveries) = first_chunk(&pending);
            (chunk.len(), deliveries)
        };
        assert_eq!(sizes(&[]), (0, 0));
        assert_eq!(
            sizes(&[0; 300]),
            (CHUNK_ENTRIES_MAX, 0),
            "handed back: nothing suspicious"
        );
        assert_eq!(sizes(&[1; 300]), (SUSPECT_CHUNK_MAX, 1), "its worker died once");
        assert_eq!(sizes(&[2; 300]), (1, 2), "its worker died twice: alone");
        assert_eq!(
            sizes(&[1, 1, 3, 1]),
            (2, 1),
            "a chunk holds entries with one history"
        );
    }
}
