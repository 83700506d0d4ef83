//! What was done to the queue by somebody who can write nothing into the audit log: the commands know Redis alone. It is
//! kept beside the queue until a worker has written it there.

use redis::streams::StreamRangeReply;

use super::{Probe, QueueError};

/// Deeds that are kept at most; beyond, the oldest are forgotten. There are a few, unless no worker lives for long.
pub const DEEDS_MAX: u32 = 1_000;
/// Deeds of one answer.
const PAGE_DEEDS: u32 = 100;
/// What they are called in the audit log.
pub(super) const PAUSED: &str = "queue.pause";
/// See [`PAUSED`].
pub(super) const RESUMED: &str = "queue.resume";

/// Whose part it is to write a deed into the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Whoever does it has done so.
    Written,
    /// A worker's.
    ByWorkers,
}

impl Log {
    /// As scripts are told.
    pub(super) fn is_open(self) -> u8 {
        u8::from(self == Self::ByWorkers)
    }
}

/// Something that was done to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDeed {
    /// Its name, given by Redis.
    pub id: String,
    /// What was done.
    pub action: String,
    /// Who did it.
    pub by: String,
    /// Why.
    pub why: String,
    /// When, by Redis's clock, unix milliseconds.
    pub at_ms: i64,
}

/// Where they are kept.
pub(super) fn key(prefix: &str) -> String {
    format!("{{{prefix}:v1}}:deeds")
}

impl Probe {
    /// Deeds that nobody has written down yet, the oldest first; some of them.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn deeds(&mut self) -> Result<Vec<QueueDeed>, QueueError> {
        let mut command = redis::cmd("XRANGE");
        command.arg(key(&self.prefix)).arg("-").arg("+");
        command.arg("COUNT").arg(PAGE_DEEDS);
        let kept: StreamRangeReply = command.query_async(&mut self.link).await?;
        let deed = |entry: &redis::streams::StreamId| {
            let field = |name| entry.get(name).unwrap_or_default();
            let (ms, _) = entry.id.split_once('-').unwrap_or_default();
            QueueDeed {
                id: entry.id.clone(),
                action: field("action"),
                by: field("by"),
                why: field("why"),
                at_ms: ms.parse().unwrap_or_default(),
            }
        };
        Ok(kept.ids.iter().map(deed).collect())
    }

    /// Forgets deeds that are written down.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn forget_deeds(&mut self, deeds: &[QueueDeed]) -> Result<(), QueueError> {
        let ids: Vec<&str> = deeds.iter().map(|deed| deed.id.as_str()).collect();
        let mut command = redis::cmd("XDEL");
        command.arg(key(&self.prefix)).arg(ids);
        Ok(command.query_async::<()>(&mut self.link).await?)
    }
}
