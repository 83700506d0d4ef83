//! Canceled subscriptions that may have expired.

use sqlx::{PgConnection, Row};

use super::Page;
use crate::upsert::column;
use crate::{Id, StoreError, Tx};

/// A subscription that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canceled {
    /// Which.
    pub id: Id,
    /// When it ended, unix seconds.
    pub ended_at: i64,
    /// The end of what was paid for, unix seconds.
    pub paid_through: Option<i64>,
}

/// The last one looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanceledAfter {
    ended_at: i64,
    id: Id,
}

impl Default for CanceledAfter {
    fn default() -> Self {
        Self {
            ended_at: i64::from(i32::MIN),
            id: Id {
                account: String::new(),
                id: String::new(),
            },
        }
    }
}

impl Tx {
    /// Locks canceled subscriptions that ended at `ended_by` or before, and their customers, as the reckoner does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_canceled(
        &mut self,
        ended_by: i64,
        after: &CanceledAfter,
        limit: u32,
    ) -> Result<Page<Canceled, CanceledAfter>, StoreError> {
        let rows = sqlx::query(
            "SELECT account, subscription_id, extract(epoch FROM ended_at)::bigint FROM subscription_states
             WHERE state = 'canceled' AND expired_at IS NULL AND ended_at <= to_timestamp($1)
               AND (ended_at, account, subscription_id) > (to_timestamp($2), $3, $4)
             ORDER BY ended_at, account, subscription_id LIMIT $5
             FOR UPDATE SKIP LOCKED",
        )
        .bind(ended_by)
        .bind(after.ended_at)
        .bind(&after.id.account)
        .bind(&after.id.id)
        .bind(i64::from(limit))
        .fetch_all(&mut *self.0)
        .await?;
        let mut canceled = Vec::with_capacity(rows.len());
        for row in &rows {
            canceled.push(Canceled {
                id: Id {
                    account: row.try_get(0)?,
                    id: row.try_get(1)?,
                },
                ended_at: row.try_get(2)?,
                paid_through: None,
            });
        }
        let next = canceled.last().map(|last| CanceledAfter {
            ended_at: last.ended_at,
            id: last.id.clone(),
        });
        let next = next.filter(|_| rows.len() == limit as usize);
        let rows = with_customers(&mut self.0, canceled).await?;
        Ok(Page { rows, next })
    }

    /// Notes since when subscriptions are expired, and marks them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn expire_subscriptions(&mut self, expired: &[(&Id, i64)]) -> Result<(), StoreError> {
        if expired.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "WITH expired AS (
                 UPDATE subscription_states s SET expired_at = to_timestamp(at)
                 FROM unnest($1::text[], $2::text[], $3::bigint[]) AS wanted (account, id, at)
                 WHERE (s.account, s.subscription_id) = (wanted.account, wanted.id)
                 RETURNING s.account, s.subscription_id)
             INSERT INTO marks (account, kind, object_id) SELECT account, 'subscription', subscription_id FROM expired",
        )
        .bind(column!(expired, it => it.0.account.as_str()))
        .bind(column!(expired, it => it.0.id.as_str()))
        .bind(column!(expired, it => it.1))
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }
}

/// Locks the customers of subscriptions, and adds what was paid for; those whose customer somebody else holds are left
/// out: they are being reckoned, which would write over what we do.
async fn with_customers(
    connection: &mut PgConnection,
    canceled: Vec<Canceled>,
) -> Result<Vec<Canceled>, sqlx::Error> {
    if canceled.is_empty() {
        return Ok(canceled);
    }
    let accounts = column!(canceled, it => it.id.account.as_str());
    let ids = column!(canceled, it => it.id.id.as_str());
    let locked: Vec<i64> = sqlx::query_scalar(
        "SELECT wanted.position FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (account, id, position)
         JOIN subscriptions s USING (account, id)
         JOIN customer_users c ON (c.account, c.customer_id) = (s.account, s.customer_id)
         ORDER BY c.account, c.customer_id
         FOR UPDATE OF c SKIP LOCKED",
    )
    .bind(&accounts)
    .bind(&ids)
    .fetch_all(&mut *connection)
    .await?;
    let rows = sqlx::query(
        "SELECT wanted.position,
                (SELECT extract(epoch FROM max(l.period_end))::bigint FROM invoices i
                 JOIN invoice_lines l ON (l.account, l.invoice_id) = (i.account, i.id)
                 WHERE (i.account, i.subscription_id) = (wanted.account, wanted.id) AND i.status = 'paid')
         FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (account, id, position)
         WHERE position = ANY ($3) OR NOT EXISTS (
             SELECT FROM subscriptions s
             JOIN customer_users c ON (c.account, c.customer_id) = (s.account, s.customer_id)
             WHERE (s.account, s.id) = (wanted.account, wanted.id))",
    )
    .bind(&accounts)
    .bind(&ids)
    .bind(&locked)
    .fetch_all(connection)
    .await?;
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let position: i64 = row.try_get(0)?;
        let index = usize::try_from(position - 1).unwrap_or(usize::MAX);
        if let Some(it) = canceled.get(index) {
            let paid_through = row.try_get(1)?;
            kept.push(Canceled {
                paid_through,
                ..it.clone()
            });
        }
    }
    Ok(kept)
}
