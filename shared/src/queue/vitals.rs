//! What somebody wants to know of Redis who finds out whether it suits, beside [`super::DurabilityReport`].

use std::collections::BTreeSet;

use redis::aio::ConnectionLike;

use super::{GROUP, Keys, Probe, QueueError, shards};
use crate::clock::Clock;

/// What Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vitals {
    /// Its version, as it says: `7.2.16`.
    pub version: String,
    /// How far its clock is ahead of ours, milliseconds, give or take half of how long the answer took.
    pub ahead_ms: i64,
    /// The shards there are.
    pub shards: BTreeSet<u16>,
    /// Those of them that have entries and no group, which only a worker makes.
    pub without_group: BTreeSet<u16>,
}

impl Probe {
    /// Asks.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn vitals(&mut self, clock: &Clock) -> Result<Vitals, QueueError> {
        let server: redis::InfoDict = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut self.link)
            .await?;
        let before_ms = clock.unix_ms();
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut self.link).await?;
        let ours_ms = i64::midpoint(before_ms, clock.unix_ms());
        let shards = shards::known(&mut self.link, &self.prefix).await?;
        Ok(Vitals {
            version: server.get("redis_version").unwrap_or_default(),
            ahead_ms: seconds * 1_000 + micros / 1_000 - ours_ms,
            without_group: self.without_group(&shards).await?,
            shards,
        })
    }

    async fn without_group(&mut self, shards: &BTreeSet<u16>) -> Result<BTreeSet<u16>, QueueError> {
        let mut pipe = redis::pipe();
        for shard in shards {
            let stream = Keys::new(&self.prefix, *shard).events;
            pipe.cmd("EXISTS").arg(&stream);
            pipe.cmd("XPENDING").arg(&stream).arg(GROUP);
        }
        let answers = self.link.req_packed_commands(&pipe, 0, 2 * shards.len()).await?;
        let mut without = BTreeSet::new();
        for (shard, answers) in shards.iter().zip(answers.chunks(2)) {
            let exists = answers.first() == Some(&redis::Value::Int(1));
            let group = answers.get(1).cloned().unwrap_or(redis::Value::Nil);
            match group.extract_error().map_err(QueueError::from) {
                Err(error) if error.is_no_group() => without.extend(exists.then_some(*shard)),
                answer => drop(answer?),
            }
        }
        Ok(without)
    }
}
