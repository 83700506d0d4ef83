//! How far Stripe's list of events is covered, for staff.

use super::ActingTx;
use crate::StoreError;
use crate::coverage::{Coverage, Hole, HoleFilter, holes, one};

impl ActingTx {
    /// How far the actor's account is; `None` when nobody has compared it, or the actor is not of the staff.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn coverage(&mut self) -> Result<Option<Coverage>, StoreError> {
        let account = self.actor.account.clone();
        Ok(one(self.connection(), &account).await?)
    }

    /// Holes of the actor's account, those found last first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holes(&mut self, filter: HoleFilter<'_>, limit: u32) -> Result<Vec<Hole>, StoreError> {
        let account = self.actor.account.clone();
        Ok(holes::find(self.connection(), &account, filter, limit).await?)
    }
}
