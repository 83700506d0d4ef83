//! Corrections of plans whose time is over.

use sqlx::Row;

use crate::{Store, StoreError};

impl Store {
    /// Ends corrections that are over at `now`, at most `limit`, and marks their users. Says how many. What somebody
    /// else changes at the moment is passed over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_corrections(&self, now: i64, limit: u32) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "WITH ended AS (
                 UPDATE plan_corrections SET ended_at = to_timestamp($1), ended_how = 'over'
                 WHERE ctid = ANY (ARRAY(
                     SELECT ctid FROM plan_corrections
                     WHERE ended_at IS NULL AND until <= to_timestamp($1)
                     ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED))
                 RETURNING account, user_id
             ), marked AS (
                 INSERT INTO marks (account, kind, object_id) SELECT account, 'user', user_id FROM ended)
             SELECT count(*) FROM ended",
        )
        .bind(now)
        .bind(i64::from(limit))
        .fetch_one(self.pool())
        .await?;
        let ended: i64 = row.try_get(0)?;
        Ok(u64::try_from(ended).unwrap_or(0))
    }
}
