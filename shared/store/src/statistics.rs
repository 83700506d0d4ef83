//! What Postgres knows of tables that are new. Until it has looked at a table for the first time, all indexes that begin
//! with the account look equally good to it, and it may take one under which it reads every row of an account to find
//! one. Autovacuum looks within a minute; a new installation may have many thousands of events by then.

use sqlx::{AssertSqlSafe, Row};

use crate::{Store, StoreError};

/// Rows a table has before it is looked at: from fewer nothing can be learnt, and reading all of them costs nothing.
const ROWS_MIN: i64 = 500;

impl Store {
    /// Lets Postgres look at tables that have rows and that it has never looked at, and returns their names. Tables that
    /// somebody else looks at right now, or that belong to somebody else, are passed over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn analyze_new(&self) -> Result<Vec<String>, StoreError> {
        let tables: Vec<String> = sqlx::query(
            "SELECT quote_ident(s.relname) FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
             WHERE s.relid = to_regclass(quote_ident(s.relname)) AND c.reltuples <= 0 AND s.n_mod_since_analyze >= $1
                   AND pg_has_role(c.relowner, 'USAGE')
             ORDER BY 1",
        )
        .bind(ROWS_MIN)
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
        if !tables.is_empty() {
            let sql = format!("ANALYZE (SKIP_LOCKED) {}", tables.join(", "));
            sqlx::query(AssertSqlSafe(sql)).execute(self.pool()).await?;
        }
        Ok(tables)
    }
}
