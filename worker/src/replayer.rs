//! The loop that carries out jobs about dead letters: one worker of the fleet has a job at a time, takes its letters in
//! portions, and moves the job on in the transaction that does the work. Killed anywhere, another goes on exactly there.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use shared::clock::Clock;
use shared::unique;
use store::dead::{Cursor, Deed, Job, Outcome, Progress};
use store::{Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::attempt::in_time;
use crate::chunk::{halve, is_about_content};
use crate::item::Item;
use crate::park::Failure;
use crate::replay::{Candidate, attempt};
use crate::report;

/// Letters of one portion: as many as a chunk has entries, and run again in one transaction as long as none fails.
const PORTION_MAX: u32 = 256;
/// Of the portion after a death, and alone after the next: as entries whose worker died.
const PORTION_SUSPECT: u32 = 16;
/// Letters discarded at a time.
const DISCARDED_MAX: u32 = 1_000;
/// How long a job is its worker's without a sign of life, seconds; longer than a transaction may wait for a lock.
const LEASE_SECONDS: i64 = 20;
/// How often to look for jobs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the loop needs.
#[derive(Clone)]
pub(crate) struct Replayer {
    pub(crate) store: Store,
    /// Told when a portion left marks.
    pub(crate) marked: Arc<Notify>,
}

/// How far a portion has brought its job.
enum Turn {
    /// There may be more; so many letters were looked at.
    Looked(u64),
    /// It is over, stopped, or somebody else's.
    Over,
}

impl Replayer {
    /// Carries jobs out until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let lease = unique::word();
        while !stop.is_cancelled() {
            match store::in_time(self.store.claim_job(&lease, LEASE_SECONDS)).await {
                Ok(Some(job)) => {
                    if let Err(error) = self.carry_out(job, &lease, &stop).await {
                        report::not_now("a job about dead letters rests", &error);
                    } else {
                        continue;
                    }
                }
                Ok(None) => {}
                Err(error) => report::transient(&error),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Portion after portion, until the job is over or the role is asked to stop.
    async fn carry_out(&self, mut job: Job, lease: &str, stop: &CancellationToken) -> Result<(), StoreError> {
        tracing::info!(
            job = job.id,
            deed = job.deed.as_str(),
            counted = job.counted,
            "began"
        );
        loop {
            let turn = match job.deed {
                Deed::Replay => self.replay(&mut job, lease, stop).await,
                Deed::Discard => in_time(stop, self.discard(&mut job, lease)).await,
            };
            let looked = match turn {
                Ok(Turn::Looked(looked)) => looked,
                Ok(Turn::Over) => return Ok(()),
                Err(error) => {
                    // Not a death, and nobody's fault.
                    store::in_time(self.store.release_job(job.id, lease)).await.ok();
                    return Err(error);
                }
            };
            self.marked.notify_one();
            job.attempts = 1;
            tokio::select! {
                () = stop.cancelled() => return self.store.release_job(job.id, lease).await,
                () = tokio::time::sleep(pause(looked, job.rate)) => {}
            }
        }
    }

    async fn replay(&self, job: &mut Job, lease: &str, stop: &CancellationToken) -> Result<Turn, StoreError> {
        let letters = store::in_time(self.store.letters_of(job, portion(job))).await?;
        if letters.is_empty() {
            return self.finish(job, lease).await;
        }
        let count = letters.len() as u64;
        let candidates = letters.into_iter().map(|it| Candidate::new(it, job.attempts));
        let mut batches = vec![candidates.collect::<Vec<_>>()];
        while let Some(batch) = batches.pop() {
            match in_time(stop, self.commit(job, lease, &batch)).await? {
                Verdict::Committed => job.after = batch.last().map(|last| last.letter.cursor.clone()),
                Verdict::Culprit(failure) => halve(&mut batches, batch, |it| it.parked(failure)),
                Verdict::Lost => return Ok(Turn::Over),
            }
            if stop.is_cancelled() {
                break;
            }
        }
        Ok(Turn::Looked(count))
    }

    /// One transaction: run again, note what became of each, move the job on.
    async fn commit(&self, job: &Job, lease: &str, batch: &[Candidate]) -> Result<Verdict, StoreError> {
        let began_ms = Clock::system().unix_ms();
        let mut tx = self.store.begin().await?;
        let tried = AssertUnwindSafe(attempt(&mut tx, &job.filter, batch, self.store.can_ask()));
        let tried = match tried.catch_unwind().await {
            Ok(Ok(tried)) => tried,
            Ok(Err(error)) => {
                let items: Vec<Item> = batch.iter().filter_map(|it| it.item.clone()).collect();
                if !items.is_empty() && is_about_content(&error, &items) {
                    return Ok(Verdict::Culprit(Failure::rejected(&error)));
                }
                return Err(error);
            }
            Err(panic) => return Ok(Verdict::Culprit(Failure::panic(panic.as_ref()))),
        };
        let replayed = tried.replayed(batch);
        tx.replayed(job.id, &replayed).await?;
        let failed = replayed.iter().filter(|it| it.outcome == Outcome::Parked).count() as u64;
        let is_ours = tx
            .advance_job(&Progress {
                done: replayed.len() as u64 - failed,
                failed,
                skipped: (batch.len() - replayed.len()) as u64,
                ..progress(job, lease, batch.last().map(|last| &last.letter.cursor))
            })
            .await?;
        if !is_ours {
            return Ok(Verdict::Lost);
        }
        tx.commit().await?;
        report::guessed(tried.done.guesses);
        report::replayed(
            &tried.items,
            &tried.outcomes.into_iter().flatten().collect::<Vec<_>>(),
            job.id,
            began_ms,
        );
        Ok(Verdict::Committed)
    }

    async fn discard(&self, job: &mut Job, lease: &str) -> Result<Turn, StoreError> {
        let portion = job
            .rate
            .map_or(DISCARDED_MAX, |rate| rate.clamp(1, DISCARDED_MAX));
        let mut tx = self.store.begin().await?;
        let (looked, done, last) = tx.discard_next(job, portion).await?;
        if last.is_none() {
            drop(tx);
            return self.finish(job, lease).await;
        }
        let is_ours = tx
            .advance_job(&Progress {
                done,
                skipped: looked - done,
                ..progress(job, lease, last.as_ref())
            })
            .await?;
        if !is_ours {
            return Ok(Turn::Over);
        }
        tx.commit().await?;
        job.after = last;
        Ok(Turn::Looked(looked))
    }

    /// There are no more letters.
    async fn finish(&self, job: &Job, lease: &str) -> Result<Turn, StoreError> {
        let mut tx = self.store.begin().await?;
        tx.advance_job(&progress(job, lease, None)).await?;
        tx.commit().await?;
        tracing::info!(job = job.id, deed = job.deed.as_str(), "ended");
        Ok(Turn::Over)
    }
}

/// How a batch ended.
enum Verdict {
    Committed,
    /// Something in it is at fault.
    Culprit(Failure),
    /// The job is somebody else's by now, or stopped.
    Lost,
}

fn progress<'a>(job: &Job, lease: &'a str, after: Option<&'a Cursor>) -> Progress<'a> {
    Progress {
        job: job.id,
        lease,
        lease_seconds: LEASE_SECONDS,
        after,
        done: 0,
        failed: 0,
        skipped: 0,
    }
}

/// How many letters to take: fewer and fewer while workers die of them, and no more than the rate lets through in a
/// second.
fn portion(job: &Job) -> u32 {
    let most = match job.attempts {
        0 | 1 => PORTION_MAX,
        2 => PORTION_SUSPECT,
        _ => 1,
    };
    job.rate.map_or(most, |rate| rate.clamp(1, most))
}

/// How long to wait after so many letters.
fn pause(letters: u64, rate: Option<u32>) -> Duration {
    let Some(rate) = rate.filter(|rate| *rate > 0) else {
        return Duration::ZERO;
    };
    let letters = u32::try_from(letters).unwrap_or(u32::MAX);
    Duration::from_secs(1) * letters / rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept() {
        assert_eq!(pause(256, None), Duration::ZERO);
        assert_eq!(pause(10, Some(10)), Duration::from_secs(1));
        assert_eq!(pause(1, Some(2)), Duration::from_millis(500));
    }
}
