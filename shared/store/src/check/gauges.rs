//! What metrics show of the ledger.

use sqlx::Row;

use crate::{Store, StoreError};

/// The ledger in numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LedgerGauges {
    /// Rows that break a rule, by rule; those without any are not here.
    pub violations: Vec<(String, i64)>,
    /// Sources that grant less than they might, by problem; those without any are not here.
    pub problems: Vec<(String, i64)>,
    /// Credits that users and teams have, in all accounts.
    pub outstanding: i64,
    /// The same, in the platform's own account.
    pub outstanding_own: i64,
    /// Seconds since the last round of the check ended (or the first began).
    pub check_age_seconds: f64,
}

impl Store {
    /// Reads it, from a few rows and indexes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ledger_gauges(&self) -> Result<LedgerGauges, StoreError> {
        let row = sqlx::query(
            "SELECT coalesce(-sum(balance), 0)::bigint, coalesce(-sum(balance) FILTER (WHERE account = ''), 0)::bigint,
                    (SELECT extract(epoch FROM clock_timestamp() - coalesce(checked_at, begun_at))::float8
                     FROM ledger_check)
             FROM ledger_accounts WHERE owner_kind = 'platform'",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(LedgerGauges {
            outstanding: row.try_get(0)?,
            outstanding_own: row.try_get(1)?,
            check_age_seconds: row.try_get::<Option<f64>, _>(2)?.unwrap_or(0.0),
            violations: self
                .tally("SELECT rule, count(*) FROM ledger_violations GROUP BY rule")
                .await?,
            problems: self
                .tally(
                    "SELECT problem, count(*) FROM money_sources WHERE problem IS NOT NULL GROUP BY problem",
                )
                .await?,
        })
    }

    async fn tally(&self, sql: &'static str) -> Result<Vec<(String, i64)>, StoreError> {
        Ok(sqlx::query_as(sql).fetch_all(self.pool()).await?)
    }
}
