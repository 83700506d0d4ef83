//! What Postgres holds now, in the form in which a scenario says what is expected: one JSON object per word.

use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, Row};

use crate::{Store, StoreError};

/// One query per word; each row is an id and a JSON object. Accounts that are not configured change nothing, so
/// only the platform's own rows and those of `$1` are there to be shown.
const WORDS: [(&str, &str); 10] = [
    (
        "users",
        "SELECT u.id, jsonb_build_object('state', u.state, 'entitled', u.entitled, 'email', u.email,
             'credits', coalesce((SELECT balance FROM ledger_accounts l
                 WHERE (l.account, l.owner_kind, l.owner_id) = (u.account, 'user', u.id)), 0))
         FROM users u WHERE u.account = $1 AND ($2 IS NULL OR u.id = $2)",
    ),
    (
        "subs",
        "SELECT s.id, jsonb_build_object('user', m.user_id, 'stripe_status', s.status, 'state', m.state,
             'price', (SELECT price_id FROM subscription_items i
                 WHERE (i.account, i.subscription_id) = (s.account, s.id) ORDER BY position LIMIT 1),
             'current_period_start', extract(epoch FROM s.current_period_start)::bigint,
             'current_period_end', extract(epoch FROM s.current_period_end)::bigint,
             'cancel_at_period_end', s.cancel_at_period_end, 'cancel_at', extract(epoch FROM s.cancel_at)::bigint,
             'canceled_at', extract(epoch FROM s.canceled_at)::bigint,
             'ended_at', extract(epoch FROM s.ended_at)::bigint, 'trial_end', extract(epoch FROM s.trial_end)::bigint,
             'latest_invoice', s.latest_invoice_id)
         FROM subscriptions s
         LEFT JOIN subscription_states m ON (m.account, m.subscription_id) = (s.account, s.id)
         WHERE s.account = $1 AND ($2 IS NULL OR m.user_id = $2)",
    ),
    (
        "invoices",
        "SELECT id, jsonb_build_object('status', status, 'billing_reason', billing_reason, 'total', total,
             'amount_due', amount_due, 'amount_paid', amount_paid, 'currency', currency,
             'subscription', subscription_id, 'attempt_count', attempt_count)
         FROM invoices WHERE account = $1 AND NOT deleted AND ($2 IS NULL OR id IN (SELECT id FROM own_invoices))",
    ),
    (
        "payments",
        "SELECT id, jsonb_build_object('status', status, 'amount', amount, 'amount_received', amount_received,
             'currency', currency, 'latest_charge', latest_charge_id, 'invoice', coalesce(invoice_id,
                 (SELECT invoice_id FROM invoice_payments l
                  WHERE (l.account, l.payment_intent_id) = (p.account, p.id) ORDER BY id LIMIT 1),
                 (SELECT id FROM invoices i
                  WHERE (i.account, i.payment_intent_id) = (p.account, p.id) ORDER BY id LIMIT 1)))
         FROM payment_intents p WHERE account = $1 AND ($2 IS NULL OR id IN (SELECT id FROM own_payments))",
    ),
    (
        "charges",
        "SELECT id, jsonb_build_object('status', status, 'amount', amount, 'amount_refunded', amount_refunded,
             'refunded', refunded) FROM charges WHERE account = $1 AND ($2 IS NULL OR id IN (SELECT id FROM own_charges))",
    ),
    (
        "refunds",
        "SELECT id, jsonb_build_object('status', status, 'amount', amount, 'payment_intent', payment_intent_id,
             'charge', charge_id) FROM refunds WHERE account = $1
             AND ($2 IS NULL OR charge_id IN (SELECT id FROM own_charges)
                  OR payment_intent_id IN (SELECT id FROM own_payments))",
    ),
    (
        "disputes",
        "SELECT id, jsonb_build_object('status', status, 'amount', amount, 'charge', charge_id)
         FROM disputes WHERE account = $1
             AND ($2 IS NULL OR charge_id IN (SELECT id FROM own_charges)
                  OR payment_intent_id IN (SELECT id FROM own_payments))",
    ),
    (
        "checkout_sessions",
        "SELECT id, jsonb_build_object('status', status, 'payment_status', payment_status, 'mode', mode)
         FROM checkout_sessions WHERE account = $1 AND ($2 IS NULL OR id IN (SELECT id FROM own_sessions))",
    ),
    ("grants", "SELECT key, to_jsonb(sum(credits)) FROM moved WHERE kind IN ('grant', 'topup', 'free') GROUP BY key HAVING sum(credits) <> 0"),
    ("debits", "SELECT key, to_jsonb(sum(credits)) FROM moved WHERE kind IN ('refund', 'dispute') GROUP BY key HAVING sum(credits) <> 0"),
];

/// What users and teams have by each business key, and what belongs to user `$2`: by their customers, or because it
/// names them, or because it was paid for something that does. What a word does not use costs nothing.
const COMMON: &str = "WITH asked AS (SELECT $1::text, $2::text), moved AS (
    SELECT e.key, e.kind, e.amount AS credits FROM ledger_entries e
    JOIN ledger_accounts a ON a.id = e.ledger_account_id AND a.owner_kind <> 'platform'
         AND ($2 IS NULL OR (a.owner_kind, a.owner_id) = ('user', $2))
    WHERE e.account = $1),
own_customers AS (SELECT customer_id AS id FROM customer_users WHERE (account, user_id) = ($1, $2)),
own_sessions AS (
    SELECT id, payment_intent_id, invoice_id FROM checkout_sessions
    WHERE account = $1 AND (user_id = $2 OR customer_id IN (SELECT id FROM own_customers))),
own_invoices AS (
    SELECT id, payment_intent_id, charge_id FROM invoices
    WHERE account = $1 AND (user_id = $2 OR customer_id IN (SELECT id FROM own_customers)
        OR id IN (SELECT invoice_id FROM own_sessions)
        OR subscription_id IN (SELECT subscription_id FROM subscription_states WHERE (account, user_id) = ($1, $2)))),
own_payments AS (
    SELECT id FROM payment_intents
    WHERE account = $1 AND (metadata ->> 'user_id' = $2 OR customer_id IN (SELECT id FROM own_customers)
        OR id IN (SELECT payment_intent_id FROM own_sessions UNION ALL SELECT payment_intent_id FROM own_invoices
                  UNION ALL SELECT payment_intent_id FROM invoice_payments
                            WHERE account = $1 AND invoice_id IN (SELECT id FROM own_invoices)))),
own_charges AS (
    SELECT id FROM charges
    WHERE account = $1 AND (customer_id IN (SELECT id FROM own_customers)
        OR payment_intent_id IN (SELECT id FROM own_payments)
        OR id IN (SELECT charge_id FROM own_invoices)))";

/// Deliveries and events, and how many of them are about nothing that is shown here: ignored ones, the catalogue's,
/// entitlements.
const EVENTS: &str = "
    SELECT count(*) + (SELECT count(*) FROM redeliveries), count(*),
        count(*) FILTER (WHERE status <> 'applied'
             OR object_type IN ('product', 'price', 'entitlements.active_entitlement_summary'))
    FROM events WHERE rendering <> 'fetched'";

/// What is still to be done in Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Marks to be reckoned; those set aside do not count.
    pub marks: u64,
    /// Objects to be asked of Stripe now; later attempts do not count.
    pub refetches_due: u64,
}

impl Store {
    /// Everything of one account (empty: the platform's own), word by word, from one moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn state(&self, account: &str) -> Result<Value, StoreError> {
        self.state_of(account, None).await
    }

    /// The same, but only what belongs to `user`, when there is one. Events are counted all the same.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn state_of(&self, account: &str, user: Option<&str>) -> Result<Value, StoreError> {
        let mut transaction = self.pool().begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(&mut *transaction)
            .await?;
        let mut state = Map::new();
        for (word, sql) in WORDS {
            let sql = format!("{COMMON} SELECT id, object::text FROM ({sql}) AS q (id, object) ORDER BY id");
            let rows = sqlx::query(AssertSqlSafe(sql))
                .bind(account)
                .bind(user)
                .fetch_all(&mut *transaction)
                .await?;
            let mut objects = Map::new();
            for row in rows {
                let object: String = row.try_get(1)?;
                let object = serde_json::from_str(&object).unwrap_or(Value::Null);
                objects.insert(row.try_get(0)?, object);
            }
            state.insert(word.to_owned(), Value::Object(objects));
        }
        let row = sqlx::query(EVENTS).fetch_one(&mut *transaction).await?;
        let (deliveries, distinct, not_applied): (i64, i64, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let events = json!({"deliveries": deliveries, "distinct": distinct, "not_applied": not_applied});
        state.insert("events".to_owned(), events);
        Ok(Value::Object(state))
    }

    /// What is still to be done, from one moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waiting(&self) -> Result<Waiting, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM marks WHERE trouble IS NULL),
                    (SELECT count(*) FROM refetches WHERE given_up_at IS NULL AND next_attempt_at <= clock_timestamp())",
        )
        .fetch_one(self.pool())
        .await;
        let row = match row {
            Ok(row) => row,
            Err(error) => return Err(self.explain(error).await),
        };
        let (marks, refetches_due): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Waiting {
            marks: u64::try_from(marks).unwrap_or(0),
            refetches_due: u64::try_from(refetches_due).unwrap_or(0),
        })
    }
}
