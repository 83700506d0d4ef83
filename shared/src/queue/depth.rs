//! How much is waiting, shard by shard.

use std::collections::{BTreeMap, BTreeSet};

use redis::aio::ConnectionLike;
use redis::{FromRedisValue, Pipeline, Value};

use super::{DurabilityReport, GROUP, Keys, Link, QueueError, RESPONSE_TIMEOUT, newer, shards};

/// What is waiting and being worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Entries in the stream: waiting and in flight. Done ones are deleted.
    pub entries: u64,
    /// Entries claimed by some consumer and not yet done.
    pub in_flight: u64,
    /// Entries that wait for a newer build, beside those.
    pub newer: u64,
    /// Age of the oldest entry, milliseconds.
    pub oldest_age_ms: u64,
}

impl Depth {
    /// Of both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            entries: self.entries + other.entries,
            in_flight: self.in_flight + other.in_flight,
            newer: self.newer + other.newer,
            oldest_age_ms: self.oldest_age_ms.max(other.oldest_age_ms),
        }
    }
}

/// Commands that [`Depth`] takes for each shard.
const COMMANDS: usize = 4;

/// Reads the [`Depth`] of shards, all in one round trip. `XINFO`'s `lag` is not used: it is wrong after deletes.
///
/// # Errors
/// [`QueueError`] when Redis does not answer. A missing stream or group is an empty queue.
pub(super) async fn depths(
    link: &mut Link,
    prefix: &str,
    shards: impl IntoIterator<Item = u16>,
    now_ms: i64,
) -> Result<BTreeMap<u16, Depth>, QueueError> {
    let keys: Vec<(u16, Keys)> = shards
        .into_iter()
        .map(|shard| (shard, Keys::new(prefix, shard)))
        .collect();
    let mut pipe = redis::pipe();
    keys.iter().for_each(|(_, keys)| ask(&mut pipe, keys));
    let answers = link.req_packed_commands(&pipe, 0, keys.len() * COMMANDS).await?;
    let mut answers = answers.into_iter();
    let mut depths = BTreeMap::new();
    for (shard, keys) in keys {
        let mut depth = Depth {
            entries: next(&mut answers)?,
            in_flight: in_flight(answers.next())?,
            newer: 0,
            oldest_age_ms: age(&next::<Vec<(String, Value)>>(&mut answers)?, now_ms),
        };
        let layouts: Vec<u32> = next(&mut answers)?;
        if !layouts.is_empty() {
            depth.newer = newer::count(link, &keys, &layouts).await?;
        }
        depths.insert(shard, depth);
    }
    Ok(depths)
}

fn ask(pipe: &mut Pipeline, keys: &Keys) {
    pipe.cmd("XLEN").arg(&keys.events);
    pipe.cmd("XPENDING").arg(&keys.events).arg(GROUP);
    pipe.cmd("XRANGE")
        .arg(&keys.events)
        .arg("-")
        .arg("+")
        .arg("COUNT")
        .arg(1);
    pipe.cmd("SMEMBERS").arg(&keys.newer);
}

fn next<T: FromRedisValue>(answers: &mut impl Iterator<Item = Value>) -> Result<T, QueueError> {
    let answer = answers.next().unwrap_or(Value::Nil).extract_error()?;
    Ok(redis::from_redis_value(answer).map_err(redis::RedisError::from)?)
}

/// From `XPENDING`'s summary, which begins with the number. Without a group nobody holds anything.
fn in_flight(answer: Option<Value>) -> Result<u64, QueueError> {
    match answer.unwrap_or(Value::Nil).extract_error() {
        Ok(Value::Array(summary)) => Ok(match summary.first() {
            Some(Value::Int(count)) => u64::try_from(*count).unwrap_or(0),
            _ => 0,
        }),
        Ok(_) => Ok(0),
        Err(error) => match QueueError::from(error) {
            error if error.is_no_group() => Ok(0),
            error => Err(error),
        },
    }
}

fn age(first: &[(String, Value)], now_ms: i64) -> u64 {
    let oldest = first
        .first()
        .and_then(|(id, _)| id.split('-').next()?.parse::<i64>().ok());
    oldest.map_or(0, |oldest| u64::try_from(now_ms - oldest).unwrap_or(0))
}

/// Asks about the queue from outside a role, over a connection of its own. What can be asked and told is also in
/// [`super::pause`], [`super::roster`] and [`super::survey`].
#[derive(Clone)]
pub struct Probe {
    pub(super) link: Link,
    pub(super) prefix: String,
}

impl Probe {
    /// Prepares a lazy connection; nothing is sent yet.
    ///
    /// # Errors
    /// [`QueueError::BadUrl`].
    pub fn new(url: &str, prefix: &str) -> Result<Self, QueueError> {
        Ok(Self {
            link: Link::new(url, RESPONSE_TIMEOUT)?,
            prefix: prefix.to_owned(),
        })
    }

    pub(super) fn parts(&mut self) -> (&mut Link, &str) {
        (&mut self.link, &self.prefix)
    }

    /// Reads the [`Depth`] of all shards there are together.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn depth(&mut self, now_ms: i64) -> Result<Depth, QueueError> {
        let shards = shards::known(&mut self.link, &self.prefix).await?;
        let depths = depths(&mut self.link, &self.prefix, shards, now_ms).await?;
        Ok(depths.into_values().fold(Depth::default(), Depth::and))
    }

    /// The shards there are.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn shards(&mut self) -> Result<BTreeSet<u16>, QueueError> {
        shards::known(&mut self.link, &self.prefix).await
    }

    /// Reads what Redis does to keep what it is given.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn durability(&mut self) -> Result<DurabilityReport, QueueError> {
        DurabilityReport::read(&mut self.link).await
    }
}
