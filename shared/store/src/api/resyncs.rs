//! Resyncs, begun and followed by staff.

use super::ActingTx;
use crate::StoreError;
use crate::resyncs::{self, NewResync, Resync, Which};

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

    /// The latest resyncs, the newest first, at most `limit`: of some customers, or of all. Why questions were given up is
    /// left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resyncs(
        &mut self,
        customers: Option<&[String]>,
        limit: u32,
    ) -> Result<Vec<Resync>, StoreError> {
        let account = self.actor.account.clone();
        let which = customers.map_or(Which::All, Which::Of);
        Ok(resyncs::list(self.connection(), &account, which, limit.into()).await?)
    }

    /// Stripe's customers that are a user's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customers_of(&mut self, user: &str) -> Result<Vec<String>, StoreError> {
        let account = self.actor.account.clone();
        let ids = sqlx::query_scalar(
            "SELECT customer_id FROM customer_users WHERE (account, user_id) = ($1, $2) ORDER BY customer_id",
        );
        let ids = ids.bind(account).bind(user).fetch_all(self.connection());
        Ok(ids.await?)
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
