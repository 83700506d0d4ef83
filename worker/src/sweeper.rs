//! What the clock does, in small steps: cancellations expire, corrections end, credits expire, a month's free credits are given, and
//! sources with a problem are looked at again. Each step is one transaction over one page of rows; whatever another
//! worker does at the same time, each effect happens once. The clock is Postgres's: there is one, and many workers, of
//! which one may be wrong.

mod jobs;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::Policy;
use domain::credits::{Owner, Place, Side, Target, TransferKind};
use store::sweep::{ClockTransfer, ProblemAfter};
use store::{Store, StoreError, Tx};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::report;

/// Pause between sweeps, and before the first.
pub const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// Longest a sweep may take: the next goes on where it was given up.
const SWEEP_MAX: Duration = Duration::from_secs(60 * 60);
/// Rows of one page.
const PAGE_ROWS: u32 = 200;
/// Most sources with a problem that one sweep marks; the next goes on where it ended.
const PROBLEMS_MAX: u64 = 10_000;
/// Every job, by the word in metrics.
pub(crate) const JOBS: [&str; 5] = [CANCELED, CORRECTED, EXPIRING, FREE, PROBLEMS];
const CANCELED: &str = "canceled";
const CORRECTED: &str = "corrected";
const EXPIRING: &str = "expiring";
const FREE: &str = "free";
const PROBLEMS: &str = "problems";

/// What the loop needs.
#[derive(Clone)]
pub(crate) struct Sweeper {
    pub(crate) store: Store,
    pub(crate) policy: Policy,
    /// Told after each sweep: it may have left marks.
    pub(crate) marked: Arc<Notify>,
    pub(crate) every: Duration,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Cancellations that expired.
    pub canceled: u64,
    /// Corrections of plans that were over.
    pub corrected: u64,
    /// Grants that expired.
    pub expired: u64,
    /// Free grants made.
    pub free: u64,
    /// Sources with a problem that were marked.
    pub problems: u64,
}

impl Sweeper {
    /// Sweeps until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut problems = ProblemAfter::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.every) => {}
            }
            // Dropped in mid-page it rolls back, and the next sweep does it.
            let sweep = async {
                let now = self.store.unix_seconds().await?;
                sweep(&self.store, &self.policy, now, &mut problems).await
            };
            tokio::select! {
                () = stop.cancelled() => return,
                result = store::within(SWEEP_MAX, sweep) => if let Err(error) = result {
                    report::not_now("the sweep ended early", &error);
                }
            }
            self.marked.notify_one();
        }
    }
}

/// Does everything whose time has come at `now`, unix seconds. `problems` is where the last sweep ended.
///
/// # Errors
/// [`StoreError`]; pages that were done stay done.
pub async fn sweep(
    store: &Store,
    policy: &Policy,
    now: i64,
    problems: &mut ProblemAfter,
) -> Result<Swept, StoreError> {
    let mut swept = Swept {
        canceled: jobs::canceled(store, policy, now).await?,
        corrected: jobs::corrected(store, now).await?,
        expired: jobs::expiring(store, now).await?,
        free: jobs::free(store, policy, now).await?,
        problems: 0,
    };
    while swept.problems < PROBLEMS_MAX {
        let (marked, next) = store.mark_problems(problems, PAGE_ROWS).await?;
        swept.problems += marked;
        report::swept(PROBLEMS, marked);
        *problems = next.clone().unwrap_or_default();
        if next.is_none() {
            break;
        }
    }
    Ok(swept)
}

/// A transfer that lets credits of a grant expire, or brings them back when above zero.
pub(crate) fn expiry(account: &str, grant: &str, owner: Owner, credits: i64) -> ClockTransfer {
    let place = Place {
        key: format!("expire:{grant}"),
        kind: TransferKind::Expire,
        owner,
        side: Side::Expired,
    };
    by_clock(account, place, credits, None)
}

fn by_clock(account: &str, place: Place, credits: i64, expires_at: Option<i64>) -> ClockTransfer {
    ClockTransfer {
        account: account.to_owned(),
        transfer: Target { place, credits },
        seq: 0,
        expires_at,
    }
}

/// Numbers and appends transfers.
pub(crate) async fn append(tx: &mut Tx, transfers: &mut [ClockTransfer]) -> Result<(), StoreError> {
    if transfers.is_empty() {
        return Ok(());
    }
    let mut last: HashMap<(String, String), i32> = {
        let keys = transfers
            .iter()
            .map(|it| (it.account.as_str(), it.transfer.place.key.as_str()));
        tx.last_seqs(&keys.collect::<Vec<_>>()).await?
    };
    for it in &mut *transfers {
        let seq = last
            .entry((it.account.clone(), it.transfer.place.key.clone()))
            .or_default();
        *seq += 1;
        it.seq = *seq;
    }
    tx.append_by_clock(transfers).await
}
