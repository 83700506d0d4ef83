//! What the clock does: subscriptions and credits whose time is over, a month's free credits, and what was left open.
//!
//! Each job goes page by page in the order of a key, in transactions of its own. What another worker holds is passed
//! over; it is that worker's, or there again the next time. Row locks are only ever taken without waiting, before those
//! of the ledger, which are taken in the ledger's own order: so sweepers wait in no circle with anybody.

mod canceled;
mod corrected;
mod expiring;
mod free;
mod problems;

pub use crate::reckon::expired::ClockTransfer;
pub use canceled::{Canceled, CanceledAfter};
pub use expiring::{DueAfter, Expiring};
pub use free::{Entitled, FreeAfter};
pub use problems::ProblemAfter;

use crate::{Store, StoreError};

/// Some rows of a job, and where to go on; `None` when these were the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The rows, locked by this transaction.
    pub rows: Vec<T>,
    /// Where the next page goes on.
    pub next: Option<C>,
}

impl Store {
    /// What time it is for everybody: Postgres's clock, unix seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unix_seconds(&self) -> Result<i64, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT floor(extract(epoch FROM clock_timestamp()))::bigint")
                .fetch_one(self.pool())
                .await?,
        )
    }
}
