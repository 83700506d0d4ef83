//! The worker's side: claim entries, keep them, give them up.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use redis::Value;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::streams::StreamPendingCountReply;

use super::reply::{self, RawEntry};
use super::{
    CHUNK_ENTRIES_MAX, CONNECT_TIMEOUT, GROUP, Keys, LEASE, Link, QueueError, RESPONSE_TIMEOUT, StreamId,
    link, newer, scripts, within,
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
pub const NOBODY: &str = "handed-back";
/// Ids in one command or script call; Lua's `unpack` ends at 8,000.
const IDS_PER_CALL_MAX: usize = 1_000;

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

/// One consumer of the group, the same in all shards. Clones share the connection for short commands; the blocking read has its own.
#[derive(Clone)]
pub struct Consumer {
    client: redis::Client,
    control: Link,
    prefix: String,
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
    pub fn new(url: &str, prefix: &str, name: String) -> Result<Self, QueueError> {
        let client = link::client(url)?;
        Ok(Self {
            client,
            control: Link::new(url, RESPONSE_TIMEOUT)?,
            prefix: prefix.to_owned(),
            name,
        })
    }

    pub(super) fn keys(&self, shard: u16) -> Keys {
        Keys::new(&self.prefix, shard)
    }

    /// A key of the whole queue, whatever its shards.
    pub(super) fn fleet_key(&self, what: &str) -> String {
        super::fleet::fleet_key(&self.prefix, what)
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn control(&self) -> Link {
        self.control.clone()
    }

    /// This consumer's name in the group.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates streams and groups of shards where they are missing, reading from the very first entry.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn ensure_groups(&self, shards: &[u16]) -> Result<(), QueueError> {
        let mut pipe = redis::pipe();
        for shard in shards {
            pipe.cmd("XGROUP")
                .arg("CREATE")
                .arg(self.keys(*shard).events)
                .arg(GROUP)
                .arg("0")
                .arg("MKSTREAM");
        }
        let answers = self.control().req_packed_commands(&pipe, 0, shards.len()).await?;
        for answer in answers {
            match answer.extract_error() {
                Err(error) if error.code() == Some("BUSYGROUP") => {}
                answer => drop(answer?),
            }
        }
        Ok(())
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

    /// Claims up to `count` entries of each of `shards` that nobody has had yet, waiting up to `block` for the first
    /// (not at all when zero).
    ///
    /// # Errors
    /// [`QueueError`]; the reader must then be replaced. `is_no_group` asks for [`Consumer::ensure_groups`].
    pub async fn read_new(
        &self,
        reader: &mut Reader,
        shards: &[u16],
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
        let keys: Vec<Keys> = shards.iter().map(|shard| self.keys(*shard)).collect();
        command.arg("STREAMS");
        command.arg(keys.iter().map(|keys| &*keys.events).collect::<Vec<_>>());
        command.arg(vec![">"; keys.len()]);
        let reply: Value = within(block + RESPONSE_TIMEOUT, command.query_async(&mut reader.0)).await?;
        let mut all = Vec::new();
        for (stream, entries) in reply::streams_read(reply)? {
            let Some(at) = keys.iter().position(|keys| keys.events.as_bytes() == stream) else {
                return Err(unexpected("a stream that was asked for"));
            };
            let claimed = self.claimed(shards[at], entries, 1)?;
            all.append(&mut newer::leave(&mut self.control(), &keys[at], &self.name, claimed).await);
        }
        Ok(all)
    }

    fn claimed(
        &self,
        shard: u16,
        entries: Vec<RawEntry>,
        deliveries: u32,
    ) -> Result<Vec<Claimed>, QueueError> {
        let entries = entries.into_iter();
        entries.map(|entry| claimed(shard, entry, deliveries)).collect()
    }

    /// Takes over entries of one of `shards` whose lease ran out: of the first that has any. Entries that were in flight
    /// when a worker died come in small chunks, and alone the next time, so that one that kills its worker is found and
    /// its neighbours get away.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn take_over(&self, shards: &[u16]) -> Result<Vec<Claimed>, QueueError> {
        self.take_over_if(shards, async || true).await
    }

    /// The same, but an entry that comes alone is left where it is unless `is_alone` then says that this process has
    /// nothing else in its hands: what is there when the entry kills the process counts one delivery more, too, and
    /// neighbours that come back together time and again would look like killers.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn take_over_if(
        &self,
        shards: &[u16],
        is_alone: impl AsyncFnOnce() -> bool,
    ) -> Result<Vec<Claimed>, QueueError> {
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted("no-reclaim") {
            return Ok(Vec::new());
        }
        // A Redis that is full cannot: no reason to take nothing over.
        if let Err(error) = self.bring_back(shards).await {
            tracing::debug!("entries that waited for this build are not back: {error}");
        }
        for (shard, pending) in self.run_out(shards).await? {
            let (chunk, deliveries) = first_chunk(&pending);
            if chunk.is_empty() {
                continue;
            }
            if deliveries >= ALONE_FROM && !is_alone().await {
                break;
            }
            return self.take(shard, chunk, deliveries).await;
        }
        Ok(Vec::new())
    }

    async fn bring_back(&self, shards: &[u16]) -> Result<(), QueueError> {
        let keys: Vec<Keys> = shards.iter().map(|shard| self.keys(*shard)).collect();
        newer::bring_back(&mut self.control(), &keys).await
    }

    /// Entries whose lease ran out, and how often they were delivered, by shard.
    async fn run_out(&self, shards: &[u16]) -> Result<Vec<(u16, Vec<(String, u32)>)>, QueueError> {
        let mut pipe = redis::pipe();
        for shard in shards {
            pipe.cmd("XPENDING")
                .arg(self.keys(*shard).events)
                .arg(GROUP)
                .arg("IDLE")
                .arg(lease_ms())
                .arg("-")
                .arg("+")
                .arg(TAKE_OVER_SCAN_MAX);
        }
        let pending: Vec<StreamPendingCountReply> = pipe.query_async(&mut self.control()).await?;
        let counted = |reply: StreamPendingCountReply| {
            let entries = reply.ids.into_iter();
            entries
                .map(|entry| (entry.id, u32::try_from(entry.times_delivered).unwrap_or(u32::MAX)))
                .collect()
        };
        Ok(shards
            .iter()
            .copied()
            .zip(pending.into_iter().map(counted))
            .collect())
    }

    async fn take(
        &self,
        shard: u16,
        chunk: &[(String, u32)],
        deliveries: u32,
    ) -> Result<Vec<Claimed>, QueueError> {
        let keys = self.keys(shard);
        let mut command = redis::cmd("XCLAIM");
        // The minimum idle time makes one of several claimants win; the others get nothing.
        command
            .arg(&keys.events)
            .arg(GROUP)
            .arg(&self.name)
            .arg(lease_ms());
        for (id, _) in chunk {
            command.arg(id);
        }
        let reply: Value = command.query_async(&mut self.control()).await?;
        let claimed = self.claimed(shard, reply::entries_claimed(reply)?, deliveries + 1)?;
        Ok(newer::leave(&mut self.control(), &keys, &self.name, claimed).await)
    }

    /// Renews the leases on `ids`. Returns how many still belong to this consumer.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn renew(&self, ids: &[StreamId]) -> Result<usize, QueueError> {
        let mut renewed = 0;
        for (keys, ids) in self.calls(ids) {
            let mut call = scripts::RENEW.prepare_invoke();
            call.key(&keys.events).arg(GROUP).arg(&self.name).arg(ids);
            renewed += call.invoke_async::<usize>(&mut self.control()).await?;
        }
        Ok(renewed)
    }

    /// Removes settled entries from their groups and streams, in one transaction and one round trip.
    ///
    /// # Errors
    /// [`QueueError`]; the entries then come back after their lease and are absorbed by the inbox.
    pub async fn acknowledge(&self, settled: &Settled) -> Result<(), QueueError> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for (keys, ids) in self.calls(settled.ids()) {
            pipe.cmd("XACK").arg(&keys.events).arg(GROUP).arg(&ids);
            pipe.cmd("XDEL").arg(&keys.events).arg(&ids);
        }
        Ok(pipe.query_async::<()>(&mut self.control()).await?)
    }

    /// Does not count a delivery (the one of number `deliveries`) against entries: what keeps them from being done is
    /// not their content. Who is killed while it waits for Postgres does not make them look like killers.
    ///
    /// # Errors
    /// [`QueueError`]; it then counts.
    pub async fn forgive(&self, ids: &[StreamId], deliveries: u32) -> Result<(), QueueError> {
        for (keys, ids) in self.calls(ids) {
            let mut call = scripts::FORGIVE.prepare_invoke();
            call.key(&keys.events).arg(GROUP).arg(&self.name);
            call.arg(deliveries.saturating_sub(1)).arg(ids);
            call.invoke_async::<()>(&mut self.control()).await?;
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
        for (keys, ids) in self.calls(ids) {
            let mut call = scripts::HAND_BACK.prepare_invoke();
            call.key(&keys.events)
                .arg(GROUP)
                .arg(&self.name)
                .arg(lease_ms())
                .arg(deliveries.saturating_sub(1))
                .arg(NOBODY)
                .arg(ids);
            handed_back += call.invoke_async::<usize>(&mut self.control()).await?;
        }
        Ok(handed_back)
    }

    /// Ids as they go into one call: of one shard, and not too many.
    fn calls(&self, ids: &[StreamId]) -> impl Iterator<Item = (Keys, Vec<String>)> {
        let mut by_shard = BTreeMap::<u16, Vec<String>>::new();
        for id in ids {
            by_shard.entry(id.shard).or_default().push(id.in_stream());
        }
        by_shard.into_iter().flat_map(|(shard, ids)| {
            let keys = self.keys(shard);
            let calls: Vec<Vec<String>> = ids.chunks(IDS_PER_CALL_MAX).map(<[String]>::to_vec).collect();
            calls.into_iter().map(move |ids| (keys.clone(), ids))
        })
    }

    /// Takes this consumer's name off the groups of shards, unless entries are still pending under it.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn leave(&self, shards: &[u16]) -> Result<(), QueueError> {
        for shard in shards {
            match self.remove(*shard, &self.name).await {
                Err(error) if error.is_no_group() => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Forgets consumers of shards that died long ago and hold nothing.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn forget_stale_consumers(&self, shards: &[u16]) -> Result<(), QueueError> {
        for shard in shards {
            let mut command = redis::cmd("XINFO");
            command.arg("CONSUMERS").arg(self.keys(*shard).events).arg(GROUP);
            let reply: redis::streams::StreamInfoConsumersReply =
                command.query_async(&mut self.control()).await?;
            for consumer in reply.consumers {
                let idle = Duration::from_millis(u64::try_from(consumer.idle).unwrap_or(0));
                if consumer.pending == 0 && idle > CONSUMER_IDLE_MAX {
                    self.remove(*shard, &consumer.name).await?;
                }
            }
        }
        Ok(())
    }

    async fn remove(&self, shard: u16, name: &str) -> Result<(), QueueError> {
        let mut call = scripts::REMOVE_CONSUMER.prepare_invoke();
        call.key(self.keys(shard).events).arg(GROUP).arg(name);
        Ok(call.invoke_async::<()>(&mut self.control()).await?)
    }
}

/// The lease, as Redis wants it.
fn lease_ms() -> u64 {
    u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX)
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

fn claimed(shard: u16, entry: RawEntry, deliveries: u32) -> Result<Claimed, QueueError> {
    let id = StreamId::of(shard, &entry.id)?;
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
