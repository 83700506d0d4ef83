//! Objects to ask Stripe for: one row each, however many reasons there are.

use domain::{Kind, ObjectKey, RefetchReason};
use sqlx::{PgConnection, Row};

use crate::upsert::column;
use crate::{Answered, SourceKey, Store, StoreError};

/// An object to ask for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Which. For an invoice payment the id may be a payment intent's: all of that payment.
    pub key: ObjectKey,
    /// Live or test data.
    pub livemode: bool,
    /// Why, see [`RefetchReason`].
    pub reason: &'static str,
    /// How long to wait first, seconds.
    pub patience_seconds: i64,
}

impl Wanted {
    /// Asks for an object, for a reason.
    #[must_use]
    pub fn new(key: ObjectKey, livemode: bool, reason: RefetchReason) -> Self {
        Self {
            key,
            livemode,
            reason: reason.as_str(),
            patience_seconds: reason.patience_seconds(),
        }
    }
}

/// A request whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub key: ObjectKey,
    /// Live or test data.
    pub livemode: bool,
    /// Why.
    pub reason: String,
    /// How often it was asked for; more by the time of the answer, and the answer is too old.
    pub requests: i64,
    /// Attempts so far, this one included.
    pub attempts: u32,
}

/// Notes what to ask for. What a person waits for stays so, whoever else asks: it is not needless when it comes by itself.
///
/// Without an API key (`armed` false) the rows wait until a worker has one.
pub(crate) async fn request(
    connection: &mut PgConnection,
    wanted: &[Wanted],
    armed: bool,
) -> Result<(), sqlx::Error> {
    let mut wanted: Vec<&Wanted> = wanted.iter().collect();
    // In key order, and once each: several writers wait for each other instead of deadlocking.
    wanted.sort();
    wanted.dedup_by(|a, b| a.key == b.key);
    if wanted.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO refetches AS known (account, kind, object_id, livemode, reason, next_attempt_at)
         SELECT account, kind, id, livemode, reason,
                CASE WHEN $7 THEN clock_timestamp() + patience * interval '1 second' ELSE 'infinity' END
         FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::bigint[])
              AS wanted (account, kind, id, livemode, reason, patience)
         ON CONFLICT (account, kind, object_id) DO UPDATE
         SET requests = known.requests + 1,
             reason = CASE known.reason WHEN 'resync' THEN known.reason ELSE EXCLUDED.reason END,
             attempts = CASE WHEN known.given_up_at IS NULL THEN known.attempts ELSE 0 END, given_up_at = NULL,
             next_attempt_at = CASE WHEN known.given_up_at IS NULL
                 THEN least(known.next_attempt_at, EXCLUDED.next_attempt_at) ELSE EXCLUDED.next_attempt_at END",
    )
    .bind(column!(wanted, it => it.key.account.as_str()))
    .bind(column!(wanted, it => it.key.kind.as_str()))
    .bind(column!(wanted, it => it.key.id.as_str()))
    .bind(column!(wanted, it => it.livemode))
    .bind(column!(wanted, it => it.reason))
    .bind(column!(wanted, it => it.patience_seconds))
    .bind(armed)
    .execute(connection)
    .await?;
    Ok(())
}

/// Parents of sources without an owner that never came, with the livemode of the child.
const OWNERS: &str = "
    SELECT i.account, 'customer', i.customer_id, i.livemode FROM unnest($1::text[], $2::text[], $3::text[]) AS s (account, kind, id)
    JOIN invoices i ON s.kind = 'invoice' AND (i.account, i.id) = (s.account, s.id)
    UNION SELECT i.account, 'subscription', i.subscription_id, i.livemode FROM unnest($1::text[], $2::text[], $3::text[]) AS s (account, kind, id)
    JOIN invoices i ON s.kind = 'invoice' AND (i.account, i.id) = (s.account, s.id)
    UNION SELECT c.account, 'customer', c.customer_id, c.livemode FROM unnest($1::text[], $2::text[], $3::text[]) AS s (account, kind, id)
    JOIN checkout_sessions c ON s.kind = 'checkout.session' AND (c.account, c.id) = (s.account, s.id)
    UNION SELECT p.account, 'customer', p.customer_id, p.livemode FROM unnest($1::text[], $2::text[], $3::text[]) AS s (account, kind, id)
    JOIN payment_intents p ON s.kind = 'payment_intent' AND (p.account, p.id) = (s.account, s.id)";

/// Parents of refunds and disputes that never came: the charge, the payment intent, and, where neither a checkout
/// session nor an invoice is known to have been paid by it, the link to the invoice.
const REVERSED: &str = "
    WITH mark AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS mark (account, kind, id)),
    reversal AS (
        SELECT r.account, r.livemode, r.charge_id, r.payment_intent_id FROM mark
        JOIN refunds r ON mark.kind = 'refund' AND (r.account, r.id) = (mark.account, mark.id)
        UNION SELECT d.account, d.livemode, d.charge_id, d.payment_intent_id FROM mark
        JOIN disputes d ON mark.kind = 'dispute' AND (d.account, d.id) = (mark.account, mark.id)
        UNION SELECT c.account, c.livemode, c.id, c.payment_intent_id FROM mark
        JOIN charges c ON mark.kind = 'charge' AND (c.account, c.id) = (mark.account, mark.id) AND c.amount_refunded > 0),
    payment AS (
        SELECT r.account, r.livemode, coalesce(r.payment_intent_id, c.payment_intent_id) AS id FROM reversal r
        LEFT JOIN charges c ON (c.account, c.id) = (r.account, r.charge_id))
    SELECT account, 'charge', charge_id, livemode FROM reversal
    UNION SELECT account, 'payment_intent', id, livemode FROM payment
    UNION SELECT p.account, 'invoice_payment', p.id, p.livemode FROM payment p WHERE NOT EXISTS (
        SELECT FROM checkout_sessions s WHERE (s.account, s.payment_intent_id) = (p.account, p.id))
      AND NOT EXISTS (SELECT FROM invoices i WHERE (i.account, i.payment_intent_id) = (p.account, p.id))
      AND NOT EXISTS (SELECT FROM payment_intents i WHERE (i.account, i.id) = (p.account, p.id)
                      AND (i.invoice_id IS NOT NULL OR i.metadata ->> 'credits_source' = 'payment_intent'))";

/// Whether a wanted object is there by now.
pub(crate) const IS_THERE: &str = "
    EXISTS (SELECT FROM objects o WHERE (o.account, o.kind, o.id) = (w.account, w.kind, w.id))
    OR (w.kind = 'invoice_payment' AND EXISTS (
        SELECT FROM invoice_payments l WHERE (l.account, l.payment_intent_id) = (w.account, w.id)
        UNION ALL
        SELECT FROM checkout_sessions s WHERE (s.account, s.payment_intent_id) = (w.account, w.id)))";

/// What the parents named by `sql` are that nobody has seen.
async fn missing(
    connection: &mut PgConnection,
    sql: &str,
    keys: (Vec<&str>, Vec<&str>, Vec<&str>),
) -> Result<Vec<Wanted>, sqlx::Error> {
    if keys.0.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT * FROM ({sql}) AS w (account, kind, id, livemode) WHERE w.id IS NOT NULL AND NOT ({IS_THERE})"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(keys.0)
        .bind(keys.1)
        .bind(keys.2)
        .fetch_all(connection)
        .await?;
    let mut wanted = Vec::new();
    for row in rows {
        let kind: String = row.try_get(1)?;
        let Some(kind) = Kind::parse(&kind) else { continue };
        let key = ObjectKey {
            account: row.try_get(0)?,
            kind,
            id: row.try_get(2)?,
        };
        wanted.push(Wanted::new(key, row.try_get(3)?, RefetchReason::MissingParent));
    }
    Ok(wanted)
}

/// See [`crate::Tx::missing_owners`].
pub(crate) async fn missing_owners(
    connection: &mut PgConnection,
    sources: &[&SourceKey],
) -> Result<Vec<Wanted>, sqlx::Error> {
    let keys = (
        column!(sources, key => key.account.as_str()),
        column!(sources, key => key.kind.as_str()),
        column!(sources, key => key.id.as_str()),
    );
    missing(connection, OWNERS, keys).await
}

/// See [`crate::Tx::missing_payments`].
pub(crate) async fn missing_payments(
    connection: &mut PgConnection,
    marks: &[crate::Mark],
) -> Result<Vec<Wanted>, sqlx::Error> {
    let reversals: Vec<&crate::Mark> = marks
        .iter()
        .filter(|mark| matches!(mark.kind.as_str(), "refund" | "dispute" | "charge"))
        .collect();
    let keys = (
        column!(reversals, mark => mark.account.as_str()),
        column!(reversals, mark => mark.kind.as_str()),
        column!(reversals, mark => mark.id.as_str()),
    );
    missing(connection, REVERSED, keys).await
}

impl Store {
    /// Lets requests run that waited for an API key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn arm_refetches(&self) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE refetches SET next_attempt_at = clock_timestamp() WHERE next_attempt_at = 'infinity'",
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Claims requests whose time has come; they come back after `lease_seconds` unless they are ended. What came by
    /// itself meanwhile is dropped.
    ///
    /// Arrays, because Postgres makes each once; what follows `IN` it may look up anew for every row, past the limit.
    /// A row that changes just now has another `ctid` afterwards, and is found the next time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_refetches(&self, at_most: u32, lease_seconds: i64) -> Result<Vec<Due>, StoreError> {
        let needless = format!(
            "DELETE FROM refetches WHERE ctid = ANY(ARRAY(
                 SELECT w.row FROM (
                     SELECT ctid AS row, account, kind, object_id AS id FROM refetches
                     WHERE reason = 'missing_parent' AND given_up_at IS NULL AND next_attempt_at <= clock_timestamp()
                     ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED) AS w WHERE {IS_THERE}))"
        );
        sqlx::query(sqlx::AssertSqlSafe(needless))
            .bind(i64::from(at_most))
            .execute(self.pool())
            .await?;
        let rows = sqlx::query(
            "UPDATE refetches SET attempts = attempts + 1,
                 next_attempt_at = clock_timestamp() + $2 * interval '1 second'
             WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM refetches
                 WHERE given_up_at IS NULL AND next_attempt_at <= clock_timestamp()
                 ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED))
             RETURNING account, kind, object_id, livemode, reason, requests, attempts",
        )
        .bind(i64::from(at_most))
        .bind(lease_seconds)
        .fetch_all(self.pool())
        .await?;
        let mut due = Vec::new();
        for row in rows {
            let kind: String = row.try_get(1)?;
            let Some(kind) = Kind::parse(&kind) else { continue };
            let attempts: i32 = row.try_get(6)?;
            due.push(Due {
                key: ObjectKey {
                    account: row.try_get(0)?,
                    kind,
                    id: row.try_get(2)?,
                },
                livemode: row.try_get(3)?,
                reason: row.try_get(4)?,
                requests: row.try_get(5)?,
                attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            });
        }
        Ok(due)
    }

    /// A request was answered, and so are the steps of resyncs that waited for it. One that came meanwhile is due at
    /// once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refetched(&self, due: &Due, answered: Answered) -> Result<(), StoreError> {
        let ended: i64 = sqlx::query_scalar(
            "WITH ended AS (
                 DELETE FROM refetches WHERE (account, kind, object_id) = ($1, $2, $3) AND requests = $4
                 RETURNING account, kind, object_id
             ), settled AS (
                 UPDATE resync_steps s
                 SET state = 'done', objects = $5, changed = $6, settled_at = clock_timestamp()
                 FROM ended WHERE (s.account, s.kind, s.object_id) = (ended.account, ended.kind, ended.object_id)
                     AND s.state = 'waiting')
             SELECT count(*) FROM ended",
        )
        .bind(&due.key.account)
        .bind(due.key.kind.as_str())
        .bind(&due.key.id)
        .bind(due.requests)
        .bind(i64::try_from(answered.objects).unwrap_or(i64::MAX))
        .bind(i64::try_from(answered.changed).unwrap_or(i64::MAX))
        .fetch_one(self.pool())
        .await?;
        if ended == 0 {
            self.refetch_later(due, 0, None).await?;
        }
        Ok(())
    }

    /// A request was not answered: again after `wait_seconds`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refetch_later(
        &self,
        due: &Due,
        wait_seconds: i64,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE refetches SET next_attempt_at = clock_timestamp() + $4 * interval '1 second', last_error = $5
             WHERE (account, kind, object_id) = ($1, $2, $3)",
        )
        .bind(&due.key.account)
        .bind(due.key.kind.as_str())
        .bind(&due.key.id)
        .bind(wait_seconds)
        .bind(error)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Asking again is pointless: a person has to look.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn give_up_refetch(&self, due: &Due, error: &str) -> Result<(), StoreError> {
        sqlx::query(
            "WITH ended AS (
                 UPDATE refetches SET given_up_at = clock_timestamp(), last_error = $5
                 WHERE (account, kind, object_id) = ($1, $2, $3) AND requests = $4
                 RETURNING account, kind, object_id)
             UPDATE resync_steps s SET state = 'given_up', error = $5, settled_at = clock_timestamp()
             FROM ended WHERE (s.account, s.kind, s.object_id) = (ended.account, ended.kind, ended.object_id)
                 AND s.state = 'waiting'",
        )
        .bind(&due.key.account)
        .bind(due.key.kind.as_str())
        .bind(&due.key.id)
        .bind(due.requests)
        .bind(error)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// How many requests there are by what becomes of them: waiting (for their time or an API key), given up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refetches_by_state(&self) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query(
            "SELECT count(*) FILTER (WHERE given_up_at IS NULL), count(*) FILTER (WHERE given_up_at IS NOT NULL)
             FROM refetches",
        )
        .fetch_one(self.pool())
        .await?;
        let count = |index| Ok::<u64, sqlx::Error>(u64::try_from(row.try_get::<i64, _>(index)?).unwrap_or(0));
        Ok((count(0)?, count(1)?))
    }
}
