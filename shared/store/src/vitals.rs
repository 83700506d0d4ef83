//! What somebody wants to know of Postgres who finds out whether it suits.

use shared::clock::Clock;
use sqlx::Row;

use crate::{Store, StoreError};

/// What Postgres is, beside [`Store::unsafe_settings`] and [`Store::check_schema`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vitals {
    /// Its version in words.
    pub version: String,
    /// And as a number: 150018 is 15.18.
    pub version_number: i32,
    /// How far its clock is ahead of ours, milliseconds, give or take half of how long the answer took.
    pub ahead_ms: i64,
    /// Connections that who is no superuser may have open.
    pub connections_max: i64,
    /// Those that are.
    pub connections: i64,
    /// How it stores text.
    pub encoding: String,
    /// The role of the API, when it is there.
    pub api_role: Option<ApiRole>,
}

/// The role as which the API works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiRole {
    /// Whether it may pass over row-level security: then nothing protects.
    pub bypasses: bool,
    /// Whether it owns tables, to which policies do not apply then.
    pub owns: bool,
    /// Whether who asks here may work as it.
    pub is_open_to_us: bool,
}

impl Store {
    /// Asks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn vitals(&self, clock: &Clock) -> Result<Vitals, StoreError> {
        // The first question may have to connect.
        let row = sqlx::query(
            "SELECT current_setting('server_version'), current_setting('server_version_num')::int,
                    current_setting('max_connections')::bigint
                        - current_setting('superuser_reserved_connections')::bigint,
                    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
                    current_setting('server_encoding')",
        )
        .fetch_one(self.pool())
        .await;
        let row = match row {
            Ok(row) => row,
            Err(error) => return Err(self.explain(error).await),
        };
        Ok(Vitals {
            version: row.try_get(0)?,
            version_number: row.try_get(1)?,
            ahead_ms: self.ahead_ms(clock).await?,
            connections_max: row.try_get(2)?,
            connections: row.try_get(3)?,
            encoding: row.try_get(4)?,
            api_role: self.api_role().await?,
        })
    }

    async fn ahead_ms(&self, clock: &Clock) -> Result<i64, StoreError> {
        let before_ms = clock.unix_ms();
        let theirs: i64 = sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
            .fetch_one(self.pool())
            .await?;
        Ok(theirs - i64::midpoint(before_ms, clock.unix_ms()))
    }

    async fn api_role(&self) -> Result<Option<ApiRole>, StoreError> {
        let row = sqlx::query(
            "SELECT rolsuper OR rolbypassrls,
                    EXISTS (SELECT FROM pg_class WHERE relowner = r.oid AND relkind IN ('r', 'p')),
                    pg_has_role(current_user, r.oid, 'MEMBER')
             FROM pg_roles r WHERE rolname = 'tollgate_api'",
        )
        .fetch_optional(self.pool())
        .await?;
        row.map(|row| {
            Ok(ApiRole {
                bypasses: row.try_get(0)?,
                owns: row.try_get(1)?,
                is_open_to_us: row.try_get(2)?,
            })
        })
        .transpose()
    }
}
