//! A user's invoices, and the money that moved, the newest first.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::ActingTx;
use crate::StoreError;

/// An invoice. Amounts in minor units, times in unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns are documented in migrations/0003_projections.sql"
)]
pub struct UserInvoice {
    pub id: String,
    pub number: Option<String>,
    pub status: Option<String>,
    pub billing_reason: Option<String>,
    pub subscription_id: Option<String>,
    pub currency: Option<String>,
    pub total: Option<i64>,
    pub amount_due: Option<i64>,
    pub amount_paid: Option<i64>,
    pub amount_remaining: Option<i64>,
    pub hosted_invoice_url: Option<String>,
    pub created: i64,
    pub period_start: Option<i64>,
    pub period_end: Option<i64>,
    pub due_date: Option<i64>,
    pub next_payment_attempt: Option<i64>,
}

/// Money that moved, or was to. Amounts in minor units, times in unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTransaction {
    /// Stripe's id of it.
    pub id: String,
    /// `payment`, `refund` or `dispute`.
    pub kind: String,
    /// The payment it is about: itself, or what is given back or disputed.
    pub payment_id: Option<String>,
    /// Stripe's status.
    pub status: Option<String>,
    /// Never below zero; the kind says which way it goes.
    pub amount: i64,
    /// Of what.
    pub currency: Option<String>,
    /// Why it failed, was given back, or is disputed: a word of Stripe's.
    pub reason: Option<String>,
    /// When it began.
    pub created: i64,
    /// What was paid: `invoice`, `checkout.session` or `payment_intent`.
    pub source_kind: Option<String>,
    /// Its id.
    pub source_id: Option<String>,
    /// The plan or package, by its name in the catalogue.
    pub offer: Option<String>,
}

/// What one user has been billed: few enough to be sorted.
const INVOICES: &str = "
    SELECT i.id, i.number, i.status, i.billing_reason, i.subscription_id, i.currency, i.total, i.amount_due, i.amount_paid,
           i.amount_remaining, i.hosted_invoice_url, extract(epoch FROM at)::bigint,
           extract(epoch FROM i.period_start)::bigint, extract(epoch FROM i.period_end)::bigint,
           extract(epoch FROM i.due_date)::bigint, extract(epoch FROM i.next_payment_attempt)::bigint
    FROM invoices i CROSS JOIN LATERAL (SELECT coalesce(i.created, i.event_created) AS at) AS moment
    WHERE i.account = $1 AND NOT i.deleted AND i.status <> 'draft'
      AND i.customer_id = ANY (ARRAY(SELECT customer_id FROM customer_users WHERE (account, user_id) = ($1, $2)))
      AND ($3::bigint IS NULL OR (at, i.id) < (to_timestamp($3), $4))
    ORDER BY at DESC, i.id DESC LIMIT $5";

/// Payments that were tried, and what came back of them; of charges only those without a payment intent. What was paid
/// for is looked up for the page alone.
const TRANSACTIONS: &str = "
    WITH customer AS MATERIALIZED (
        SELECT customer_id AS id FROM customer_users WHERE (account, user_id) = ($1, $2)
    ), payment AS MATERIALIZED (
        SELECT p.id FROM payment_intents p
        WHERE p.account = $1 AND p.customer_id = ANY (ARRAY(SELECT id FROM customer))
        UNION SELECT s.payment_intent_id FROM checkout_sessions s
        WHERE (s.account, s.user_id) = ($1, $2) AND s.payment_intent_id IS NOT NULL
    ), charge AS MATERIALIZED (
        SELECT c.id, c.payment_intent_id FROM charges c
        WHERE c.account = $1 AND c.payment_intent_id IS NULL AND c.customer_id = ANY (ARRAY(SELECT id FROM customer))
        UNION SELECT c.id, c.payment_intent_id FROM charges c
        WHERE c.account = $1 AND c.payment_intent_id = ANY (ARRAY(SELECT id FROM payment))
    ), given_back AS (
        SELECT id FROM refunds WHERE account = $1 AND payment_intent_id = ANY (ARRAY(SELECT id FROM payment))
        UNION SELECT id FROM refunds WHERE account = $1 AND charge_id = ANY (ARRAY(SELECT id FROM charge))
    ), disputed AS (
        SELECT id FROM disputes WHERE account = $1 AND payment_intent_id = ANY (ARRAY(SELECT id FROM payment))
        UNION SELECT id FROM disputes WHERE account = $1 AND charge_id = ANY (ARRAY(SELECT id FROM charge))
    ), line AS (
        SELECT p.id, 'payment' AS kind, p.id AS payment_id, p.status,
               CASE p.status WHEN 'succeeded' THEN p.amount_received ELSE p.amount END AS amount, p.currency,
               coalesce(p.error_decline_code, p.error_code) AS reason, coalesce(p.created, p.event_created) AS at
        FROM payment_intents p
        WHERE p.account = $1 AND p.id = ANY (ARRAY(SELECT id FROM payment))
          AND (p.status IN ('succeeded', 'processing', 'requires_capture')
               OR p.error_code IS NOT NULL OR p.latest_charge_id IS NOT NULL)
        UNION ALL
        SELECT c.id, 'payment', c.id, c.status, c.amount, c.currency, c.failure_code, coalesce(c.created, c.event_created)
        FROM charges c
        WHERE c.account = $1 AND c.payment_intent_id IS NULL AND c.id = ANY (ARRAY(SELECT id FROM charge))
        UNION ALL
        SELECT r.id, 'refund', coalesce(r.payment_intent_id, c.payment_intent_id, r.charge_id), r.status, r.amount,
               r.currency, coalesce(r.failure_reason, r.reason), coalesce(r.created, r.event_created)
        FROM refunds r LEFT JOIN charge c ON c.id = r.charge_id
        WHERE r.account = $1 AND r.id = ANY (ARRAY(SELECT id FROM given_back))
        UNION ALL
        SELECT d.id, 'dispute', coalesce(d.payment_intent_id, c.payment_intent_id, d.charge_id), d.status, d.amount,
               d.currency, d.reason, coalesce(d.created, d.event_created)
        FROM disputes d LEFT JOIN charge c ON c.id = d.charge_id
        WHERE d.account = $1 AND d.id = ANY (ARRAY(SELECT id FROM disputed))
    ), page AS MATERIALIZED (
        SELECT * FROM line WHERE $3::bigint IS NULL OR (at, id) < (to_timestamp($3), $4)
        ORDER BY at DESC, id DESC LIMIT $5
    )
    SELECT page.id, page.kind, page.payment_id, page.status, coalesce(page.amount, 0), page.currency, page.reason,
           extract(epoch FROM page.at)::bigint, source.kind, source.id,
           (SELECT o.name FROM catalog_offers o WHERE (o.account, o.price_id) = ($1, source.price_id)
            ORDER BY o.active DESC, o.name LIMIT 1)
    FROM page LEFT JOIN LATERAL (
        SELECT 1 AS rank, 'invoice' AS kind, i.id,
               (SELECT l.price_id FROM invoice_lines l WHERE (l.account, l.invoice_id) = (i.account, i.id)
                ORDER BY l.amount DESC NULLS LAST, l.position LIMIT 1) AS price_id
        FROM (SELECT invoice_id AS id FROM invoice_payments WHERE (account, payment_intent_id) = ($1, page.payment_id)
              UNION SELECT invoice_id FROM invoice_payments WHERE (account, charge_id) = ($1, page.payment_id)
              UNION SELECT id FROM invoices WHERE (account, payment_intent_id) = ($1, page.payment_id)
              UNION SELECT id FROM invoices WHERE (account, charge_id) = ($1, page.payment_id)
              UNION SELECT invoice_id FROM payment_intents WHERE (account, id) = ($1, page.payment_id)
        ) AS paid JOIN invoices i ON (i.account, i.id) = ($1, paid.id)
        UNION ALL
        SELECT 2, 'checkout.session', s.id, s.metadata ->> 'price_id' FROM checkout_sessions s
        WHERE (s.account, s.payment_intent_id) = ($1, page.payment_id)
        UNION ALL
        SELECT 3, 'payment_intent', p.id, p.metadata ->> 'price_id' FROM payment_intents p
        WHERE (p.account, p.id) = ($1, page.payment_id)
        ORDER BY rank, id LIMIT 1) AS source ON true
    ORDER BY page.at DESC, page.id DESC";

impl ActingTx {
    /// A user's invoices that were issued, the newest first, at most `limit`, from after `(created, id)` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn invoices_of(
        &mut self,
        user: &str,
        after: Option<(i64, &str)>,
        limit: u32,
    ) -> Result<Vec<UserInvoice>, StoreError> {
        let rows = self.listed(INVOICES, user, after, limit).await?;
        Ok(rows.iter().map(invoice).collect::<Result<_, _>>()?)
    }

    /// A user's payments, refunds and disputes, the newest first, at most `limit`, from after `(created, id)` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn transactions_of(
        &mut self,
        user: &str,
        after: Option<(i64, &str)>,
        limit: u32,
    ) -> Result<Vec<UserTransaction>, StoreError> {
        let rows = self.listed(TRANSACTIONS, user, after, limit).await?;
        Ok(rows.iter().map(transaction).collect::<Result<_, _>>()?)
    }

    async fn listed(
        &mut self,
        sql: &'static str,
        user: &str,
        after: Option<(i64, &str)>,
        limit: u32,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let account = self.actor.account.clone();
        sqlx::query(sql)
            .bind(account)
            .bind(user)
            .bind(after.map(|(created, _)| created))
            .bind(after.map(|(_, id)| id))
            .bind(i64::from(limit))
            .fetch_all(self.connection())
            .await
    }
}

fn invoice(row: &PgRow) -> Result<UserInvoice, sqlx::Error> {
    Ok(UserInvoice {
        id: row.try_get(0)?,
        number: row.try_get(1)?,
        status: row.try_get(2)?,
        billing_reason: row.try_get(3)?,
        subscription_id: row.try_get(4)?,
        currency: row.try_get(5)?,
        total: row.try_get(6)?,
        amount_due: row.try_get(7)?,
        amount_paid: row.try_get(8)?,
        amount_remaining: row.try_get(9)?,
        hosted_invoice_url: row.try_get(10)?,
        created: row.try_get(11)?,
        period_start: row.try_get(12)?,
        period_end: row.try_get(13)?,
        due_date: row.try_get(14)?,
        next_payment_attempt: row.try_get(15)?,
    })
}

fn transaction(row: &PgRow) -> Result<UserTransaction, sqlx::Error> {
    Ok(UserTransaction {
        id: row.try_get(0)?,
        kind: row.try_get(1)?,
        payment_id: row.try_get(2)?,
        status: row.try_get(3)?,
        amount: row.try_get(4)?,
        currency: row.try_get(5)?,
        reason: row.try_get(6)?,
        created: row.try_get(7)?,
        source_kind: row.try_get(8)?,
        source_id: row.try_get(9)?,
        offer: row.try_get(10)?,
    })
}
