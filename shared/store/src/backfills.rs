//! Where a backfill is in Stripe's lists, so that it goes on there after it was interrupted.

use domain::Kind;
use serde_json::json;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::api::{AuditRow, Operator};
use crate::{Store, StoreError};

/// A backfill that is not finished. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// The options, as they were given.
    pub asked: String,
    /// Objects made then or later; `None`: all.
    pub since: Option<i64>,
    /// Objects made then or before.
    pub until: i64,
}

/// How far a list is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListDone {
    /// The last object of the last page.
    pub after: Option<String>,
    /// Objects that Stripe showed.
    pub shown: i64,
    /// Of these, those that were not held.
    pub added: i64,
    /// Of these, those that were held otherwise.
    pub changed: i64,
    /// Of these, those left out because they cannot be read.
    pub unreadable: i64,
    /// Whether nothing is left of it.
    pub is_finished: bool,
}

/// Payments whose invoice or checkout is known, or that say what they are for themselves.
const LINKED: &str = "
    SELECT w.id FROM unnest($2::text[]) AS w (id)
    WHERE EXISTS (SELECT FROM invoice_payments l WHERE (l.account, l.payment_intent_id) = ($1, w.id))
       OR EXISTS (SELECT FROM checkout_sessions s WHERE (s.account, s.payment_intent_id) = ($1, w.id))
       OR EXISTS (SELECT FROM invoices i WHERE (i.account, i.payment_intent_id) = ($1, w.id))
       OR EXISTS (SELECT FROM payment_intents p WHERE (p.account, p.id) = ($1, w.id)
                  AND (p.invoice_id IS NOT NULL OR p.metadata ->> 'credits_source' = 'payment_intent'))";

impl Store {
    /// The backfill of an account that was interrupted, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_backfill(&self, account: &str) -> Result<Option<Backfill>, StoreError> {
        let row = sqlx::query(
            "SELECT asked, extract(epoch FROM since)::bigint, extract(epoch FROM until)::bigint FROM backfills
             WHERE account = $1 AND finished_at IS NULL",
        );
        let row = row.bind(account).fetch_optional(self.pool()).await?;
        let backfill = |row: PgRow| {
            Ok::<_, sqlx::Error>(Backfill {
                asked: row.try_get(0)?,
                since: row.try_get(1)?,
                until: row.try_get(2)?,
            })
        };
        Ok(row.map(backfill).transpose()?)
    }

    /// Begins a backfill in place of any earlier one, and says so in the audit log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_backfill(&self, operator: &Operator, new: &Backfill) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM backfill_lists WHERE account = $1")
            .bind(&operator.account)
            .execute(&mut *tx.0)
            .await?;
        sqlx::query(
            "INSERT INTO backfills (account, asked, since, until, made_by)
             VALUES ($1, $2, to_timestamp($3), to_timestamp($4), $5)
             ON CONFLICT (account) DO UPDATE SET asked = EXCLUDED.asked, since = EXCLUDED.since, until = EXCLUDED.until,
                 made_by = EXCLUDED.made_by, began_at = clock_timestamp(), finished_at = NULL",
        )
        .bind(&operator.account)
        .bind(&new.asked)
        .bind(new.since)
        .bind(new.until)
        .bind(&operator.login)
        .execute(&mut *tx.0)
        .await?;
        let detail = json!({"asked": new.asked});
        let deed = AuditRow {
            action: "backfill",
            user: None,
            subject: None,
            reason: "tollgate backfill",
            detail: &detail,
        };
        tx.audit_as(operator, deed).await?;
        tx.commit().await
    }

    /// Nothing is left to do.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_backfill(&self, account: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE backfills SET finished_at = clock_timestamp() WHERE account = $1")
            .bind(account)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// How far a list of the account's backfill is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn backfill_list(&self, account: &str, kind: Kind) -> Result<ListDone, StoreError> {
        let row = sqlx::query(
            "SELECT after_id, shown, added, changed, unreadable, finished_at IS NOT NULL FROM backfill_lists
             WHERE (account, kind) = ($1, $2)",
        );
        let row = row.bind(account).bind(kind.as_str());
        let Some(row) = row.fetch_optional(self.pool()).await? else {
            return Ok(ListDone::default());
        };
        Ok(ListDone {
            after: row.try_get(0)?,
            shown: row.try_get(1)?,
            added: row.try_get(2)?,
            changed: row.try_get(3)?,
            unreadable: row.try_get(4)?,
            is_finished: row.try_get(5)?,
        })
    }

    /// Notes how far a list is, once all of its page has taken effect.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_backfill_list(
        &self,
        account: &str,
        kind: Kind,
        done: &ListDone,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO backfill_lists (account, kind, after_id, shown, added, changed, unreadable, finished_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $8 THEN clock_timestamp() END)
             ON CONFLICT (account, kind) DO UPDATE SET after_id = EXCLUDED.after_id, shown = EXCLUDED.shown,
                 added = EXCLUDED.added, changed = EXCLUDED.changed, unreadable = EXCLUDED.unreadable,
                 finished_at = EXCLUDED.finished_at",
        )
        .bind(account)
        .bind(kind.as_str())
        .bind(&done.after)
        .bind(done.shown)
        .bind(done.added)
        .bind(done.changed)
        .bind(done.unreadable)
        .bind(done.is_finished)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Of these payment intents, those of which it is known what they paid.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn linked_payments(&self, account: &str, ids: &[&str]) -> Result<Vec<String>, StoreError> {
        let linked = sqlx::query_scalar(LINKED).bind(account).bind(ids);
        Ok(linked.fetch_all(self.pool()).await?)
    }
}
