//! One customer, asked of Stripe anew: begun by a person, made questions of by a worker, followed step by step.

use std::collections::HashMap;

use domain::{Kind, ObjectKey, RefetchReason};
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::api::{AuditRow, Operator};
use crate::upsert::column;
use crate::{Due, MARKED, Store, StoreError, Wanted, refetches};

/// Resyncs that are made questions of at a time.
const PLANNED_MAX: i64 = 16;

/// A resync to begin.
#[derive(Debug, Clone, Copy)]
pub struct NewResync<'a> {
    /// Ours, new.
    pub id: &'a str,
    /// The request's: the same again begins nothing.
    pub key: &'a str,
    /// Whose objects.
    pub customer: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Who wants it.
    pub by: &'a str,
}

impl<'a> NewResync<'a> {
    /// As the audit log tells it.
    #[must_use]
    pub fn deed(&self, user: Option<&'a str>, detail: &'a Value) -> AuditRow<'a> {
        AuditRow {
            action: "customer.resync",
            user,
            subject: Some(self.customer),
            reason: self.reason,
            detail,
        }
    }
}

/// How far a resync is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resync {
    /// Its id.
    pub id: String,
    /// Whose objects.
    pub customer: String,
    /// Why.
    pub reason: String,
    /// Who wanted it.
    pub made_by: String,
    /// When, unix seconds.
    pub made_at: i64,
    /// Whether a worker has made questions of it.
    pub is_planned: bool,
    /// Questions so far.
    pub asked: i64,
    /// Of these, answered.
    pub done: i64,
    /// Of these, those nobody asks any more.
    pub given_up: i64,
    /// Objects that Stripe showed.
    pub objects: i64,
    /// Of these, those that were not as we had them.
    pub changed: i64,
    /// When the last question was settled, unix seconds.
    pub settled_at: Option<i64>,
    /// Why questions were given up: kind, id, and what went wrong. A few of them.
    pub trouble: Vec<(String, String, String)>,
}

impl Resync {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_planned && self.asked == self.done + self.given_up
    }
}

/// A resync that nobody has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplanned {
    /// Connected account; empty for the platform's own.
    pub account: String,
    id: String,
    /// Whose objects.
    pub customer: String,
    /// Live or test data, by what is known of the customer.
    pub livemode: bool,
}

/// What an answer to a question came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answered {
    /// Objects that Stripe showed.
    pub objects: usize,
    /// Of these, those that were not as we had them.
    pub changed: usize,
}

/// Writes a resync down. Returns its id: that of an earlier one with the key, if there is one.
pub(crate) async fn begin(
    connection: &mut PgConnection,
    account: &str,
    new: &NewResync<'_>,
) -> Result<String, sqlx::Error> {
    sqlx::query(
        "INSERT INTO resyncs (account, id, key, customer_id, reason, made_by) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (account, key) DO NOTHING",
    )
    .bind(account)
    .bind(new.id)
    .bind(new.key)
    .bind(new.customer)
    .bind(new.reason)
    .bind(new.by)
    .execute(&mut *connection)
    .await?;
    sqlx::query_scalar("SELECT id FROM resyncs WHERE (account, key) = ($1, $2)")
        .bind(account)
        .bind(new.key)
        .fetch_one(connection)
        .await
}

/// Whose a customer is, when that is known.
pub(crate) async fn owner(
    connection: &mut PgConnection,
    account: &str,
    customer: &str,
) -> Result<Option<String>, sqlx::Error> {
    let user: Option<Option<String>> =
        sqlx::query_scalar("SELECT user_id FROM customer_users WHERE (account, customer_id) = ($1, $2)")
            .bind(account)
            .bind(customer)
            .fetch_optional(connection)
            .await?;
    Ok(user.flatten())
}

/// Which resyncs: of which customers, or of all; and how many at most.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    /// One, by its id.
    One(&'a str),
    /// Those of some customers.
    Of(&'a [String]),
    /// Whosever.
    All,
}

/// Resyncs and how far they are, the newest first, at most `limit`. Why questions were given up is left out.
pub(crate) async fn list(
    connection: &mut PgConnection,
    account: &str,
    which: Which<'_>,
    limit: i64,
) -> Result<Vec<Resync>, sqlx::Error> {
    let (id, customers) = match which {
        Which::One(id) => (Some(id), None),
        Which::Of(customers) => (None, Some(customers)),
        Which::All => (None, None),
    };
    let rows = sqlx::query(
        "SELECT r.id, r.customer_id, r.reason, r.made_by, extract(epoch FROM date_trunc('second', r.made_at))::bigint,
                r.planned_at IS NOT NULL, count(s.kind), count(*) FILTER (WHERE s.state = 'done'),
                count(*) FILTER (WHERE s.state = 'given_up'), coalesce(sum(s.objects), 0)::bigint,
                coalesce(sum(s.changed), 0)::bigint,
                extract(epoch FROM date_trunc('second', max(s.settled_at)))::bigint
         FROM (SELECT * FROM resyncs
               WHERE account = $1 AND ($2::text IS NULL OR id = $2) AND ($3::text[] IS NULL OR customer_id = ANY ($3))
               ORDER BY made_at DESC, id DESC LIMIT $4) AS r
         LEFT JOIN resync_steps s ON (s.account, s.resync_id) = (r.account, r.id)
         GROUP BY r.id, r.customer_id, r.reason, r.made_by, r.made_at, r.planned_at ORDER BY r.made_at DESC, r.id DESC",
    )
    .bind(account)
    .bind(id)
    .bind(customers)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(resync).collect()
}

fn resync(row: &PgRow) -> Result<Resync, sqlx::Error> {
    Ok(Resync {
        id: row.try_get(0)?,
        customer: row.try_get(1)?,
        reason: row.try_get(2)?,
        made_by: row.try_get(3)?,
        made_at: row.try_get(4)?,
        is_planned: row.try_get(5)?,
        asked: row.try_get(6)?,
        done: row.try_get(7)?,
        given_up: row.try_get(8)?,
        objects: row.try_get(9)?,
        changed: row.try_get(10)?,
        settled_at: row.try_get(11)?,
        trouble: Vec::new(),
    })
}

/// How far a resync is.
pub(crate) async fn look(
    connection: &mut PgConnection,
    account: &str,
    id: &str,
) -> Result<Option<Resync>, sqlx::Error> {
    let found = list(&mut *connection, account, Which::One(id), 1).await?.pop();
    let Some(resync) = found else { return Ok(None) };
    let trouble = sqlx::query(
        "SELECT kind, object_id, coalesce(error, '') FROM resync_steps
         WHERE (account, resync_id) = ($1, $2) AND state = 'given_up' ORDER BY kind, object_id LIMIT 10",
    )
    .bind(account)
    .bind(id)
    .fetch_all(connection)
    .await?;
    let trouble = trouble
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)));
    Ok(Some(Resync {
        trouble: trouble.collect::<Result<_, sqlx::Error>>()?,
        ..resync
    }))
}

/// An operator's side: what the API does as somebody.
impl Store {
    /// Begins a resync, and says so in the audit log. Returns its id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_resync(&self, operator: &Operator, new: &NewResync<'_>) -> Result<String, StoreError> {
        let mut tx = self.begin().await?;
        let id = begin(&mut tx.0, &operator.account, new).await?;
        let user = owner(&mut tx.0, &operator.account, new.customer).await?;
        tx.audit_as(operator, new.deed(user.as_deref(), &json!({"resync": id})))
            .await?;
        tx.commit().await?;
        Ok(id)
    }

    /// How far a resync is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resync(&self, account: &str, id: &str) -> Result<Option<Resync>, StoreError> {
        let mut connection = self.pool().acquire().await?;
        Ok(look(&mut connection, account, id).await?)
    }

    /// How many objects of a customer are known, by kind.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_of_customer(
        &self,
        account: &str,
        customer: &str,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT 'customer', count(*) FROM customers WHERE (account, id) = ($1, $2)
             UNION ALL SELECT 'subscription', count(*) FROM subscriptions WHERE (account, customer_id) = ($1, $2)
             UNION ALL SELECT 'invoice', count(*) FROM invoices WHERE (account, customer_id) = ($1, $2)
             UNION ALL SELECT 'payment_intent', count(*) FROM payment_intents WHERE (account, customer_id) = ($1, $2)
             UNION ALL SELECT 'checkout.session', count(*) FROM checkout_sessions WHERE (account, customer_id) = ($1, $2)",
        )
        .bind(account)
        .bind(customer)
        .fetch_all(self.pool())
        .await?;
        let row = |row: &sqlx::postgres::PgRow| Ok((row.try_get(0)?, row.try_get(1)?));
        Ok(rows.iter().map(row).collect::<Result<_, sqlx::Error>>()?)
    }
}

/// A worker's side.
impl Store {
    /// Makes questions of resyncs that nobody has looked at: `questions` says which. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn plan_resyncs(
        &self,
        questions: impl Fn(&Unplanned) -> Vec<ObjectKey>,
    ) -> Result<usize, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "UPDATE resyncs r SET planned_at = clock_timestamp()
             WHERE r.ctid = ANY (ARRAY(
                 SELECT ctid FROM resyncs WHERE planned_at IS NULL ORDER BY made_at LIMIT $1 FOR UPDATE SKIP LOCKED))
             RETURNING account, id, customer_id, coalesce(
                 (SELECT livemode FROM customers c WHERE (c.account, c.id) = (r.account, r.customer_id)), false)",
        )
        .bind(PLANNED_MAX)
        .fetch_all(&mut *tx.0)
        .await?;
        for row in &rows {
            let resync = Unplanned {
                account: row.try_get(0)?,
                id: row.try_get(1)?,
                customer: row.try_get(2)?,
                livemode: row.try_get(3)?,
            };
            let keys = questions(&resync);
            sqlx::query(
                "INSERT INTO resync_steps (account, resync_id, kind, object_id)
                 SELECT $1, $2, kind, id FROM unnest($3::text[], $4::text[]) AS step (kind, id) ON CONFLICT DO NOTHING",
            )
            .bind(&resync.account)
            .bind(&resync.id)
            .bind(column!(keys, key => key.kind.as_str()))
            .bind(column!(keys, key => key.id.as_str()))
            .execute(&mut *tx.0)
            .await?;
            let wanted = wanted(keys, resync.livemode);
            refetches::request(&mut tx.0, &wanted, true).await?;
        }
        tx.commit().await?;
        Ok(rows.len())
    }

    /// An answer raises more questions. To be said before the answered one is ended, or the resync would seem over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn follow_resync(&self, answered: &Due, raised: Vec<ObjectKey>) -> Result<(), StoreError> {
        if raised.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        let there = refetches::IS_THERE;
        let sql = format!(
            "INSERT INTO resync_steps (account, resync_id, kind, object_id)
             SELECT s.account, s.resync_id, w.kind, w.id FROM resync_steps s
             CROSS JOIN (SELECT $1::text, kind, id FROM unnest($4::text[], $5::text[]) AS raised (kind, id))
                 AS w (account, kind, id)
             WHERE (s.account, s.kind, s.object_id) = ($1, $2, $3) AND s.state = 'waiting'
               AND NOT (w.kind = 'invoice_payment' AND ({there}))
             ON CONFLICT DO NOTHING RETURNING kind, object_id"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&answered.key.account)
            .bind(answered.key.kind.as_str())
            .bind(&answered.key.id)
            .bind(column!(raised, key => key.kind.as_str()))
            .bind(column!(raised, key => key.id.as_str()))
            .fetch_all(&mut *tx.0)
            .await?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            let kind: String = row.try_get(0)?;
            let Some(kind) = Kind::parse(&kind) else { continue };
            keys.push(ObjectKey {
                account: answered.key.account.clone(),
                kind,
                id: row.try_get(1)?,
            });
        }
        let wanted = wanted(keys, answered.livemode);
        refetches::request(&mut tx.0, &wanted, true).await?;
        tx.commit().await
    }

    /// A word for each of these objects that is another when anything we keep of it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prints(
        &self,
        account: &str,
        kind: Kind,
        ids: &[&str],
    ) -> Result<HashMap<String, String>, StoreError> {
        let Some((_, table)) = MARKED.iter().find(|(name, _)| *name == kind.as_str()) else {
            return Ok(HashMap::new());
        };
        let parts = match kind {
            Kind::Invoice => {
                "(SELECT jsonb_agg(to_jsonb(p) ORDER BY p.id) FROM invoice_lines p
                               WHERE (p.account, p.invoice_id) = (t.account, t.id))"
            }
            Kind::Subscription => {
                "(SELECT jsonb_agg(to_jsonb(p) ORDER BY p.id) FROM subscription_items p
                               WHERE (p.account, p.subscription_id) = (t.account, t.id))"
            }
            _ => "NULL::jsonb",
        };
        let sql = format!(
            "SELECT t.id, md5(concat(to_jsonb(t) - 'event_id' - 'event_created', {parts})) FROM {table} t
             WHERE t.account = $1 AND t.id = ANY ($2)"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(account)
            .bind(ids)
            .fetch_all(self.pool())
            .await?;
        let print = |row: &sqlx::postgres::PgRow| Ok((row.try_get(0)?, row.try_get(1)?));
        Ok(rows.iter().map(print).collect::<Result<_, sqlx::Error>>()?)
    }
}

fn wanted(keys: Vec<ObjectKey>, livemode: bool) -> Vec<Wanted> {
    let question = |key| Wanted::new(key, livemode, RefetchReason::Resync);
    keys.into_iter().map(question).collect()
}
