//! What the platform may still hand out: a number everybody's purchases change.

use std::time::Duration;

use store::Store;

use crate::memo::Memo;
use crate::problem::Problem;

/// How long an answer is believed. Whoever begins to pay is asked about anew.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// Remembers for a moment what Postgres says.
pub(crate) struct Capacity {
    store: Store,
    account: String,
    /// Credits all may hold together; `None` without a limit.
    most: Option<i64>,
    outstanding: Memo<i64>,
}

impl Capacity {
    pub(crate) fn new(store: Store, account: &str, most: Option<i64>) -> Self {
        Self {
            store,
            account: account.to_owned(),
            most,
            outstanding: Memo::new(BELIEVED_FOR),
        }
    }

    /// The same as of now, for those who begin to pay.
    pub(crate) async fn left_now(&self) -> Result<Option<i64>, Problem> {
        let Some(most) = self.most else { return Ok(None) };
        let outstanding = self.store.outstanding_for_api(&self.account).await?;
        Ok(Some(most.saturating_sub(outstanding)))
    }

    /// Credits that may still be handed out; `None` without a limit.
    pub(crate) async fn left(&self) -> Result<Option<i64>, Problem> {
        let Some(most) = self.most else { return Ok(None) };
        let ask = async || self.store.outstanding_for_api(&self.account).await;
        Ok(Some(most.saturating_sub(self.outstanding.get(ask).await?)))
    }
}
