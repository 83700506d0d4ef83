//! For trials, in which the whole is broken on purpose: what is there, row by row, and what an administrator can do to
//! a database. No role uses it.

use sqlx::{AssertSqlSafe, Postgres, Row, Transaction};

use crate::{Store, StoreError};

/// Somebody who locks in the opposite order of the workers', in mid-way.
#[derive(Debug)]
pub struct Crossing(Transaction<'static, Postgres>);

impl Crossing {
    /// Locks the first half, too: whoever has locked of it meanwhile, and waits for one of the second, is ended by
    /// Postgres. Then lets all go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end(mut self) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM objects ORDER BY account DESC, kind DESC, id DESC FOR UPDATE";
        sqlx::raw_sql(sql).execute(&mut *self.0).await?;
        Ok(self.0.rollback().await?)
    }
}

/// A row of `events`, as far as it can be compared with what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// `evt_...`
    pub id: String,
    /// `applied`, `ignored` or `parked`, with the reason.
    pub status: String,
    /// The stream entry that brought it.
    pub entry_id: String,
    /// When it was settled, unix milliseconds.
    pub settled_at_ms: i64,
}

/// What somebody's credits under one business key come to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moved {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// The business key.
    pub key: String,
    /// Whose, as kind and id.
    pub owner: String,
    /// How many.
    pub credits: i64,
}

impl Store {
    /// Every event that was received, in the order of ids. One that is there twice comes twice.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn kept_events(&self) -> Result<Vec<Kept>, StoreError> {
        let rows = sqlx::query(
            "SELECT account, id, concat_ws(' ', status, reason), coalesce(entry_id, ''),
                    (extract(epoch FROM settled_at) * 1000)::bigint
             FROM events WHERE rendering <> 'fetched' ORDER BY id, account",
        )
        .fetch_all(self.pool())
        .await?;
        let kept = |row: &sqlx::postgres::PgRow| {
            Ok(Kept {
                account: row.try_get(0)?,
                id: row.try_get(1)?,
                status: row.try_get(2)?,
                entry_id: row.try_get(3)?,
                settled_at_ms: row.try_get(4)?,
            })
        };
        Ok(rows.iter().map(kept).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Whether an event is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_event(&self, id: &str) -> Result<bool, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM events WHERE id = $1)")
                .bind(id)
                .fetch_one(self.pool())
                .await?,
        )
    }

    /// How many deliveries beside the first are kept of each event, by id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn kept_redeliveries(&self) -> Result<Vec<(String, i64)>, StoreError> {
        Ok(
            sqlx::query_as("SELECT event_id, count(*) FROM redeliveries GROUP BY event_id")
                .fetch_all(self.pool())
                .await?,
        )
    }

    /// What all transfers come to, by business key and owner, where that is not nothing. (How many transfers it took
    /// depends on what was known when; what they come to must not.)
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn moved(&self) -> Result<Vec<Moved>, StoreError> {
        let rows = sqlx::query(
            "SELECT e.account, e.key, a.owner_kind || ' ' || a.owner_id, sum(e.amount)::bigint
             FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.ledger_account_id AND a.owner_kind <> 'platform'
             GROUP BY 1, 2, 3 HAVING sum(e.amount) <> 0 ORDER BY 1, 2, 3",
        )
        .fetch_all(self.pool())
        .await?;
        let moved = |row: &sqlx::postgres::PgRow| {
            Ok(Moved {
                account: row.try_get(0)?,
                key: row.try_get(1)?,
                owner: row.try_get(2)?,
                credits: row.try_get(3)?,
            })
        };
        Ok(rows.iter().map(moved).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Transfers the outbox does not tell of once and only once, by business key and number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn not_told_once(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT t.key || ' ' || t.seq FROM ledger_transfers t
             LEFT JOIN outbox o ON o.account = t.account
                  AND o.key = o.type || ':' || t.key || ':' || t.seq AND o.type LIKE 'credits.%'
             GROUP BY t.account, t.key, t.seq HAVING count(o.id) <> 1 ORDER BY 1",
        )
        .fetch_all(self.pool())
        .await?)
    }

    /// Keys of the outbox that name an event alone, and so do not depend on what was known when.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn notices(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT account || ' ' || key FROM outbox
             WHERE type NOT LIKE 'credits.%' AND type NOT LIKE 'subscription.%' AND type NOT LIKE 'user.%' ORDER BY 1",
        )
        .fetch_all(self.pool())
        .await?)
    }

    /// Ends all connections to this database but the one it asks over. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_connections(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .fetch_one(self.pool())
        .await?)
    }

    /// Locks the second half of all objects. The workers lock from the first on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_crossing(&self) -> Result<Crossing, StoreError> {
        let mut tx = self.pool().begin().await?;
        // The workers look sooner, once, and so it is one of theirs that is ended; or this one, if they looked too soon.
        let sql = "SET LOCAL deadlock_timeout = '3s';
             SELECT 1 FROM objects WHERE (account, kind, id) >= (SELECT account, kind, id FROM objects
                 ORDER BY account, kind, id OFFSET (SELECT count(*) / 2 FROM objects) LIMIT 1)
             ORDER BY account DESC, kind DESC, id DESC FOR UPDATE";
        sqlx::raw_sql(sql).execute(&mut *tx).await?;
        Ok(Crossing(tx))
    }

    /// From now on counts the events about an object whose id begins so that meet another one's transaction under way.
    ///
    /// # Errors
    /// [`StoreError`]; the prefix must be a plain word.
    pub async fn watch_overlaps(&self, prefix: &str) -> Result<(), StoreError> {
        // A sequence counts whatever becomes of the transaction.
        let sql = format!(
            "CREATE SEQUENCE IF NOT EXISTS noted_overlaps;
             CREATE OR REPLACE FUNCTION note_overlap() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NOT pg_try_advisory_xact_lock(hashtextextended(NEW.object_id, 0)) THEN
                     PERFORM nextval('noted_overlaps');
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE OR REPLACE TRIGGER note_overlap BEFORE INSERT ON events FOR EACH ROW
                 WHEN (starts_with(NEW.object_id, '{prefix}')) EXECUTE FUNCTION note_overlap()"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.pool()).await?;
        Ok(())
    }

    /// How often that was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overlaps(&self) -> Result<i64, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM noted_overlaps")
                .fetch_one(self.pool())
                .await?,
        )
    }

    /// Makes another database on this server.
    ///
    /// # Errors
    /// [`StoreError`]; the name must be a plain word.
    pub async fn create_database(&self, name: &str) -> Result<(), StoreError> {
        let sql = format!("CREATE DATABASE \"{name}\"");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.pool()).await?;
        Ok(())
    }

    /// Takes from the inbox the key that makes admission single: a planted bug relies on looking first.
    ///
    /// # Errors
    /// [`StoreError`].
    #[cfg(feature = "planted-bugs")]
    pub async fn drop_inbox_key(&self) -> Result<(), StoreError> {
        let sql = "ALTER TABLE events DROP CONSTRAINT events_pkey CASCADE;
                   CREATE INDEX events_not_unique ON events (account, id)";
        sqlx::raw_sql(sql).execute(self.pool()).await?;
        Ok(())
    }
}
