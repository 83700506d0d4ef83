//! Read-only questions about what Postgres holds.

use sqlx::Row;

use crate::{Status, Store, StoreError};

/// Longest example value shown, in characters.
const EXAMPLE_CHARS_MAX: i32 = 70;

/// How many events there are, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// See [`Status::Applied`].
    pub applied: u64,
    /// See [`Status::Ignored`].
    pub ignored: u64,
    /// See [`Status::Parked`].
    pub parked: u64,
}

/// A table with its size and one of its rows, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleRows {
    /// The table.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// One row in a few words, when there is one.
    pub example: Option<String>,
}

impl Store {
    /// Counts, among `ids`, events by what became of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tally_of(&self, ids: &[String]) -> Result<Tally, StoreError> {
        let rows = sqlx::query("SELECT status, count(*) FROM events WHERE id = ANY($1) GROUP BY status")
            .bind(ids)
            .fetch_all(self.pool())
            .await?;
        let mut tally = Tally::default();
        for row in rows {
            let (status, count): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            let count = u64::try_from(count).unwrap_or(0);
            match status.as_str() {
                s if s == Status::Applied.as_str() => tally.applied = count,
                s if s == Status::Ignored.as_str() => tally.ignored = count,
                _ => tally.parked = count,
            }
        }
        // An event whose row was refused is parked without one.
        let bare: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM parked_events WHERE event_id = ANY($1) AND entry IS NOT NULL
             AND state <> 'replayed'",
        )
        .bind(ids)
        .fetch_one(self.pool())
        .await?;
        tally.parked += u64::try_from(bare).unwrap_or(0);
        Ok(tally)
    }

    /// Which of `ids` (platform or connected account alike) are not in the inbox.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn missing_events(&self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        let missing = sqlx::query_scalar(
            "SELECT wanted.id FROM unnest($1::text[]) AS wanted (id)
             WHERE NOT EXISTS (SELECT FROM events WHERE events.id = wanted.id)
               AND NOT EXISTS (SELECT FROM parked_events WHERE parked_events.event_id = wanted.id)",
        )
        .bind(ids)
        .fetch_all(self.pool())
        .await?;
        Ok(missing)
    }

    /// A few tables with their sizes and one row each.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn examples(&self) -> Result<Vec<ExampleRows>, StoreError> {
        let mut examples = Vec::new();
        for (table, words) in EXAMPLES {
            let sql = format!(
                "SELECT count(*), (SELECT CASE WHEN length({words}) > {EXAMPLE_CHARS_MAX} \
                 THEN left({words}, {EXAMPLE_CHARS_MAX}) || '…' ELSE {words} END FROM {table} \
                 ORDER BY event_created DESC, id LIMIT 1) FROM {table}"
            );
            let row = sqlx::query(sqlx::AssertSqlSafe(sql))
                .fetch_one(self.pool())
                .await?;
            let rows: i64 = row.try_get(0)?;
            examples.push(ExampleRows {
                table,
                rows: u64::try_from(rows).unwrap_or(0),
                example: row.try_get(1)?,
            });
        }
        Ok(examples)
    }
}

/// Tables worth showing, each with an expression that puts a row into words.
const EXAMPLES: [(&str, &str); 6] = [
    ("customers", "concat_ws('  ', id, user_id, email)"),
    (
        "subscriptions",
        "concat_ws('  ', id, status, customer_id, 'until ' || current_period_end::date)",
    ),
    (
        "invoices",
        "concat_ws('  ', id, status, billing_reason, total || ' ' || currency)",
    ),
    (
        "payment_intents",
        "concat_ws('  ', id, status, amount_received || ' ' || currency)",
    ),
    (
        "refunds",
        "concat_ws('  ', id, status, amount || ' ' || currency)",
    ),
    (
        "disputes",
        "concat_ws('  ', id, status, reason, amount || ' ' || currency)",
    ),
];
