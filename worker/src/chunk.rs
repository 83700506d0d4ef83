//! The way of one chunk: read, transact, acknowledge. When a transaction fails for a reason of its
//! content, the chunk is halved until the culprit stands alone; that one is set aside and the rest goes on.
//! When it fails because Postgres is away, nothing is at fault and the chunk waits, keeping its lease.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::Class;
use futures_util::FutureExt;
use shared::admin::Readiness;
use shared::clock::Clock;
use shared::queue::{Consumer, Leases, Settled, StreamId};
use store::{Status, Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::attempt::in_time;
use crate::breaker::{Advice, Breaker};
use crate::item::{Fate, Item};
use crate::meters::Busy;
use crate::park::Failure;
use crate::pause::pauses;
use crate::report;
use crate::transact::transact;
use crate::waiting::Chunk;

/// The condition under which Postgres trouble is reported.
pub const POSTGRES: &str = "postgres";
/// Longest pause between attempts while Postgres is away.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Attempts to tell Redis that a chunk is done, before leaving it to the lease and the inbox.
const ACKNOWLEDGE_TRIES_MAX: usize = 4;

/// Everything a chunk needs on its way. Clones share it.
#[derive(Clone)]
pub struct Pipeline {
    /// Where it goes.
    pub store: Store,
    /// Where it comes from.
    pub consumer: Consumer,
    /// What this process holds.
    pub leases: Leases,
    /// Where trouble is reported.
    pub readiness: Readiness,
    /// Where the time is read.
    pub clock: Clock,
    /// What keeps a mistake of ours from setting everything aside.
    pub breaker: Breaker,
    /// Told after each commit: there may be something to reckon.
    pub marked: Arc<Notify>,
    /// Cancelled when the role is asked to stop.
    pub stop: CancellationToken,
}

/// How a batch ended.
enum Verdict {
    Committed(Vec<Fate>),
    /// Something in it is at fault.
    Culprit(Failure),
    /// The role is stopping and Postgres is away.
    Stopped,
}

impl Pipeline {
    /// Takes a chunk all the way. Returns when every entry's fate is committed, or handed back.
    pub async fn run(&self, mut chunk: Chunk) {
        let started = Instant::now();
        let _busy = Busy::new();
        let entries = std::mem::take(&mut chunk.entries);
        let count = entries.len();
        let received = entries.iter().filter_map(|it| it.entry.as_ref().ok());
        let began_ms = self.clock.unix_ms();
        report::begun(received.map(|entry| entry.meta.received_at_ms), began_ms);
        #[cfg(feature = "planted-bugs")]
        if shared::planted::is_planted("acknowledge-before-commit") {
            let ids = entries.iter().map(|claimed| claimed.id).collect();
            drop(self.consumer.acknowledge(&Settled::after_commit(ids)).await);
        }
        let items = entries.into_iter().map(|it| Item::new(it).begun(began_ms));
        let mut batches = vec![items.collect::<Vec<_>>()];
        // A stack: its depth is the logarithm of the chunk's size.
        while let Some(batch) = batches.pop() {
            match self.commit(&batch, &batches, chunk.deliveries).await {
                Verdict::Committed(fates) => self.settle(&batch, &fates, began_ms).await,
                Verdict::Culprit(failure) => halve(&mut batches, batch, |item| item.parked(failure)),
                Verdict::Stopped => {
                    batches.push(batch);
                    return self
                        .hand_back(&ids(batches.iter().flatten()), chunk.deliveries)
                        .await;
                }
            }
        }
        report::chunk(count, started.elapsed());
    }

    /// One batch, tried until Postgres has an opinion about its content. `waiting` are the chunk's others.
    async fn commit(&self, batch: &[Item], waiting: &[Vec<Item>], deliveries: u32) -> Verdict {
        let mut waits = pauses(PAUSE_MAX);
        let mut is_forgiven = false;
        loop {
            let held = || ids(waiting.iter().flatten().chain(batch));
            self.leases.touch(&held(), Instant::now());
            let attempt = in_time(&self.stop, transact(&self.store, batch));
            let failure = match AssertUnwindSafe(attempt).catch_unwind().await {
                Ok(Ok(fates)) => {
                    self.readiness.set(POSTGRES, None);
                    self.note(&fates);
                    return Verdict::Committed(fates);
                }
                Ok(Err(error)) if is_about_content(&error, batch) => Some(Failure::rejected(&error)),
                Ok(Err(error)) => {
                    report::transient(&error);
                    report::retried(error.retry_reason());
                    report::waiting(&self.readiness, POSTGRES, &error.message());
                    None
                }
                Err(panic) => Some(Failure::panic(panic.as_ref())),
            };
            let mut wait = None;
            if let Some(failure) = failure {
                match self.advice(batch) {
                    Advice::SetAside => return Verdict::Culprit(failure),
                    Advice::Wait(pause) => wait = Some(pause),
                }
                report::all_refused(&self.readiness, &failure.detail);
            }
            if !is_forgiven {
                // Failing, it counts as one of their deaths if this worker is killed while it waits.
                is_forgiven = self.consumer.forgive(&held(), deliveries).await.is_ok();
            }
            let delay = wait.or_else(|| waits.next()).unwrap_or(PAUSE_MAX);
            tokio::select! {
                () = self.stop.cancelled() => return Verdict::Stopped,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// Whether what failed is to be set aside, or halved; or whether it is not at fault, because everything fails.
    fn advice(&self, batch: &[Item]) -> Advice {
        match batch {
            [_] => self.breaker.refused(Instant::now()),
            _ => Advice::SetAside,
        }
    }

    /// An event that took effect says that events can.
    fn note(&self, fates: &[Fate]) {
        if fates.contains(&Fate::Settled(Status::Applied)) && self.breaker.applied() {
            report::not_all_refused(&self.readiness);
        }
    }

    /// The batch is committed: tell Redis, and the metrics.
    async fn settle(&self, batch: &[Item], fates: &[Fate], began_ms: i64) {
        self.marked.notify_one();
        report::fates(batch, fates, began_ms, self.clock.unix_ms());
        let settled = Settled::after_commit(ids(batch));
        for delay in pauses(PAUSE_MAX).take(ACKNOWLEDGE_TRIES_MAX) {
            match self.consumer.acknowledge(&settled).await {
                Ok(()) => break,
                Err(error) => report::not_acknowledged(settled.ids().len(), &error),
            }
            tokio::time::sleep(delay).await;
        }
        self.leases.let_go(settled.ids());
    }

    /// Gives entries to whoever comes next.
    pub async fn hand_back(&self, ids: &[StreamId], deliveries: u32) {
        if let Err(error) = self.consumer.hand_back(ids, deliveries).await {
            tracing::warn!(
                entries = ids.len(),
                "not handed back, the lease will run out: {error}"
            );
        }
        self.leases.let_go(ids);
    }
}

/// Looks for the culprit in halves, the first one first; alone, it is set aside.
pub(crate) fn halve<T>(batches: &mut Vec<Vec<T>>, mut batch: Vec<T>, set_aside: impl FnOnce(T) -> T) {
    if batch.len() == 1 {
        batches.extend(batch.pop().map(|it| vec![set_aside(it)]));
    } else {
        let rest = batch.split_off(batch.len() / 2);
        batches.extend([rest, batch]);
    }
}

/// Whether looking for a culprit helps. An item that was refused even as plain bytes waits like everything else:
/// it is never dropped.
pub(crate) fn is_about_content(error: &StoreError, batch: &[Item]) -> bool {
    match batch {
        [item] => error.class() != Class::Transient && !item.is_bare(),
        _ => error.class() != Class::Transient || error.is_too_much(),
    }
}

fn ids<'a>(items: impl IntoIterator<Item = &'a Item>) -> Vec<StreamId> {
    items.into_iter().map(|item| item.id).collect()
}
