//! How far Stripe's list of events is covered, for staff.

use super::ActingTx;
use crate::StoreError;
use crate::coverage::{Coverage, Hole, HoleFilter, all, holes, one};
use crate::samples::{self, Differing, Sampled};

impl ActingTx {
    /// How far the actor's account is; `None` when nobody has compared it, or the actor is not of the staff.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn coverage(&mut self) -> Result<Option<Coverage>, StoreError> {
        let account = self.actor.account.clone();
        Ok(one(self.connection(), &account).await?)
    }

    /// How far all accounts are that the actor may see: staff of the platform see every one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn coverages(&mut self) -> Result<Vec<Coverage>, StoreError> {
        Ok(all(self.connection()).await?)
    }

    /// Holes of an account that the actor may see, those found last first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holes(&mut self, filter: HoleFilter<'_>, limit: u32) -> Result<Vec<Hole>, StoreError> {
        Ok(holes::find(self.connection(), filter, limit).await?)
    }

    /// How far the sampling of the actor's account is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sampled(&mut self) -> Result<Sampled, StoreError> {
        let account = self.actor.account.clone();
        Ok(samples::sampled(self.connection(), &account).await?)
    }

    /// Objects of the actor's account that were not as Stripe had them, before number `before`, those found last first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn differences(
        &mut self,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Differing>, StoreError> {
        let account = self.actor.account.clone();
        Ok(samples::differences(self.connection(), &account, before, limit).await?)
    }
}
