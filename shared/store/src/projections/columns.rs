//! What a projection's list of columns is good for: rows are written, or compared with those that are there. Both are one
//! statement for a whole batch, made from the same list, so that nothing is written that is not compared.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::upsert::{Column, rows_from_arrays};

/// Which snapshot a row is; two that differ in nothing else are equal.
const VERSION: [&str; 2] = ["event_id", "event_created"];

/// What is done with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// They replace those that are there.
    Write,
    /// Nothing changes; [`Found`] says what would.
    Compare,
}

/// How a row compares with the one that is there. Writing finds nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub account: String,
    pub id: String,
    /// The event whose snapshot is there, and its `created`; `None` when none is. Parts do not know.
    pub held: Option<(String, i64)>,
    /// Columns, or tables of parts, that are others.
    pub members: Vec<String>,
}

impl Found {
    pub(crate) fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (event_id, created): (Option<String>, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
        Ok(Self {
            account: row.try_get(0)?,
            id: row.try_get(1)?,
            held: event_id.zip(created),
            members: row.try_get(4)?,
        })
    }
}

/// Each row beside the one with its key: account, id, which event is there, and the names of columns that are others.
pub(crate) fn compare_from_arrays(table: &str, key: &str, columns: &[Column]) -> String {
    let named: Vec<String> = compared(key, columns)
        .filter(|name| !VERSION.contains(name))
        .map(|name| format!("CASE WHEN held.{name} IS DISTINCT FROM shown.{name} THEN '{name}' END"))
        .collect();
    format!(
        "WITH {}
         SELECT shown.account, shown.id, held.event_id, extract(epoch FROM held.event_created)::bigint,
                array_remove(ARRAY[{}]::text[], NULL)
         FROM shown LEFT JOIN {table} held ON (held.account, held.id) = (shown.account, shown.id)",
        shown(columns),
        named.join(", ")
    )
}

/// The same for parts: those owners, of two more arrays, that have others than these. Named after the table.
pub(crate) fn compare_parts_from_arrays(table: &str, key: &str, columns: &[Column]) -> String {
    let (of, owners) = (columns[1].0, columns.len());
    let differs: Vec<String> = compared(key, columns)
        .map(|name| format!("held.{name} IS DISTINCT FROM shown.{name}"))
        .collect();
    format!(
        "WITH {}
         SELECT owner.account, owner.id, NULL::text, NULL::bigint, ARRAY['{table}']
         FROM unnest(${}::text[], ${}::text[]) AS owner (account, id)
         WHERE EXISTS (
                 SELECT FROM shown
                 LEFT JOIN {table} held ON (held.account, held.{of}, held.id) = (shown.account, shown.{of}, shown.id)
                 WHERE (shown.account, shown.{of}) = (owner.account, owner.id) AND (held.id IS NULL OR {}))
            OR EXISTS (
                 SELECT FROM {table} held WHERE (held.account, held.{of}) = (owner.account, owner.id)
                   AND NOT EXISTS (SELECT FROM shown
                       WHERE (shown.account, shown.{of}, shown.id) = (held.account, held.{of}, held.id)))",
        shown(columns),
        owners + 1,
        owners + 2,
        differs.join(" OR ")
    )
}

/// The rows to compare, under their columns' names.
fn shown(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    format!(
        "shown ({}) AS MATERIALIZED ({})",
        names.join(", "),
        rows_from_arrays(columns)
    )
}

fn compared<'a>(key: &'a str, columns: &'a [Column]) -> impl Iterator<Item = &'a str> {
    let is_key = move |name: &str| key.split(", ").any(|part| part == name);
    let names = columns.iter().map(|(name, _)| *name);
    names.filter(move |name| !is_key(name))
}

/// Declares `async fn NAME(connection, rows: &[ROW], deed)`, which does that with all rows in one statement.
macro_rules! projection {
    (
        $(#[$doc:meta])*
        fn $name:ident($row:ident: &$row_type:ty) into $table:literal key $key:literal {
            $($column:literal $kind:literal = $value:expr;)+
        }
    ) => {
        $(#[$doc])*
        pub(crate) async fn $name(
            connection: &mut sqlx::PgConnection,
            rows: &[$row_type],
            deed: super::columns::Deed,
        ) -> Result<Vec<super::columns::Found>, sqlx::Error> {
            use super::columns::{Deed, Found, compare_from_arrays};
            const COLUMNS: &[crate::upsert::Column] = &[$(($column, $kind)),+];
            static WRITE: std::sync::LazyLock<String> =
                std::sync::LazyLock::new(|| crate::upsert::upsert_from_arrays($table, $key, COLUMNS));
            static COMPARE: std::sync::LazyLock<String> =
                std::sync::LazyLock::new(|| compare_from_arrays($table, $key, COLUMNS));
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let sql = match deed {
                Deed::Write => WRITE.as_str(),
                Deed::Compare => COMPARE.as_str(),
            };
            let query = sqlx::query(sqlx::AssertSqlSafe(sql));
            $(let query = query.bind(rows.iter().map(|$row| $value).collect::<Vec<_>>());)+
            query.fetch_all(connection).await?.iter().map(Found::of).collect()
        }
    };
}
pub(crate) use projection;

/// Declares `async fn NAME(connection, rows: &[ROW], owners, deed)`: the owners have these rows and no others, or are
/// asked whether they do, in one statement.
macro_rules! part {
    (
        $(#[$doc:meta])*
        fn $name:ident($row:ident: &$row_type:ty) into $table:literal key $key:literal {
            $($column:literal $kind:literal = $value:expr;)+
        }
    ) => {
        $(#[$doc])*
        pub(crate) async fn $name<'a>(
            connection: &mut sqlx::PgConnection,
            rows: &[$row_type],
            owners: impl Iterator<Item = &'a domain::ObjectKey>,
            deed: super::columns::Deed,
        ) -> Result<Vec<super::columns::Found>, sqlx::Error> {
            use super::columns::{Deed, Found, compare_parts_from_arrays};
            const COLUMNS: &[crate::upsert::Column] = &[$(($column, $kind)),+];
            static WRITE: std::sync::LazyLock<String> =
                std::sync::LazyLock::new(|| crate::upsert::replace_from_arrays($table, $key, COLUMNS));
            static COMPARE: std::sync::LazyLock<String> =
                std::sync::LazyLock::new(|| compare_parts_from_arrays($table, $key, COLUMNS));
            let (accounts, owners): (Vec<&str>, Vec<&str>) =
                owners.map(|key| (key.account.as_str(), key.id.as_str())).unzip();
            if owners.is_empty() {
                return Ok(Vec::new());
            }
            let sql = match deed {
                Deed::Write => WRITE.as_str(),
                Deed::Compare => COMPARE.as_str(),
            };
            let query = sqlx::query(sqlx::AssertSqlSafe(sql));
            $(let query = query.bind(rows.iter().map(|$row| $value).collect::<Vec<_>>());)+
            let query = query.bind(accounts).bind(owners);
            query.fetch_all(connection).await?.iter().map(Found::of).collect()
        }
    };
}
pub(crate) use part;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_compared_but_those_that_say_which_snapshot_it_is() {
        let columns = [
            ("account", "text"),
            ("id", "text"),
            ("status", "text"),
            ("event_id", "text"),
            ("event_created", "timestamptz"),
        ];
        let sql = compare_from_arrays("things", "account, id", &columns);
        assert!(
            sql.contains("ARRAY[CASE WHEN held.status IS DISTINCT FROM shown.status THEN 'status' END]"),
            "{sql}"
        );
    }
}
