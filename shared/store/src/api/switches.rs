//! Features that can be taken off without a deploy.

use super::ActingTx;
use crate::{Store, StoreError};

/// A feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Buying anything: checkouts, payments, the portal.
    Billing,
}

impl Feature {
    /// As in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Billing => "billing",
        }
    }
}

impl Store {
    /// Whether a feature is on, as it is unless somebody took it off.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_on(&self, account: &str, feature: Feature) -> Result<bool, StoreError> {
        let is_on: Option<bool> =
            sqlx::query_scalar("SELECT is_on FROM switches WHERE (account, feature) = ($1, $2)")
                .bind(account)
                .bind(feature.as_str())
                .fetch_optional(self.pool())
                .await?;
        Ok(is_on.unwrap_or(true))
    }
}

impl ActingTx {
    /// Takes a feature off, or puts it back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn switch(&mut self, feature: Feature, is_on: bool) -> Result<(), StoreError> {
        let account = self.actor.account.clone();
        sqlx::query(
            "INSERT INTO switches (account, feature, is_on) VALUES ($1, $2, $3)
             ON CONFLICT (account, feature) DO UPDATE SET is_on = excluded.is_on, changed_at = clock_timestamp()",
        )
        .bind(account)
        .bind(feature.as_str())
        .bind(is_on)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
