//! Whether ingest may accept events now. Looked at on every request, so reading it is one atomic load;
//! asking Redis is a background loop's work.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use metrics::gauge;
use tokio_util::sync::CancellationToken;

use super::depth::depths;
use super::{Depth, Durability, DurabilityReport, Link, QueueError, RESPONSE_TIMEOUT, Sharding, shards};
use crate::clock::Clock;

/// The gauge that says whether the gate is open; ingest's table has it.
pub const ACCEPTING: &str = "tollgate_ingest_accepting";

/// How often Redis is asked.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Share of `maxmemory` above which nothing more is accepted, in percent: the workers' own commands
/// must still find room.
const MEMORY_PERCENT_MAX: u64 = 90;

/// Limits above which ingest lets Stripe keep the events.
#[derive(Debug, Clone, Copy)]
pub struct GateLimits {
    /// The least durability events are accepted with.
    pub durability: Durability,
    /// Replicas that must have each event before it is answered; see [`super::Producer::new`].
    pub replicas: u32,
    /// Most entries waiting or in flight.
    pub backlog_max: u64,
}

/// Why nothing is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// Redis has not answered yet, or no longer.
    #[error("redis does not answer: {0}")]
    Unreachable(String),
    /// Redis would lose too much.
    #[error("{0}")]
    TooWeak(String),
    /// After a failover: what was the master takes no writes any more.
    #[error("redis is a replica and takes no writes; REDIS_URL must lead to the master")]
    ReadOnly,
    /// Redis has lost replicas.
    #[error("redis has {connected} replicas in step, and {demanded} are demanded")]
    Replicas {
        /// Replicas that are connected and in step.
        connected: u32,
        /// How many there must be.
        demanded: u32,
    },
    /// The workers are behind.
    #[error("the backlog of {entries} events is over the limit of {limit}")]
    Backlog {
        /// Entries waiting or in flight.
        entries: u64,
        /// The limit.
        limit: u64,
    },
    /// Redis is nearly full.
    #[error("redis uses more than {MEMORY_PERCENT_MAX} % of its maxmemory")]
    Memory,
}

impl Closed {
    /// The value of the `reason` label on the refusal counter.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "redis_unreachable",
            Self::TooWeak(_) => "redis_too_weak",
            Self::ReadOnly => "redis_read_only",
            Self::Replicas { .. } => "redis_replicas",
            Self::Backlog { .. } => "backlog",
            Self::Memory => "redis_memory",
        }
    }
}

/// Open, or closed for a reason. Clones share one state.
#[derive(Debug, Clone)]
pub struct Gate {
    closed: Arc<RwLock<Option<Closed>>>,
    syncs: Syncs,
}

/// Whether Redis syncs its file before it answers (`appendfsync always`), as the gate has seen it last. Yes, until it
/// has looked. Clones share one state.
#[derive(Debug, Clone)]
pub(super) struct Syncs(Arc<AtomicBool>);

impl Default for Syncs {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Syncs {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, syncs: bool) {
        self.0.store(syncs, Ordering::Relaxed);
    }
}

impl Gate {
    /// Starts closed: nothing is accepted before Redis was looked at.
    #[must_use]
    pub fn closed() -> Self {
        let closed = Closed::Unreachable("not asked yet".into());
        Self {
            closed: Arc::new(RwLock::new(Some(closed))),
            syncs: Syncs::default(),
        }
    }

    /// For who adapts to it.
    pub(super) fn syncs(&self) -> Syncs {
        self.syncs.clone()
    }

    /// `Ok` when events may be accepted.
    ///
    /// # Errors
    /// [`Closed`], the reason.
    pub fn check(&self) -> Result<(), Closed> {
        let state = self
            .closed
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.clone().map_or(Ok(()), Err)
    }

    /// Keeps the gate's state in step with Redis until `stop`.
    ///
    /// # Errors
    /// [`QueueError::BadUrl`] at once; Redis trouble only closes the gate.
    pub async fn watch(
        self,
        url: &str,
        sharding: Sharding,
        limits: GateLimits,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<(), QueueError> {
        let mut link = Link::new(url, RESPONSE_TIMEOUT)?;
        loop {
            let state = match self.look(&mut link, &sharding, limits, &clock).await {
                Ok(state) => state,
                Err(error) => Some(Closed::Unreachable(error.to_string())),
            };
            if state == Some(Closed::ReadOnly) {
                // Reads work there, so nothing else would make the link look for the master.
                link.renew();
            }
            self.set(state);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(CHECK_EVERY) => {}
            }
        }
    }

    /// What there is to say about Redis. Before the first event, and after Redis lost everything, workers are told which
    /// shards there are: while it is closed nobody needs to know, and a Redis that is full or no master takes no writes.
    async fn look(
        &self,
        link: &mut Link,
        sharding: &Sharding,
        limits: GateLimits,
        clock: &Clock,
    ) -> Result<Option<Closed>, QueueError> {
        let report = DurabilityReport::read(link).await?;
        let known = shards::known(link, &sharding.prefix).await?;
        let all: BTreeSet<u16> = (0..sharding.shards).chain(known.iter().copied()).collect();
        let depths = depths(link, &sharding.prefix, all, clock.unix_ms()).await?;
        self.syncs.set(report.provides == Durability::Always);
        let depth = depths.into_values().fold(Depth::default(), Depth::and);
        let state = judge(&report, depth, limits);
        if state.is_none() {
            sharding.say(link, &known).await?;
        }
        Ok(state)
    }

    /// Changes are logged, states are not: a closed gate must not fill a disk.
    fn set(&self, state: Option<Closed>) {
        let mut current = self
            .closed
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = current.as_ref().map(Closed::label) != state.as_ref().map(Closed::label);
        match &state {
            Some(closed) if changed => {
                tracing::warn!(reason = closed.label(), "not accepting events: {closed}")
            }
            None if changed => tracing::info!("accepting events"),
            _ => {}
        }
        gauge!(ACCEPTING).set(if state.is_none() { 1.0 } else { 0.0 });
        *current = state;
    }
}

fn judge(report: &DurabilityReport, depth: Depth, limits: GateLimits) -> Option<Closed> {
    if report.is_replica {
        return Some(Closed::ReadOnly);
    }
    if let Some(shortfall) = report.shortfall(limits.durability) {
        return Some(Closed::TooWeak(shortfall));
    }
    if report.replicas < limits.replicas {
        return Some(Closed::Replicas {
            connected: report.replicas,
            demanded: limits.replicas,
        });
    }
    let entries = depth.entries + depth.newer;
    if entries > limits.backlog_max {
        return Some(Closed::Backlog {
            entries,
            limit: limits.backlog_max,
        });
    }
    let nearly_full = report.memory_bytes_max / 100 * MEMORY_PERCENT_MAX;
    (report.memory_bytes_max > 0 && report.memory_bytes > nearly_full).then_some(Closed::Memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GateLimits = GateLimits {
        durability: Durability::Everysec,
        replicas: 0,
        backlog_max: 10,
    };

    fn report(provides: Durability, memory_bytes: u64) -> DurabilityReport {
        DurabilityReport {
            provides,
            is_replica: false,
            replicas: 1,
            eviction_policy: Some("noeviction".into()),
            memory_bytes_max: 100_000,
            memory_bytes,
        }
    }

    fn verdict(report: &DurabilityReport, entries: u64) -> Option<&'static str> {
        let depth = Depth {
            entries,
            ..Depth::default()
        };
        judge(report, depth, LIMITS).map(|closed| closed.label())
    }

    #[test]
    fn the_gate_opens_only_when_everything_holds() {
        assert_eq!(verdict(&report(Durability::Everysec, 0), 10), None);
        assert_eq!(verdict(&report(Durability::Unsafe, 0), 0), Some("redis_too_weak"));
        assert_eq!(verdict(&report(Durability::Always, 0), 11), Some("backlog"));
        assert_eq!(
            verdict(&report(Durability::Always, 95_000), 0),
            Some("redis_memory")
        );
    }

    #[test]
    fn the_gate_knows_the_master_and_counts_its_replicas() {
        let demoted = DurabilityReport {
            is_replica: true,
            ..report(Durability::Always, 0)
        };
        assert_eq!(verdict(&demoted, 0), Some("redis_read_only"));
        let two = GateLimits {
            replicas: 2,
            ..LIMITS
        };
        let closed = judge(&report(Durability::Always, 0), Depth::default(), two);
        assert_eq!(
            closed,
            Some(Closed::Replicas {
                connected: 1,
                demanded: 2
            })
        );
    }

    #[test]
    fn it_starts_closed() {
        assert!(Gate::closed().check().is_err());
    }
}
