//! Raw Postgres, for `tollgate bench` to measure us against: the rows that a worker wrote, inserted into equal tables
//! in batches of the same size, as fast as Postgres takes them. No decisions, no locks, no triggers, no rewriting: a
//! floor under what the same rows can cost. Nothing here runs in a role.

mod copies;
mod ledger;
mod letters;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub use copies::Original;
pub use ledger::{Direct, user};
pub use letters::Tally;

use crate::{Store, StoreError};

/// Tables that say nothing about events: the schema's own, and what is emptied again.
const LEFT_OUT: &[&str] = &[
    "_sqlx_migrations",
    "schema_compatibility",
    "ledger_check",
    "marks",
];

/// The rows of one transaction: the statement for a table, and rows as Postgres writes them as text.
///
/// Not `COPY`: its data and its end are two writes, and sqlx leaves Nagle's algorithm on, so the second may wait for an
/// acknowledgement of the first, which would make the neighbour slower than it is.
type Batch = Vec<(String, Vec<String>)>;

/// Rows to be written once more, and equal tables for them.
#[derive(Debug)]
pub struct Yardstick {
    batches: VecDeque<Batch>,
    rows: u64,
}

impl Yardstick {
    /// Reads all rows there are, divides them into `batches`, and makes tables for them with the same columns,
    /// constraints and indexes, in a schema of their own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn learn(store: &Store, batches: usize) -> Result<Self, StoreError> {
        let mut connection = store.pool().acquire().await?;
        execute(&mut connection, "CREATE SCHEMA yardstick").await?;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT tablename::text FROM pg_tables
             WHERE schemaname = 'public' AND tablename <> ALL($1) ORDER BY tablename",
        )
        .bind(LEFT_OUT)
        .fetch_all(&mut *connection)
        .await?;
        let mut all: VecDeque<Batch> = (0..batches.max(1)).map(|_| Batch::new()).collect();
        let mut rows = 0;
        for table in tables {
            let sql = format!("SELECT row::text FROM public.{table} AS row");
            let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(&mut *connection)
                .await?;
            if lines.is_empty() {
                continue;
            }
            rows += lines.len() as u64;
            let like = format!("CREATE TABLE yardstick.{table} (LIKE public.{table} INCLUDING ALL)");
            execute(&mut connection, &like).await?;
            // Each row is read once, not once for each of its columns: that is what OFFSET is for.
            let insert = format!(
                "INSERT INTO yardstick.{table} OVERRIDING SYSTEM VALUE SELECT (line.row).*
                 FROM (SELECT text::yardstick.{table} AS row FROM unnest($1::text[]) AS text OFFSET 0) AS line"
            );
            for (batch, lines) in all.iter_mut().zip(shares(&lines, batches)) {
                if !lines.is_empty() {
                    batch.push((insert.clone(), lines.to_vec()));
                }
            }
        }
        Ok(Self { batches: all, rows })
    }

    /// How many rows there are in all tables together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes everything, one transaction for each batch, over `connections` at a time. Returns how long it took.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replay(self, store: &Store, connections: usize) -> Result<Duration, StoreError> {
        // Connecting is not what is measured.
        let mut lanes: Vec<(PgConnection, Vec<Batch>)> = Vec::new();
        for _ in 0..connections {
            let options = store.pool().connect_options();
            lanes.push((PgConnection::connect_with(&options).await?, Vec::new()));
        }
        for (number, batch) in self.batches.into_iter().enumerate() {
            lanes[number % connections].1.push(batch);
        }
        let began = Instant::now();
        let all = lanes
            .into_iter()
            .map(|(connection, batches)| write_all(connection, batches));
        try_join_all(all).await?;
        Ok(began.elapsed())
    }
}

async fn write_all(mut connection: PgConnection, batches: Vec<Batch>) -> Result<(), StoreError> {
    for batch in batches {
        let mut tx = connection.begin().await?;
        for (insert, lines) in batch {
            sqlx::query(AssertSqlSafe(insert))
                .bind(lines)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
    }
    connection.close().await?;
    Ok(())
}

/// Divides lines evenly, in order.
fn shares(lines: &[String], count: usize) -> impl Iterator<Item = &[String]> {
    let bound = move |number: usize| lines.len() * number / count.max(1);
    (0..count.max(1)).map(move |number| &lines[bound(number)..bound(number + 1)])
}

/// How much Postgres wrote ahead (WAL).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenAhead {
    /// All of it.
    pub bytes: u64,
    /// Whole pages among it: a page's first change after a checkpoint writes all of it (`full_page_writes`).
    pub full_pages: u64,
}

impl Store {
    /// What Postgres calls itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn server_version(&self) -> Result<String, StoreError> {
        Ok(sqlx::query_scalar("SHOW server_version")
            .fetch_one(self.pool())
            .await?)
    }

    /// Lets Postgres look at how large tables have become and what is in them, as autovacuum does within a minute.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn analyze(&self) -> Result<(), StoreError> {
        sqlx::query("ANALYZE").execute(self.pool()).await?;
        Ok(())
    }

    /// What autovacuum does within a minute, and to disk: tables that grew quickly look as they do in life.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn vacuum(&self) -> Result<(), StoreError> {
        let mut connection = self.pool().acquire().await?;
        for sql in [
            "SET statement_timeout = 0",
            "VACUUM (ANALYZE)",
            "CHECKPOINT",
            "RESET statement_timeout",
        ] {
            execute(&mut connection, sql).await?;
        }
        Ok(())
    }

    /// Writes everything to disk, so that whatever is measured next begins with the same amount of it left to do.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        let mut connection = self.pool().acquire().await?;
        execute(&mut connection, "CHECKPOINT").await
    }

    /// What has been written ahead since the server began. Sessions that are open may not have told of their pages yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn written_ahead(&self) -> Result<WrittenAhead, StoreError> {
        let sql =
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint, wal_fpi FROM pg_stat_wal";
        let (bytes, full_pages): (i64, i64) = sqlx::query_as(sql).fetch_one(self.pool()).await?;
        Ok(WrittenAhead {
            bytes: bytes.unsigned_abs(),
            full_pages: full_pages.unsigned_abs(),
        })
    }

    /// Milliseconds from acceptance to commit of events accepted since then (unix milliseconds), as Postgres saw the
    /// commit. It must run with `track_commit_timestamp`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn commit_latencies_ms(&self, since_ms: i64) -> Result<Vec<f64>, StoreError> {
        self.latencies_ms("pg_xact_commit_timestamp(xmin)", since_ms)
            .await
    }

    /// Milliseconds from acceptance until a worker wrote the event's row, its commit not included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pick_up_latencies_ms(&self, since_ms: i64) -> Result<Vec<f64>, StoreError> {
        self.latencies_ms("settled_at", since_ms).await
    }

    async fn latencies_ms(&self, until: &str, since_ms: i64) -> Result<Vec<f64>, StoreError> {
        let sql = format!(
            "SELECT extract(epoch FROM {until} - received_at)::double precision * 1000 FROM events
             WHERE received_at >= to_timestamp($1::double precision / 1000)"
        );
        Ok(sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(since_ms as f64)
            .fetch_all(self.pool())
            .await?)
    }

    /// How many events have been set aside.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn parked_count(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM parked_events")
            .fetch_one(self.pool())
            .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

/// Makes a database, as a copy of `template` where one is named. `admin_url` is another database of the same server.
///
/// # Errors
/// [`StoreError`].
pub async fn create_database(admin_url: &str, name: &str, template: Option<&str>) -> Result<(), StoreError> {
    let template = template.map_or(String::new(), |template| format!(" TEMPLATE {template}"));
    in_admin(admin_url, &format!("CREATE DATABASE {name}{template}")).await
}

/// Removes a database and whoever is still connected to it.
///
/// # Errors
/// [`StoreError`].
pub async fn drop_database(admin_url: &str, name: &str) -> Result<(), StoreError> {
    in_admin(admin_url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
}

async fn in_admin(admin_url: &str, sql: &str) -> Result<(), StoreError> {
    let mut connection = PgConnection::connect(admin_url).await?;
    execute(&mut connection, sql).await?;
    connection.close().await?;
    Ok(())
}

async fn execute(connection: &mut PgConnection, sql: &str) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_divided_evenly_and_none_is_left_out() {
        let lines: Vec<String> = (0..7).map(|n| n.to_string()).collect();
        let sizes = |count| shares(&lines, count).map(<[String]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(3), [2, 2, 3]);
        assert_eq!(sizes(1), [7]);
        assert_eq!(sizes(10).iter().sum::<usize>(), 7);
    }
}
