//! The loop around [`crate::reckon`]: after every commit of ours, and now and then for marks whose worker died.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Class, Policy};
use shared::admin::Readiness;
use store::{Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::attempt::in_time;
use crate::chunk::POSTGRES;
use crate::pause::{SHORTEST, pauses};
use crate::reckon::{Done, MARKS_MAX, ReckonError, reckon};
use crate::report;

/// How often to look for marks nobody told us about.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to gather marks after a batch that was not full, at least: few cost nearly as much as many. The first mark
/// after a silence does not wait.
const GATHER: Duration = Duration::from_millis(25);
/// At most.
const GATHER_MAX: Duration = Duration::from_millis(50);
/// Longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Attempts at a single mark before it is set aside: two reckoners in each other's way need a second one.
const ATTEMPTS_MAX: u32 = 3;

/// What the loop needs.
#[derive(Clone)]
pub(crate) struct Reckoner {
    pub(crate) store: Store,
    pub(crate) policy: Policy,
    pub(crate) readiness: Readiness,
    /// Told after each commit that may have left marks.
    pub(crate) marked: Arc<Notify>,
    /// Cancelled when the role is asked to stop, which is before the last marks are made.
    pub(crate) role_stop: CancellationToken,
}

impl Reckoner {
    /// Reckons until `stop`. Marks that are left are somebody else's, or wait for our next start.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut waits = pauses(PAUSE_MAX);
        let mut marks_max = MARKS_MAX;
        let mut attempts = 0;
        while !stop.is_cancelled() {
            let started = Instant::now();
            let pause = match self.reckon(marks_max).await {
                Ok(done) => {
                    waits = pauses(PAUSE_MAX);
                    // One by one only past the one that failed.
                    (marks_max, attempts) = (MARKS_MAX, 0);
                    if let Some(done) = done {
                        let took = started.elapsed();
                        report::reckoned(done.subjects, took);
                        if !done.is_full {
                            // As long again: under load, batches get larger, and half of the time is left to events.
                            tokio::time::sleep(took.clamp(GATHER, GATHER_MAX)).await;
                        }
                        continue;
                    }
                    LOOK_EVERY
                }
                Err(ReckonError { error, .. }) if error.class() == Class::Transient => {
                    report::transient(&error);
                    if !error.is_contention() {
                        report::waiting(&self.readiness, POSTGRES, &error.message());
                    }
                    waits.next().unwrap_or(PAUSE_MAX)
                }
                Err(ReckonError { error, rows }) => {
                    attempts += u32::from(rows.len() == 1);
                    if attempts >= ATTEMPTS_MAX {
                        self.set_aside(&rows, &error).await;
                        attempts = 0;
                    }
                    marks_max = 1;
                    SHORTEST
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.marked.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn reckon(&self, marks_max: u32) -> Result<Option<Done>, ReckonError> {
        let reckoning = async { Ok(reckon(&self.store, &self.policy, marks_max).await) };
        in_time(&self.role_stop, reckoning).await?
    }

    async fn set_aside(&self, rows: &[i64], error: &StoreError) {
        report::not_reckoned(error);
        if let Err(error) = store::in_time(self.store.set_marks_aside(rows, &error.cause())).await {
            tracing::warn!("a mark could not be set aside, trying again: {}", error.message());
        }
    }
}
