//! Large tables, quickly: what a worker has stored is written again and again under other ids, by Postgres alone. For
//! `tollgate bench` to see what an event costs beside millions of others.
//!
//! Ids keep their beginnings, so copies lie all over the indexes, beside what they are copies of and beside what comes
//! next. Only bodies are cut short: they are read again for ties alone, and ten million would need 20 GB.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::execute;
use crate::{Store, StoreError};

/// Tables whose rows belong to no event, and those that are emptied again.
const LEFT_OUT: &[&str] = &[
    "_sqlx_migrations",
    "schema_compatibility",
    "ledger_check",
    "ledger_checkpoints",
    "ledger_violations",
    "marks",
    "catalog_offers",
    "price_terms",
    "products",
    "prices",
    "switches",
];
/// Texts that contain an id of somebody or something that a copy needs for itself. Products and prices are shared.
const OWN_ID: &str = r"\m(evt|cus|sub|in|pi|ch|py|re|du|dp|cs|si|il|inpay|usr|ent)_[A-Za-z0-9_]{8,}";
/// Marks such texts in the original, so that they need not be searched for in each copy.
const MARK: char = '~';
/// Characters that are left of a body.
const BODY_CHARACTERS: u32 = 64;
/// Between the numbers of a row and of its copy: more than there are in any original.
const STRIDE: i64 = 100_000_000;

/// What copies are made of.
#[derive(Debug)]
pub struct Original {
    tables: Vec<Table>,
    events: u64,
    copies: i64,
}

#[derive(Debug)]
struct Table {
    name: String,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    sort: Sort,
}

/// What a copy does with a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Nothing.
    Plain,
    Text,
    Body,
    /// A row's number.
    Number,
    /// The number of a ledger account. The platform's are shared.
    LedgerAccount,
}

impl Original {
    /// Takes all that is stored as the original, in a schema of its own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take(store: &Store) -> Result<Self, StoreError> {
        let mut connection = store.pool().acquire().await?;
        execute(&mut connection, "CREATE SCHEMA original").await?;
        let tables = tables(&mut connection).await?;
        for Table { name, columns } in &tables {
            let columns: Vec<String> = columns.iter().map(Column::original).collect();
            let sql = format!(
                "CREATE TABLE original.{name} AS SELECT {} FROM public.{name}",
                columns.join(", ")
            );
            execute(&mut connection, &sql).await?;
        }
        execute(
            &mut connection,
            "CREATE TABLE original.platform AS
             SELECT id, balance FROM public.ledger_accounts WHERE owner_kind = 'platform';
             DELETE FROM original.ledger_accounts WHERE owner_kind = 'platform';
             ANALYZE",
        )
        .await?;
        let events: i64 = sqlx::query_scalar("SELECT count(*) FROM original.events")
            .fetch_one(&mut *connection)
            .await?;
        Ok(Self {
            tables,
            events: events.unsigned_abs(),
            copies: 0,
        })
    }

    /// How many events a copy adds.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Adds one copy of everything, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn copy(&mut self, store: &Store) -> Result<(), StoreError> {
        self.copies += 1;
        let mut connection = store.pool().acquire().await?;
        let mut tx = connection.begin().await?;
        // Neither triggers nor foreign keys: the rows are as right as those they are copies of.
        execute(&mut tx, "SET LOCAL session_replication_role = replica").await?;
        for table in &self.tables {
            execute(&mut tx, &table.copy(self.copies)).await?;
        }
        execute(
            &mut tx,
            "UPDATE public.ledger_accounts a SET balance = a.balance + p.balance
             FROM original.platform p WHERE p.id = a.id",
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

impl Table {
    /// The statement that adds copy `number`.
    fn copy(&self, number: i64) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        let values: Vec<String> = self.columns.iter().map(|column| column.copy(number)).collect();
        format!(
            "INSERT INTO public.{name} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM original.{name}
             ON CONFLICT DO NOTHING",
            names.join(", "),
            values.join(", "),
            name = self.name,
        )
    }
}

impl Column {
    fn original(&self) -> String {
        let name = &self.name;
        match self.sort {
            Sort::Plain | Sort::Number | Sort::LedgerAccount => name.clone(),
            Sort::Text => {
                format!("CASE WHEN {name} ~ '{OWN_ID}' THEN {name} || '{MARK}' ELSE {name} END AS {name}")
            }
            Sort::Body => format!("left({name}, {BODY_CHARACTERS}) AS {name}"),
        }
    }

    fn copy(&self, number: i64) -> String {
        let (name, shift) = (&self.name, number * STRIDE);
        match self.sort {
            Sort::Plain | Sort::Body => name.clone(),
            Sort::Text => {
                format!("CASE WHEN right({name}, 1) = '{MARK}' THEN {name} || '{number}' ELSE {name} END")
            }
            Sort::Number => format!("{name} + {shift}"),
            Sort::LedgerAccount => {
                format!(
                    "CASE WHEN {name} IN (SELECT id FROM original.platform) THEN {name} ELSE {name} + {shift} END"
                )
            }
        }
    }
}

async fn tables(connection: &mut PgConnection) -> Result<Vec<Table>, StoreError> {
    let sql = "
        SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL), a.attidentity <> '',
               EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conrelid = c.oid
                       AND f.confrelid = 'public.ledger_accounts'::regclass AND f.conkey = ARRAY[a.attnum])
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relname = ANY($1)
              AND a.attgenerated = ''
        ORDER BY c.relname, a.attnum";
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(LEFT_OUT)
        .fetch_all(connection)
        .await?;
    let mut tables: Vec<Table> = Vec::new();
    for row in rows {
        let (table, name, kind): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let column = Column {
            sort: sort(&name, &kind, row.try_get(3)?, row.try_get(4)?),
            name,
        };
        match tables.last_mut() {
            Some(last) if last.name == table => last.columns.push(column),
            _ => tables.push(Table {
                name: table,
                columns: vec![column],
            }),
        }
    }
    Ok(tables)
}

fn sort(name: &str, kind: &str, is_identity: bool, is_ledger_account: bool) -> Sort {
    match (name, kind) {
        ("body", "text") => Sort::Body,
        (_, "text") => Sort::Text,
        _ if is_ledger_account => Sort::LedgerAccount,
        _ if is_identity => Sort::Number,
        _ => Sort::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_ids_of_its_own() {
        let column = |name: &str, sort| Column {
            name: name.to_owned(),
            sort,
        };
        let table = Table {
            name: "t".to_owned(),
            columns: vec![
                column("id", Sort::Number),
                column("k", Sort::Text),
                column("n", Sort::Plain),
            ],
        };
        assert_eq!(
            table.copy(2),
            "INSERT INTO public.t (id, k, n) OVERRIDING SYSTEM VALUE SELECT id + 200000000, \
             CASE WHEN right(k, 1) = '~' THEN k || '2' ELSE k END, n FROM original.t
             ON CONFLICT DO NOTHING"
        );
    }

    #[test]
    fn columns_are_sorted_by_what_they_hold() {
        assert_eq!(sort("body", "text", false, false), Sort::Body);
        assert_eq!(sort("customer_id", "text", false, false), Sort::Text);
        assert_eq!(sort("id", "bigint", true, false), Sort::Number);
        assert_eq!(sort("from_id", "bigint", false, true), Sort::LedgerAccount);
        assert_eq!(sort("amount", "bigint", false, false), Sort::Plain);
    }
}
