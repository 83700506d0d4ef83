//! Resyncs, begun and followed by staff.

use super::ActingTx;
use crate::StoreError;
use crate::resyncs::{self, NewResync, Resync};

impl ActingTx {
    /// Writes down that a customer is to be asked of Stripe anew; a worker does. Returns the resync's id: that of an
    /// earlier one with the key, if there is one. Only staff may.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_resync(&mut self, new: &NewResync<'_>) -> Result<String, StoreError> {
        let account = self.actor.account.clone();
        Ok(resyncs::begin(self.connection(), &account, new).await?)
    }

    /// How far a resync is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resync(&mut self, id: &str) -> Result<Option<Resync>, StoreError> {
        let account = self.actor.account.clone();
        Ok(resyncs::look(self.connection(), &account, id).await?)
    }

    /// Whose a customer is, when that is known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user_of_customer(&mut self, customer: &str) -> Result<Option<String>, StoreError> {
        let account = self.actor.account.clone();
        Ok(resyncs::owner(self.connection(), &account, customer).await?)
    }
}
