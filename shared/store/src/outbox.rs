//! What the rest of the world should hear, written with the change itself.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::upsert::{column, insert_from_arrays};

/// A row of `outbox`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// Names the change: the same change has the same key, whichever event tells it.
    pub key: String,
    /// What happened, such as `credits.granted`.
    pub kind: String,
    /// What it is about: Stripe's name for the object, or `user`.
    pub subject_kind: &'static str,
    /// Its id.
    pub subject_id: String,
    /// Whom it concerns, when that is known.
    pub user_id: Option<String>,
    /// Details, a JSON object.
    pub data: String,
}

/// Writes rows; what has been told is not told again.
pub(crate) async fn write(connection: &mut PgConnection, rows: &[OutboxRow]) -> Result<(), sqlx::Error> {
    static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let columns = [
            ("account", "text"),
            ("key", "text"),
            ("type", "text"),
            ("subject_kind", "text"),
            ("subject_id", "text"),
            ("user_id", "text"),
            ("data", "jsonb"),
        ];
        format!(
            "{} ON CONFLICT (account, key) DO NOTHING",
            insert_from_arrays("outbox", &columns)
        )
    });
    if rows.is_empty() {
        return Ok(());
    }
    // In key order: two writers of the same news wait for each other instead of deadlocking.
    let mut rows: Vec<&OutboxRow> = rows.iter().collect();
    rows.sort_by(|a, b| (&a.account, &a.key).cmp(&(&b.account, &b.key)));
    sqlx::query(AssertSqlSafe(SQL.as_str()))
        .bind(column!(rows, row => row.account.as_str()))
        .bind(column!(rows, row => row.key.as_str()))
        .bind(column!(rows, row => row.kind.as_str()))
        .bind(column!(rows, row => row.subject_kind))
        .bind(column!(rows, row => row.subject_id.as_str()))
        .bind(column!(rows, row => row.user_id.as_deref()))
        .bind(column!(rows, row => row.data.as_str()))
        .execute(connection)
        .await?;
    Ok(())
}
