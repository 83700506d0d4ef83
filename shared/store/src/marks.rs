//! Marks: which objects' effects have to be reckoned again.

use domain::ObjectKey;
use sqlx::{PgConnection, Row};

use crate::upsert::column;
use crate::{Store, StoreError};

/// The kind of a mark that is about a user, not about a Stripe object.
pub const USER: &str = "user";

/// Something to reckon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// Stripe's name for the kind of object, or [`USER`].
    pub kind: String,
    /// The object's id.
    pub id: String,
}

/// Marks objects. Never waits for anybody: marks of one object pile up and are taken together.
pub(crate) async fn mark<'a>(
    connection: &mut PgConnection,
    keys: impl IntoIterator<Item = &'a ObjectKey>,
) -> Result<(), sqlx::Error> {
    let keys: Vec<&ObjectKey> = keys.into_iter().collect();
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO marks (account, kind, object_id)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[])",
    )
    .bind(column!(keys, key => key.account.as_str()))
    .bind(column!(keys, key => key.kind.as_str()))
    .bind(column!(keys, key => key.id.as_str()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks taken, and the rows they were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// Sorted, without repeats.
    pub marks: Vec<Mark>,
    /// `marks.id` of every row.
    pub rows: Vec<i64>,
}

/// Takes the oldest marks nobody else is taking. They come back if the transaction fails.
pub(crate) async fn take(connection: &mut PgConnection, marks_max: i64) -> Result<Taken, sqlx::Error> {
    let rows = sqlx::query(
        "DELETE FROM marks WHERE id IN (
             SELECT id FROM marks WHERE trouble IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING account, kind, object_id, id",
    )
    .bind(marks_max)
    .fetch_all(connection)
    .await?;
    let mut taken = Taken::default();
    for row in rows {
        taken.marks.push(Mark {
            account: row.try_get(0)?,
            kind: row.try_get(1)?,
            id: row.try_get(2)?,
        });
        taken.rows.push(row.try_get(3)?);
    }
    taken.marks.sort();
    taken.marks.dedup();
    Ok(taken)
}

impl Store {
    /// Sets marks aside that cannot be reckoned, so that the others go on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_marks_aside(&self, rows: &[i64], trouble: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE marks SET trouble = $2 WHERE id = ANY($1)")
            .bind(rows)
            .bind(trouble)
            .execute(self.pool())
            .await?;
        Ok(())
    }
}
