//! Claiming: one loop that fetches chunks, one that keeps what is held. Redis trouble ends neither: they
//! reconnect with growing pauses, and nobody above notices but by waiting.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use shared::admin::Readiness;
use shared::queue::fleet::ATTEND_SOON;
use shared::queue::{
    CHUNK_ENTRIES_MAX, Claimed, Consumer, Leases, QueueError, RENEW_EVERY, Reader, TAKE_OVER_EVERY,
};
use tokio_util::sync::CancellationToken;

use crate::pause::pauses;
use crate::report;
use crate::shards::{Shards, Turn};
use crate::waiting::{CHUNK_BYTES, Waiting};

/// The condition under which Redis trouble is reported.
pub const REDIS: &str = "redis";
/// How long one blocking read waits; also the longest a stop has to wait for it, and a shard that should be another's.
const BLOCK: Duration = Duration::from_secs(1);
/// The same while another shard may have to be read soon.
const BLOCK_SOON: Duration = ATTEND_SOON;
/// How often run-out leases are looked for while a shard settles: somebody may have died, and its new events wait.
const TAKE_OVER_SOON: Duration = Duration::from_millis(500);
/// Most entries one read may bring, when all shards suddenly have some.
const READ_ENTRIES_MAX: usize = 4 * CHUNK_ENTRIES_MAX;
/// Longest pause between attempts while Redis is away.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often consumers that died long ago are forgotten.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(600);
/// Longest to wait until a suspect has the process for itself, and as long as it has it.
const ALONE_PATIENCE: Duration = Duration::from_secs(1);
/// How often that is looked at.
const ALONE_LOOK_EVERY: Duration = Duration::from_millis(2);

/// Fetches entries into `waiting` until `stop`. What nobody took by then is handed back by the backend.
pub async fn fetch(
    consumer: Consumer,
    leases: Leases,
    readiness: Readiness,
    shards: Shards,
    waiting: Waiting,
    stop: CancellationToken,
) {
    let mut source = Source::new(consumer, leases.clone());
    let mut waits = pauses(PAUSE_MAX);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = waiting.room() => {}
        }
        let turn = shards.turn(Instant::now());
        if turn.all.is_empty() {
            drop(turn);
            tokio::select! { () = stop.cancelled() => break, () = shards.changed() => continue }
        }
        // Not cancelled by `stop`: a read that is cut off may have claimed entries nobody would see.
        match source.next(&turn, |shard| waiting.is_full_of(shard)).await {
            Ok(chunk) => {
                waits = pauses(PAUSE_MAX);
                readiness.set(REDIS, None);
                if !chunk.is_empty() {
                    #[cfg(feature = "planted-bugs")]
                    assert!(!shared::planted::is_planted("fetch-panics"), "planted");
                    leases.hold(chunk.iter().map(|claimed| &claimed.id));
                    waiting.put(chunk);
                }
            }
            Err(error) => {
                report::waiting(&readiness, REDIS, &error.to_string());
                if error.is_no_group() {
                    tracing::warn!("stream or group is gone: making it again");
                }
                drop(turn);
                let delay = waits.next().unwrap_or(PAUSE_MAX);
                tokio::select! { () = stop.cancelled() => break, () = tokio::time::sleep(delay) => {} }
            }
        }
    }
    waiting.close();
}

/// Renews the leases on everything this process holds, until `stop`.
pub async fn keep(consumer: Consumer, leases: Leases, stop: CancellationToken) {
    let mut failing = false;
    loop {
        tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(RENEW_EVERY) => {} }
        let held = leases.due(Instant::now());
        if held.is_empty() {
            continue;
        }
        match consumer.renew(&held).await {
            Ok(renewed) if renewed < held.len() => {
                // Taken over while this process slept, or done a moment ago. The inbox absorbs either.
                tracing::debug!(held = held.len(), renewed, "some leases are gone");
                failing = false;
            }
            Ok(_) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(held = held.len(), "leases not renewed: {error}");
            }
            Err(_) => {}
        }
    }
}

/// Where chunks come from: entries whose lease ran out, and new ones, in turn.
struct Source {
    consumer: Consumer,
    /// `None` after any error: a new one is opened, and the groups made again if they are gone.
    reader: Option<Reader>,
    take_over_at: Instant,
    housekeeping_at: Instant,
    was_take_over: bool,
    /// How often leases were looked at: each time another shard comes first.
    looks: usize,
    leases: Leases,
    /// Whether the last chunk was one entry that has been there when a worker died, more than once.
    was_alone: bool,
    /// Entries to ask for next.
    count: usize,
    /// Shards that had some of the last that came.
    spread: usize,
    /// What was open, and what there was, the last time.
    before: (Vec<u16>, Vec<u16>),
}

impl Source {
    fn new(consumer: Consumer, leases: Leases) -> Self {
        let now = Instant::now();
        Self {
            consumer,
            reader: None,
            take_over_at: now,
            housekeeping_at: now,
            was_take_over: false,
            looks: 0,
            leases,
            was_alone: false,
            count: CHUNK_ENTRIES_MAX,
            spread: usize::MAX,
            before: Default::default(),
        }
    }

    /// The next chunk; empty when nothing came within [`BLOCK`].
    async fn next(&mut self, turn: &Turn, is_full: impl Fn(u16) -> bool) -> Result<Vec<Claimed>, QueueError> {
        if std::mem::take(&mut self.was_alone) {
            nothing_held(&self.leases).await;
        }
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                self.consumer.ensure_groups(&turn.all).await?;
                self.consumer.reader().await?
            }
        };
        self.keep_house(&turn.all).await?;
        self.look_at(turn);
        if let Some(chunk) = self.take_over(&turn.all).await? {
            self.reader = Some(reader);
            return Ok(chunk);
        }
        let open: Vec<u16> = turn.open.iter().copied().filter(|it| !is_full(*it)).collect();
        let is_soon = turn.is_moving || open.len() < turn.all.len();
        // Right after a take-over there may be more of it: look at new entries, but do not wait for them.
        let block = match (self.take_over_at <= Instant::now(), is_soon) {
            (true, _) => Duration::ZERO,
            (false, true) => BLOCK_SOON,
            (false, false) => BLOCK,
        };
        if open.is_empty() {
            self.reader = Some(reader);
            tokio::time::sleep(block).await;
            return Ok(Vec::new());
        }
        let count = count_of_each(self.count, self.spread, open.len());
        let chunk = self.consumer.read_new(&mut reader, &open, count, block).await?;
        self.reader = Some(reader);
        self.count = next_count(self.count, &chunk);
        if !chunk.is_empty() {
            let shards: BTreeSet<u16> = chunk.iter().map(|claimed| claimed.id.shard).collect();
            self.spread = shards.len();
        }
        Ok(chunk)
    }

    /// What comes with a shard may have been handed back, or has run out: nobody has to wait for it.
    fn look_at(&mut self, turn: &Turn) {
        let (open, all) = &self.before;
        if (open, all) != (&turn.open, &turn.all) {
            self.before = (turn.open.clone(), turn.all.clone());
            self.take_over_at = Instant::now();
        } else if turn.open.len() < turn.all.len() {
            self.take_over_at = self.take_over_at.min(Instant::now() + TAKE_OVER_SOON);
        }
    }

    /// Entries whose lease ran out, when it is time to look, and never twice in a row: suspects come
    /// one at a time, and must not keep new entries waiting.
    async fn take_over(&mut self, shards: &[u16]) -> Result<Option<Vec<Claimed>>, QueueError> {
        let now = Instant::now();
        if self.was_take_over || now < self.take_over_at {
            self.was_take_over = false;
            return Ok(None);
        }
        let leases = &self.leases;
        let mut shards = shards.to_vec();
        let first = self.looks % shards.len().max(1);
        shards.rotate_left(first);
        self.looks = self.looks.wrapping_add(1);
        let chunk = self
            .consumer
            .take_over_if(&shards, async || nothing_held(leases).await)
            .await?;
        if chunk.is_empty() {
            self.take_over_at = now + TAKE_OVER_EVERY;
            return Ok(None);
        }
        self.was_take_over = true;
        self.was_alone = chunk[0].deliveries > 2;
        report::taken_over(chunk.len(), chunk[0].deliveries);
        Ok(Some(chunk))
    }

    async fn keep_house(&mut self, shards: &[u16]) -> Result<(), QueueError> {
        if Instant::now() >= self.housekeeping_at {
            self.housekeeping_at = Instant::now() + HOUSEKEEPING_EVERY;
            self.consumer.forget_stale_consumers(shards).await?;
        }
        Ok(())
    }
}

/// Waits until this process holds nothing, but not for long: what takes longer to kill is not found so.
async fn nothing_held(leases: &Leases) -> bool {
    let deadline = Instant::now() + ALONE_PATIENCE;
    while !leases.is_empty() {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(ALONE_LOOK_EVERY).await;
    }
    true
}

/// How many entries to ask each of `open` shards for, when `count` of all are wanted and so many shards had some of the
/// last: where others are silent, one may bring as many as all.
fn count_of_each(count: usize, spread: usize, open: usize) -> usize {
    let of_each = count / spread.clamp(1, open.max(1));
    of_each.min(READ_ENTRIES_MAX / open.max(1)).max(1)
}

/// How many entries to ask for after `chunk` came: as many of its size as fit [`CHUNK_BYTES`], and never
/// more than twice as many as before, because a few small ones say little about the next.
fn next_count(count: usize, chunk: &[Claimed]) -> usize {
    let sizes = chunk
        .iter()
        .filter_map(|claimed| claimed.entry.as_ref().ok())
        .map(|entry| entry.body.len());
    let bytes: usize = sizes.sum();
    let fitting = CHUNK_BYTES * chunk.len().max(1) / bytes.max(1);
    fitting.min(count * 2).clamp(1, CHUNK_ENTRIES_MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shared::entry::{Entry, MalformedEntry, Meta};
    use shared::envelope::{Envelope, Rendering};
    use shared::queue::StreamId;

    use super::*;

    fn chunk(entries: usize, bytes: usize) -> Vec<Claimed> {
        let envelope = Envelope {
            id: "evt_1".into(),
            event_type: "a".into(),
            created: 1,
            rendering: Rendering::Snapshot,
            account: None,
            livemode: false,
            api_version: None,
            object_type: None,
            object_id: None,
            customer: None,
        };
        let meta = Meta {
            envelope,
            endpoint: "default".into(),
            received_at_ms: 1,
            mismatch: None,
            traceparent: None,
        };
        let entry = Ok::<_, MalformedEntry>(Entry {
            meta,
            body: Bytes::from(vec![b' '; bytes]),
        });
        let claimed = Claimed {
            id: StreamId {
                shard: 0,
                ms: 1,
                seq: 0,
            },
            deliveries: 1,
            entry,
            fields: Vec::new(),
        };
        vec![claimed; entries]
    }

    #[test]
    fn a_read_brings_a_chunk_however_the_shards_are_filled() {
        assert_eq!(count_of_each(256, usize::MAX, 1), 256, "there is one shard");
        assert_eq!(count_of_each(256, 8, 8), 32, "all have some");
        assert_eq!(count_of_each(256, 2, 4), 128, "two had some");
        assert_eq!(count_of_each(256, 1, 64), 16, "all may suddenly have some");
        assert_eq!(count_of_each(2, 8, 8), 1, "bodies are large");
    }

    #[test]
    fn chunks_of_large_bodies_become_small_and_grow_again() {
        let mut count = CHUNK_ENTRIES_MAX;
        count = next_count(count, &chunk(256, 4_000));
        assert_eq!(count, CHUNK_ENTRIES_MAX, "usual bodies");
        count = next_count(count, &chunk(20, 4 * 1024 * 1024));
        assert_eq!(count, 2, "the largest there are");
        count = next_count(count, &chunk(2, 4_000));
        assert_eq!(count, 4, "not at once back to many");
        count = next_count(count, &[]);
        assert_eq!(count, 8, "silence says nothing against it");
    }
}
