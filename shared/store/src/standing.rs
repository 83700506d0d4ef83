//! What stands of objects, with the events that made it so: for writing it once more.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::{StoreError, Tx};

/// The event whose snapshot of an object stands, as the inbox has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub event_id: String,
    /// The endpoint of ours that received it.
    pub endpoint: String,
    /// When ingest accepted it, unix milliseconds.
    pub received_at_ms: i64,
    /// Whether Stripe's API showed it, and no event.
    pub is_fetched: bool,
    /// Byte by byte.
    pub body: String,
}

/// Locked in key order, as everybody locks them. Ids are unique only within a kind.
const LOCK: &str = "
    SELECT e.id, e.endpoint, (extract(epoch FROM e.received_at) * 1000)::bigint, e.rendering = 'fetched', e.body
    FROM objects o JOIN events e ON (e.account, e.id) = (o.account, o.event_id)
    WHERE o.account = $1 AND o.kind = ANY($2) AND o.id = ANY($3)
    ORDER BY o.account, o.kind, o.id FOR UPDATE OF o";

impl Tx {
    /// Locks objects with these ids, and says what stands of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_standing(
        &mut self,
        account: &str,
        ids: &[String],
    ) -> Result<Vec<Standing>, StoreError> {
        let rows = sqlx::query(LOCK)
            .bind(account)
            .bind(domain::Kind::ALL.map(domain::Kind::as_str))
            .bind(ids)
            .fetch_all(&mut *self.0)
            .await?;
        Ok(rows.iter().map(standing).collect::<Result<_, _>>()?)
    }
}

fn standing(row: &PgRow) -> Result<Standing, sqlx::Error> {
    Ok(Standing {
        event_id: row.try_get(0)?,
        endpoint: row.try_get(1)?,
        received_at_ms: row.try_get(2)?,
        is_fetched: row.try_get(3)?,
        body: row.try_get(4)?,
    })
}
