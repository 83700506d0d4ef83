//! A ledger of any size, and what it costs to ask Postgres with nothing of ours in between.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use super::execute;
use crate::{Store, StoreError};

/// See there.
const FILL: &str = include_str!("fill_ledger.sql");

/// The name of a user of a filled ledger; `number` counts from 0.
#[must_use]
pub fn user(number: usize) -> String {
    format!("user_{number}")
}

impl Store {
    /// Fills an empty ledger with `rows` transfers of `users` users, one each at least, and lets Postgres look at it. Only
    /// a superuser may. Returns how long it took.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fill_ledger(&self, users: usize, rows: usize) -> Result<Duration, StoreError> {
        let began = Instant::now();
        // No statement of its kind ends within the pool's limit.
        let options = self.pool().connect_options();
        let options = sqlx::postgres::PgConnectOptions::clone(&options).options([("statement_timeout", "0")]);
        let mut connection = PgConnection::connect_with(&options).await?;
        let mut tx = connection.begin().await?;
        sqlx::query("SELECT set_config('yardstick.users', $1, true), set_config('yardstick.rows', $2, true)")
            .bind(users.to_string())
            .bind(rows.max(users).to_string())
            .execute(&mut *tx)
            .await?;
        sqlx::raw_sql(FILL).execute(&mut *tx).await?;
        tx.commit().await?;
        // What autovacuum would do sooner or later, perhaps while something is measured.
        for sql in ["VACUUM (ANALYZE, FREEZE)", "CHECKPOINT"] {
            execute(&mut connection, sql).await?;
        }
        connection.close().await?;
        Ok(began.elapsed())
    }

    /// A number that rises by one with each transaction of the server that writes something.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn transactions_begun(&self) -> Result<u64, StoreError> {
        let next: String = sqlx::query_scalar("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
            .fetch_one(self.pool())
            .await?;
        Ok(next.parse().unwrap_or(0))
    }

    /// What was last asked of Stripe for a checkout session, as it was sent; at most so many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn checkout_forms(&self, rows_max: u32) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT form FROM stripe_intents WHERE kind = 'buy' ORDER BY created_at DESC LIMIT $1",
        )
        .bind(i64::from(rows_max))
        .fetch_all(self.pool())
        .await?)
    }
}

/// A connection that is asked without a pool, a transaction or an actor: the least a question can cost.
#[derive(Debug)]
pub struct Direct(PgConnection);

impl Direct {
    /// Connects as the pool's login.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn connect(store: &Store) -> Result<Self, StoreError> {
        Ok(Self(
            PgConnection::connect_with(&store.pool().connect_options()).await?,
        ))
    }

    /// A question about nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn nothing(&mut self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&mut self.0).await?;
        Ok(())
    }

    /// Lets the database spend a credit of a user. Whether it did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn spend(&mut self, user: &str, key: &str) -> Result<bool, StoreError> {
        let spend = sqlx::query_scalar::<_, String>("SELECT outcome FROM spend_credits('', $1, 1, $2, NULL)");
        let outcome = spend.bind(user).bind(key).fetch_one(&mut self.0).await?;
        Ok(outcome == "spent")
    }
}
