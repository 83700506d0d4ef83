//! What Redis and the queue look like now, as gauges. Ingest and every worker show the same, so that one of them is
//! enough to see it: take the `max` (or `min`) over all who say it.

use std::time::Duration;

use metrics::{counter, gauge};
use redis::streams::{StreamInfoConsumersReply, StreamPendingReply};

use super::depth::depths;
use super::{
    Depth, Durability, DurabilityReport, GROUP, Keys, LEASE, Link, Probe, QueueError, RESPONSE_TIMEOUT,
    pause, shards,
};
use crate::clock::Clock;
use crate::metric::{Label, Metric};

/// How often a worker looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The label `queue`: there is one kind of queue so far.
const EVENTS: &str = "events";

const DEPTH: &str = "tollgate_queue_depth";
const PENDING: &str = "tollgate_queue_pending";
const NEWER: &str = "tollgate_queue_newer_entries";
const OLDEST: &str = "tollgate_queue_oldest_age_seconds";
const PENDING_OLDEST: &str = "tollgate_queue_pending_oldest_seconds";
const CONSUMERS: &str = "tollgate_queue_consumers";
const PAUSED: &str = "tollgate_queue_paused";
const ERRORS: &str = "tollgate_queue_scrape_errors_total";
const MEMORY: &str = "tollgate_redis_memory_bytes";
const MEMORY_LIMIT: &str = "tollgate_redis_memory_limit_bytes";
const AOF_OK: &str = "tollgate_redis_aof_ok";
const DURABILITY: &str = "tollgate_redis_durability";
const REPLICAS: &str = "tollgate_redis_replicas";

const LEVELS: [Durability; 3] = [Durability::Unsafe, Durability::Everysec, Durability::Always];
const SHARD: &[Label] = &[
    Label::of("queue", || vec![EVENTS]),
    Label::configured("shard", "each shard, from 0"),
];

/// Everything that is shown.
pub const METRICS: &[Metric] = &[
    Metric::gauge(DEPTH, "Events that wait for a worker.", SHARD),
    Metric::gauge(PENDING, "Events that workers hold and have not settled.", SHARD),
    Metric::gauge(NEWER, "Events that wait for a newer build, beside those.", SHARD),
    Metric::gauge(
        OLDEST,
        "Age of the oldest event in Redis, waiting or held.",
        SHARD,
    ),
    Metric::gauge(
        PENDING_OLDEST,
        "Age of the oldest event that a worker holds.",
        SHARD,
    ),
    Metric::gauge(
        CONSUMERS,
        "Workers that have shown a sign of life within a lease.",
        SHARD,
    ),
    Metric::gauge(
        PAUSED,
        "1 while nothing is taken from the queue on purpose.",
        SHARD,
    ),
    Metric::counter(ERRORS, "Times the queue could not be looked at.", &[]),
    Metric::gauge(MEMORY, "Memory Redis uses.", &[]),
    Metric::gauge(MEMORY_LIMIT, "The maxmemory of Redis; 0 is none.", &[]),
    Metric::gauge(
        AOF_OK,
        "1 while Redis keeps an append-only file that it syncs, and its last write went well.",
        &[],
    )
    .starting_at(1.0),
    Metric::gauge(
        DURABILITY,
        "1 at what Redis does to keep what it is given.",
        &[Label::of("level", || vec!["unsafe", "everysec", "always"])],
    ),
    Metric::gauge(REPLICAS, "Replicas of Redis that are connected and in step.", &[]),
];

/// What a shard holds, and who works on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Survey {
    /// What it holds.
    pub depth: Depth,
    /// Age of the oldest entry in flight, milliseconds.
    pub pending_oldest_ms: u64,
    /// Workers that have shown a sign of life there within a lease.
    pub consumers: usize,
}

impl Probe {
    /// Looks at all shards there are, by number.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn survey(&mut self, now_ms: i64) -> Result<Vec<(u16, Survey)>, QueueError> {
        survey(&mut self.link, &self.prefix, now_ms).await
    }
}

/// Shows the gauges of Redis and of all shards until dropped; a Redis that is away is counted.
pub async fn watch(link: Link, prefix: String, clock: Clock) {
    let mut link = link;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match tokio::time::timeout(RESPONSE_TIMEOUT, DurabilityReport::read(&mut link)).await {
            Ok(Ok(report)) => show_redis(&report),
            Ok(Err(_)) | Err(_) => counter!(ERRORS).increment(1),
        }
        match tokio::time::timeout(RESPONSE_TIMEOUT, look(&mut link, &prefix, clock.unix_ms())).await {
            Ok(Ok((seen, is_paused))) => {
                seen.iter()
                    .for_each(|(shard, seen)| show(*shard, seen, is_paused));
            }
            Ok(Err(_)) | Err(_) => counter!(ERRORS).increment(1),
        }
    }
}

/// All shards, and whether they are paused: the pause is the whole queue's.
async fn look(link: &mut Link, prefix: &str, now_ms: i64) -> Result<(Vec<(u16, Survey)>, bool), QueueError> {
    let is_paused = pause::current(link, prefix).await?.is_some();
    Ok((survey(link, prefix, now_ms).await?, is_paused))
}

/// Looks at all shards.
async fn survey(link: &mut Link, prefix: &str, now_ms: i64) -> Result<Vec<(u16, Survey)>, QueueError> {
    let known = shards::known(link, prefix).await?;
    let mut seen = Vec::with_capacity(known.len());
    for (shard, depth) in depths(link, prefix, known, now_ms).await? {
        let mut survey = Survey {
            depth,
            ..Survey::default()
        };
        look_at_holders(link, &Keys::new(prefix, shard), now_ms, &mut survey).await?;
        seen.push((shard, survey));
    }
    Ok(seen)
}

/// Who holds entries of a shard, and since when.
async fn look_at_holders(
    link: &mut Link,
    keys: &Keys,
    now_ms: i64,
    survey: &mut Survey,
) -> Result<(), QueueError> {
    let mut pending = redis::cmd("XPENDING");
    pending.arg(&keys.events).arg(GROUP);
    let pending = match pending
        .query_async::<StreamPendingReply>(link)
        .await
        .map_err(QueueError::from)
    {
        Ok(pending) => pending,
        // Nobody has worked yet.
        Err(error) if error.is_no_group() => return Ok(()),
        Err(error) => return Err(error),
    };
    let oldest_ms = match pending {
        StreamPendingReply::Data(data) => data.start_id.split('-').next().and_then(|ms| ms.parse().ok()),
        _ => None,
    };
    survey.pending_oldest_ms = oldest_ms.map_or(0, |oldest: i64| u64::try_from(now_ms - oldest).unwrap_or(0));
    let mut consumers = redis::cmd("XINFO");
    consumers.arg("CONSUMERS").arg(&keys.events).arg(GROUP);
    let consumers: StreamInfoConsumersReply = consumers.query_async(link).await?;
    survey.consumers = consumers.consumers.iter().filter(|it| is_alive(it.idle)).count();
    Ok(())
}

/// Whether somebody who was last heard of so many milliseconds ago may still hold leases.
fn is_alive(idle_ms: usize) -> bool {
    u128::try_from(idle_ms).is_ok_and(|idle_ms| idle_ms <= LEASE.as_millis())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floats; counts stay far below 2^53"
)]
fn show(shard: u16, seen: &Survey, is_paused: bool) {
    let shard = shard.to_string();
    let set = |name: &'static str, value: f64| {
        gauge!(name, "queue" => EVENTS, "shard" => shard.clone()).set(value);
    };
    let Depth {
        entries,
        in_flight,
        newer,
        oldest_age_ms,
    } = seen.depth;
    set(DEPTH, entries.saturating_sub(in_flight) as f64);
    set(PENDING, in_flight as f64);
    set(NEWER, newer as f64);
    set(OLDEST, oldest_age_ms as f64 / 1_000.0);
    set(PENDING_OLDEST, seen.pending_oldest_ms as f64 / 1_000.0);
    set(CONSUMERS, seen.consumers as f64);
    set(PAUSED, if is_paused { 1.0 } else { 0.0 });
}

/// Shows what Redis does with what it is given.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn show_redis(report: &DurabilityReport) {
    for level in LEVELS {
        let is = if report.provides == level { 1.0 } else { 0.0 };
        gauge!(DURABILITY, "level" => level.to_string()).set(is);
    }
    let keeps = report.provides > Durability::Unsafe;
    gauge!(AOF_OK).set(if keeps { 1.0 } else { 0.0 });
    gauge!(REPLICAS).set(f64::from(report.replicas));
    gauge!(MEMORY).set(report.memory_bytes as f64);
    gauge!(MEMORY_LIMIT).set(report.memory_bytes_max as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_heard_of_within_a_lease_is_alive() {
        assert!(is_alive(0) && is_alive(10_000));
        assert!(!is_alive(10_001));
    }
}
