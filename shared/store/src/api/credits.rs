//! Credits, as seen and spent through the API.

use domain::credits::Owner;
use sqlx::Row;

use super::ActingTx;
use crate::StoreError;
use crate::credits::{Balance, Spend, balance, credits, spend_outcome};
use crate::history::{History, HistoryCursor, history};

impl ActingTx {
    /// What a user can spend, as far as the actor may see it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn balance_of(&mut self, user: &str) -> Result<Balance, StoreError> {
        let account = self.actor.account.clone();
        Ok(balance(self.connection(), &account, user).await?)
    }

    /// What an owner has, as far as the actor may see it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn credits_of(&mut self, owner: &Owner) -> Result<i64, StoreError> {
        let account = self.actor.account.clone();
        Ok(credits(self.connection(), &account, owner).await?)
    }

    /// A page of what happened to an owner's credits; see [`crate::Store::history`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(
        &mut self,
        owner: &Owner,
        after: Option<HistoryCursor>,
        limit: u32,
    ) -> Result<History, StoreError> {
        let account = self.actor.account.clone();
        Ok(history(self.connection(), &account, owner, after, limit).await?)
    }

    /// Spends credits of a user; see [`crate::Store::spend`]. Only the application and its staff may.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn spend(
        &mut self,
        user: &str,
        credits: i64,
        key: &str,
        reason: Option<&str>,
    ) -> Result<Spend, StoreError> {
        let account = self.actor.account.clone();
        // Before the user's account is locked, where others would have to wait for Redis, too.
        self.tx.1.user(&account, user);
        self.tx.1.raise().await?;
        let row = sqlx::query("SELECT outcome, available, teams FROM api_spend_from($1, $2, $3, $4, $5)")
            .bind(&account)
            .bind(user)
            .bind(credits)
            .bind(key)
            .bind(reason)
            .fetch_one(self.connection())
            .await?;
        for team in row.try_get::<Vec<String>, _>("teams")? {
            self.tx.1.owner(&account, &Owner::Team(team));
        }
        Ok(spend_outcome(&row)?)
    }
}
