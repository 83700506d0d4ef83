//! Claiming: one loop that fetches chunks, one that keeps what is held. Redis trouble ends neither: they
//! reconnect with growing pauses, and nobody above notices but by waiting.

use std::time::{Duration, Instant};

use shared::admin::Readiness;
use shared::queue::{
    CHUNK_ENTRIES_MAX, Claimed, Consumer, Leases, QueueError, RENEW_EVERY, Reader, TAKE_OVER_EVERY,
};
use tokio_util::sync::CancellationToken;

use crate::pause::pauses;
use crate::report;
use crate::waiting::{CHUNK_BYTES, Waiting};

/// The condition under which Redis trouble is reported.
pub const REDIS: &str = "redis";
/// How long one blocking read waits; also the longest a stop has to wait for it.
const BLOCK: Duration = Duration::from_secs(1);
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
        // Not cancelled by `stop`: a read that is cut off may have claimed entries nobody would see.
        match source.next().await {
            Ok(chunk) => {
                waits = pauses(PAUSE_MAX);
                readiness.set(REDIS, None);
                if !chunk.is_empty() {
                    leases.hold(chunk.iter().map(|claimed| &claimed.id));
                    waiting.put(chunk);
                }
            }
            Err(error) => {
                report::waiting(&readiness, REDIS, &error.to_string());
                if error.is_no_group() {
                    tracing::warn!("stream or group is gone: making it again");
                }
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
    /// `None` after any error: a new one is opened, and the group made again if it is gone.
    reader: Option<Reader>,
    take_over_at: Instant,
    housekeeping_at: Instant,
    was_take_over: bool,
    leases: Leases,
    /// Whether the last chunk was one entry that has been there when a worker died, more than once.
    was_alone: bool,
    /// Entries to ask for next.
    count: usize,
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
            leases,
            was_alone: false,
            count: CHUNK_ENTRIES_MAX,
        }
    }

    /// The next chunk; empty when nothing came within [`BLOCK`].
    async fn next(&mut self) -> Result<Vec<Claimed>, QueueError> {
        if std::mem::take(&mut self.was_alone) {
            nothing_held(&self.leases).await;
        }
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                self.consumer.ensure_group().await?;
                self.consumer.reader().await?
            }
        };
        self.keep_house().await?;
        if let Some(chunk) = self.take_over().await? {
            self.reader = Some(reader);
            return Ok(chunk);
        }
        // Right after a take-over there may be more of it: look at new entries, but do not wait for them.
        let block = if self.take_over_at <= Instant::now() {
            Duration::ZERO
        } else {
            BLOCK
        };
        let chunk = self.consumer.read_new(&mut reader, self.count, block).await?;
        self.reader = Some(reader);
        self.count = next_count(self.count, &chunk);
        Ok(chunk)
    }

    /// Entries whose lease ran out, when it is time to look, and never twice in a row: suspects come
    /// one at a time, and must not keep new entries waiting.
    async fn take_over(&mut self) -> Result<Option<Vec<Claimed>>, QueueError> {
        let now = Instant::now();
        if self.was_take_over || now < self.take_over_at {
            self.was_take_over = false;
            return Ok(None);
        }
        let leases = &self.leases;
        let chunk = self
            .consumer
            .take_over_if(async || nothing_held(leases).await)
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

    async fn keep_house(&mut self) -> Result<(), QueueError> {
        if Instant::now() >= self.housekeeping_at {
            self.housekeeping_at = Instant::now() + HOUSEKEEPING_EVERY;
            self.consumer.forget_stale_consumers().await?;
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
            id: StreamId { ms: 1, seq: 0 },
            deliveries: 1,
            entry,
            fields: Vec::new(),
        };
        vec![claimed; entries]
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
