//! Sources that grant less than they might: perhaps what was missing is here by now.

use sqlx::Row;

use crate::{Store, StoreError};

/// The last one marked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProblemAfter {
    account: String,
    kind: String,
    id: String,
}

impl Store {
    /// Marks sources with a problem, at most `limit`; returns how many, and where to go on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mark_problems(
        &self,
        after: &ProblemAfter,
        limit: u32,
    ) -> Result<(u64, Option<ProblemAfter>), StoreError> {
        let rows = sqlx::query(
            "WITH open AS (
                 SELECT account, kind, id FROM money_sources
                 WHERE problem IS NOT NULL AND (account, kind, id) > ($1, $2, $3)
                 ORDER BY account, kind, id LIMIT $4),
             marked AS (INSERT INTO marks (account, kind, object_id) SELECT account, kind, id FROM open)
             SELECT account, kind, id FROM open ORDER BY account, kind, id",
        )
        .bind(&after.account)
        .bind(&after.kind)
        .bind(&after.id)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        let next = match rows.last() {
            Some(last) if rows.len() == limit as usize => Some(ProblemAfter {
                account: last.try_get(0)?,
                kind: last.try_get(1)?,
                id: last.try_get(2)?,
            }),
            _ => None,
        };
        Ok((rows.len() as u64, next))
    }
}
