//! How much there is of what people watch: for gauges, so every question is cheap or bounded.

use sqlx::Row;

use crate::{Store, StoreError};

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sizes {
    /// The newest migration that is applied.
    pub migration: i64,
    /// The table `events` on disk, with its indexes, bytes.
    pub events_bytes: i64,
    /// Parked events that wait for a person, by class; classes without any are not here.
    pub parked: Vec<(String, i64)>,
}

impl Store {
    /// Reads it, from a few rows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sizes(&self) -> Result<Sizes, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success),
                    pg_total_relation_size('events')",
        )
        .fetch_one(self.pool())
        .await?;
        let parked = sqlx::query_as(
            "SELECT class, sum(letters)::bigint FROM dead_groups WHERE state = 'waiting' GROUP BY class",
        )
        .fetch_all(self.pool())
        .await?;
        Ok(Sizes {
            migration: row.try_get(0)?,
            events_bytes: row.try_get(1)?,
            parked,
        })
    }

    /// Events written into the inbox since Postgres began to count, of all accounts: for a rate. Reads no event.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events_written(&self) -> Result<i64, StoreError> {
        // Should the inbox be cut into partitions, they are what is counted.
        let written = sqlx::query_scalar(
            "SELECT coalesce(sum(n_tup_ins), 0)::bigint FROM pg_stat_user_tables
             WHERE relid = 'events'::regclass OR relid IN (SELECT relid FROM pg_partition_tree('events'))",
        );
        Ok(written.fetch_one(self.pool()).await?)
    }

    /// Subscriptions by Stripe's status. Reads all of them, so ask seldom.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn subscriptions_by_status(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let counts =
            sqlx::query_as("SELECT coalesce(status, ''), count(*) FROM subscriptions GROUP BY status");
        Ok(counts.fetch_all(self.pool()).await?)
    }
}
