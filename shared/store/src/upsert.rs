//! How a batch of rows becomes one statement.
//!
//! A projection lists its columns once, each with its Postgres type and where its value comes from; the
//! statement is made from that list: one array per column, unnested into rows. Arrays cost a fraction of
//! what a row-by-row insert does, and the statement's text never changes, so it stays prepared.

/// A column, as [`insert_from_arrays`] needs it.
pub(crate) type Column = (&'static str, &'static str);

/// `INSERT INTO table (..) SELECT ..` from arrays, without a conflict clause. Types are Postgres's,
/// but `timestamptz` travels as unix seconds and `jsonb` as text.
pub(crate) fn insert_from_arrays(table: &str, columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    format!(
        "INSERT INTO {table} ({}) {}",
        names.join(", "),
        rows_from_arrays(columns)
    )
}

/// The rows that the arrays are, which must be of one length.
///
/// `unnest` stands in a list of columns, where Postgres takes an element of each array for each row. In `FROM` it would
/// first write every array into a store of its own.
pub(crate) fn rows_from_arrays(columns: &[Column]) -> String {
    let parameters: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(i, (name, kind))| format!("unnest(${}::{}[]) AS {name}", i + 1, wire_type(kind)))
        .collect();
    let values: Vec<String> = columns.iter().map(|(name, kind)| from_wire(name, kind)).collect();
    format!(
        "SELECT {} FROM (SELECT {}) AS rows",
        values.join(", "),
        parameters.join(", "),
    )
}

/// The same, replacing rows whose key is taken.
pub(crate) fn upsert_from_arrays(table: &str, key: &str, columns: &[Column]) -> String {
    let is_key = |name: &str| key.split(", ").any(|part| part == name);
    let set: Vec<String> = columns
        .iter()
        .filter(|(name, _)| !is_key(name))
        .map(|(name, _)| format!("{name} = EXCLUDED.{name}"))
        .collect();
    let insert = insert_from_arrays(table, columns);
    format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {}", set.join(", "))
}

/// The same for rows that belong to others, named by the second column of three that are the key. Takes two more
/// arrays, the owners: what they have beside these rows is removed, in the same statement.
pub(crate) fn replace_from_arrays(table: &str, key: &str, columns: &[Column]) -> String {
    let (of, owners) = (columns[1].0, columns.len());
    format!(
        "WITH gone AS (
             DELETE FROM {table} USING unnest(${}::text[], ${}::text[]) AS owner (account, id)
             WHERE {table}.account = owner.account AND {table}.{of} = owner.id
               AND NOT EXISTS (
                   SELECT FROM unnest($1::text[], $2::text[], $3::text[]) AS kept (account, of, id)
                   WHERE ({table}.account, {table}.{of}, {table}.id) = (kept.account, kept.of, kept.id)))
         {}",
        owners + 1,
        owners + 2,
        upsert_from_arrays(table, key, columns)
    )
}

fn wire_type(kind: &str) -> &str {
    match kind {
        "timestamptz" => "bigint",
        "jsonb" => "text",
        other => other,
    }
}

fn from_wire(name: &str, kind: &str) -> String {
    match kind {
        "timestamptz" => format!("to_timestamp({name})"),
        "jsonb" => format!("{name}::jsonb"),
        _ => name.to_owned(),
    }
}

/// One array, from one member of every row.
macro_rules! column {
    ($rows:expr, $row:ident => $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}
pub(crate) use column;

/// Declares `async fn NAME(connection, rows: &[ROW])`, which writes all rows in one statement.
macro_rules! upsert {
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
        ) -> Result<(), sqlx::Error> {
            static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
                crate::upsert::upsert_from_arrays($table, $key, &[$(($column, $kind)),+])
            });
            if rows.is_empty() {
                return Ok(());
            }
            let query = sqlx::query(sqlx::AssertSqlSafe(SQL.as_str()));
            $(let query = query.bind(rows.iter().map(|$row| $value).collect::<Vec<_>>());)+
            query.execute(connection).await?;
            Ok(())
        }
    };
}
pub(crate) use upsert;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_is_made_from_the_columns() {
        let columns = [
            ("account", "text"),
            ("id", "text"),
            ("created", "timestamptz"),
            ("metadata", "jsonb"),
        ];
        assert_eq!(
            upsert_from_arrays("things", "account, id", &columns),
            "INSERT INTO things (account, id, created, metadata) \
             SELECT account, id, to_timestamp(created), metadata::jsonb \
             FROM (SELECT unnest($1::text[]) AS account, unnest($2::text[]) AS id, \
             unnest($3::bigint[]) AS created, unnest($4::text[]) AS metadata) AS rows \
             ON CONFLICT (account, id) DO UPDATE SET created = EXCLUDED.created, metadata = EXCLUDED.metadata"
        );
    }
}
