//! A lock on rows that may not be there yet: a lock on a row that does not exist is no lock.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

/// How the rows of one table are locked.
pub(crate) struct Lock {
    make_and_lock: String,
    lock: String,
}

impl Lock {
    /// For a table with this key; all its columns are text. `shown` are columns to be returned.
    pub(crate) fn new(table: &str, key: &[&str], shown: &[&str]) -> Self {
        let names = key.join(", ");
        let arrays: Vec<String> = (1..=key.len()).map(|at| format!("${at}::text[]")).collect();
        let of = |row: &str| {
            let columns: Vec<String> = key.iter().map(|name| format!("{row}.{name}")).collect();
            columns.join(", ")
        };
        let shown: String = shown.iter().map(|column| format!(", {column}")).collect();
        let wanted = format!(
            "wanted AS MATERIALIZED (
                 SELECT * FROM unnest({}) WITH ORDINALITY AS wanted ({names}, position))",
            arrays.join(", ")
        );
        // The lock is taken above the sort.
        let locked = |condition: &str| {
            format!(
                "SELECT wanted.position, false AS is_made{shown} FROM wanted JOIN {table} USING ({names})
                 WHERE {condition} ORDER BY wanted.position FOR UPDATE OF {table}"
            )
        };
        // What is made is not seen by the same statement, and counting it makes it first. When others have made some
        // at the same time, nothing is locked yet: they may come before what would be, and locks are taken in order.
        Self {
            make_and_lock: format!(
                "WITH {wanted},
                 missing AS MATERIALIZED (
                     SELECT * FROM wanted
                     WHERE NOT EXISTS (SELECT FROM {table} known WHERE ({}) = ({}))),
                 made AS (
                     INSERT INTO {table} ({names}) SELECT {names} FROM missing ORDER BY position
                     ON CONFLICT DO NOTHING RETURNING *),
                 locked AS ({})
                 SELECT * FROM locked UNION ALL SELECT 0, true{shown} FROM made",
                of("known"),
                of("wanted"),
                locked("(SELECT count(*) FROM made) = (SELECT count(*) FROM missing)"),
            ),
            lock: format!("WITH {wanted} {}", locked("true")),
        }
    }

    /// Makes missing rows, then locks all of them, both in the order of the keys, so that two workers never wait for
    /// each other in a circle. Keys are given as arrays, and must be sorted and distinct. Returns the rows that were
    /// there: the position of the key, from 1, a column that says nothing, and the columns that are shown.
    pub(crate) async fn take(
        &self,
        connection: &mut PgConnection,
        keys: &[Vec<&str>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let wanted = keys.first().map_or(0, Vec::len);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let mut rows = run(connection, &self.make_and_lock, keys).await?;
        if rows.len() < wanted {
            // Those of others are there by now, and can be seen by a statement that begins now.
            rows = run(connection, &self.lock, keys).await?;
        }
        let mut known = Vec::with_capacity(rows.len());
        for row in rows {
            if !row.try_get::<bool, _>(1)? {
                known.push(row);
            }
        }
        Ok(known)
    }
}

async fn run(
    connection: &mut PgConnection,
    sql: &str,
    keys: &[Vec<&str>],
) -> Result<Vec<PgRow>, sqlx::Error> {
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = keys.iter().fold(query, |query, array| query.bind(array));
    query.fetch_all(connection).await
}
