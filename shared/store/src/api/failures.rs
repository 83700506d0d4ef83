//! Payments that failed, and what was not paid since.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::ActingTx;
use crate::StoreError;

/// Which failures.
#[derive(Debug, Clone, Copy)]
pub struct FailureFilter<'a> {
    /// From then on, unix seconds.
    pub since: i64,
    /// Before then, unix seconds.
    pub until: i64,
    /// Only this user's.
    pub user: Option<&'a str>,
    /// Only with this code, Stripe's or the bank's.
    pub code: Option<&'a str>,
    /// From after this one on: when it was told of, and its id.
    pub after: Option<(i64, &'a str)>,
}

/// A payment that failed, as it stands. Amounts in minor units, times in unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The payment's id, or the invoice's where no payment was told of.
    pub id: String,
    /// When Stripe told of it last.
    pub told_at: i64,
    /// The payment.
    pub payment_id: Option<String>,
    /// What it was to pay.
    pub invoice_id: Option<String>,
    /// Whose it is, when anything says so.
    pub user: Option<String>,
    /// Who was to pay.
    pub customer_id: Option<String>,
    /// How much.
    pub amount: Option<i64>,
    /// Of what.
    pub currency: Option<String>,
    /// Stripe's code.
    pub code: Option<String>,
    /// The bank's.
    pub decline_code: Option<String>,
    /// Stripe's status of the payment, or of the invoice where no payment was told of.
    pub status: Option<String>,
    /// How often the invoice was tried.
    pub attempt_count: Option<i64>,
    /// When it is tried again.
    pub next_attempt_at: Option<i64>,
}

/// Both kinds by an index of what failed, newest first, a page of each; the invoice of a payment for the page alone. Since
/// 2025-03-31.basil Stripe tells of the link between the two when the payment is made: until then a payment is taken to be
/// for the open invoice of its customer over the same amount.
const FAILURES: &str = "
    WITH customer AS MATERIALIZED (
        SELECT customer_id AS id FROM customer_users WHERE (account, user_id) = ($1, $4)
    ), payment AS (
        SELECT p.id, p.event_created AS at, p.id AS payment_id, NULL::text AS invoice_id, p.customer_id,
               nullif(p.metadata ->> 'user_id', '') AS user_id, p.amount, p.currency, p.error_code AS code,
               p.error_decline_code AS decline_code, p.status
        FROM payment_intents p
        WHERE p.account = $1 AND p.error_code IS NOT NULL
          AND p.event_created >= to_timestamp($2) AND p.event_created < to_timestamp($3)
          AND ($4::text IS NULL OR p.metadata ->> 'user_id' = $4 OR p.customer_id = ANY (ARRAY(SELECT id FROM customer)))
          AND ($5::text IS NULL OR p.error_code = $5 OR p.error_decline_code = $5)
          AND ($6::bigint IS NULL OR (p.event_created, p.id) < (to_timestamp($6), $7))
        ORDER BY p.event_created DESC, p.id DESC LIMIT $8
    ), invoice AS (
        SELECT i.id, i.event_created AS at, NULL::text, i.id AS invoice_id, i.customer_id, i.user_id,
               i.amount_remaining, i.currency, NULL::text, NULL::text, i.status
        FROM invoices i
        WHERE i.account = $1 AND i.status = 'open' AND i.attempt_count > 0 AND $5::text IS NULL
          AND i.event_created >= to_timestamp($2) AND i.event_created < to_timestamp($3)
          AND ($4::text IS NULL OR i.user_id = $4 OR i.customer_id = ANY (ARRAY(SELECT id FROM customer)))
          AND ($6::bigint IS NULL OR (i.event_created, i.id) < (to_timestamp($6), $7))
          AND NOT EXISTS (
              SELECT FROM invoice_payments l JOIN payment_intents p ON (p.account, p.id) = (l.account, l.payment_intent_id)
              WHERE (l.account, l.invoice_id) = (i.account, i.id) AND p.error_code IS NOT NULL
              UNION ALL SELECT FROM payment_intents p
              WHERE (p.account, p.id) = (i.account, i.payment_intent_id) AND p.error_code IS NOT NULL
              UNION ALL SELECT FROM payment_intents p
              WHERE (p.account, p.invoice_id) = (i.account, i.id) AND p.error_code IS NOT NULL
              UNION ALL SELECT FROM payment_intents p
              WHERE (p.account, p.customer_id) = (i.account, i.customer_id) AND p.error_code IS NOT NULL
                AND (p.amount, p.currency) = (i.amount_remaining, i.currency))
        ORDER BY i.event_created DESC, i.id DESC LIMIT $8
    ), page AS MATERIALIZED (
        SELECT * FROM payment UNION ALL SELECT * FROM invoice ORDER BY at DESC, id DESC LIMIT $8
    )
    SELECT page.id, extract(epoch FROM page.at)::bigint, page.payment_id, i.id, coalesce(page.user_id, m.user_id),
           page.customer_id, page.amount, page.currency, page.code, page.decline_code, page.status, i.attempt_count,
           extract(epoch FROM i.next_payment_attempt)::bigint
    FROM page
    LEFT JOIN customer_users m ON (m.account, m.customer_id) = ($1, page.customer_id)
    LEFT JOIN LATERAL (
        SELECT id FROM (
            SELECT 1, page.invoice_id
            UNION SELECT 1, l.invoice_id FROM invoice_payments l
                WHERE (l.account, l.payment_intent_id) = ($1, page.payment_id)
            UNION SELECT 1, v.id FROM invoices v WHERE (v.account, v.payment_intent_id) = ($1, page.payment_id)
            UNION SELECT 1, p.invoice_id FROM payment_intents p WHERE (p.account, p.id) = ($1, page.payment_id)
            UNION SELECT 2, v.id FROM invoices v WHERE (v.account, v.customer_id) = ($1, page.customer_id)
                AND (v.amount_remaining, v.currency) = (page.amount, page.currency)
                AND v.status = 'open' AND v.attempt_count > 0
        ) AS named (rank, id) WHERE id IS NOT NULL ORDER BY rank, id DESC LIMIT 1) AS paid ON true
    LEFT JOIN invoices i ON (i.account, i.id) = ($1, paid.id)
    ORDER BY page.at DESC, page.id DESC";

impl ActingTx {
    /// Payments that failed and have not been made since, newest first, at most `limit`; and open invoices that were
    /// tried, of whose payment nobody told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn failures(
        &mut self,
        filter: &FailureFilter<'_>,
        limit: u32,
    ) -> Result<Vec<Failure>, StoreError> {
        let account = self.actor.account.clone();
        let rows = sqlx::query(FAILURES)
            .bind(account)
            .bind(filter.since)
            .bind(filter.until)
            .bind(filter.user)
            .bind(filter.code)
            .bind(filter.after.map(|(told_at, _)| told_at))
            .bind(filter.after.map(|(_, id)| id))
            .bind(i64::from(limit))
            .fetch_all(self.connection())
            .await?;
        Ok(rows.iter().map(failure).collect::<Result<_, _>>()?)
    }
}

fn failure(row: &PgRow) -> Result<Failure, sqlx::Error> {
    Ok(Failure {
        id: row.try_get(0)?,
        told_at: row.try_get(1)?,
        payment_id: row.try_get(2)?,
        invoice_id: row.try_get(3)?,
        user: row.try_get(4)?,
        customer_id: row.try_get(5)?,
        amount: row.try_get(6)?,
        currency: row.try_get(7)?,
        code: row.try_get(8)?,
        decline_code: row.try_get(9)?,
        status: row.try_get(10)?,
        attempt_count: row.try_get(11)?,
        next_attempt_at: row.try_get(12)?,
    })
}
