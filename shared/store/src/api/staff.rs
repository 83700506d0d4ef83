//! What staff see and correct.

use sqlx::Row;

use super::ActingTx;
use crate::StoreError;

/// A user, for a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserLine {
    /// Their id.
    pub id: String,
    /// The newest known.
    pub email: Option<String>,
    /// Best of all subscriptions.
    pub state: String,
    /// Whether a subscription includes credits now.
    pub entitled: bool,
    /// Their own credits.
    pub balance: i64,
}

/// Which users.
#[derive(Debug, Clone, Default)]
pub struct UserFilter<'a> {
    /// Only this state.
    pub state: Option<&'a str>,
    /// Only with this email address, or id.
    pub search: Option<&'a str>,
    /// After this id.
    pub after: Option<&'a str>,
}

/// A correction's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjusted {
    /// It is done.
    Done {
        /// The balance.
        balance: i64,
    },
    /// A call with the same key had done it.
    Repeated {
        /// The balance.
        balance: i64,
    },
    /// The key belongs to another correction; nothing changed.
    Conflict,
    /// It would take the balance below zero; nothing changed.
    BelowZero {
        /// The balance.
        balance: i64,
    },
}

/// A deed, from the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Names it; later ones are larger.
    pub id: i64,
    /// Who did it.
    pub actor: String,
    /// What they were.
    pub role: String,
    /// What they did.
    pub action: String,
    /// Whom it concerns.
    pub user: Option<String>,
    /// What it concerns.
    pub subject: Option<String>,
    /// Why.
    pub reason: String,
    /// More, as a JSON object.
    pub detail: String,
    /// Unix seconds.
    pub created_at: i64,
}

/// An event that has to do with a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEvent {
    /// `evt_...`.
    pub id: String,
    /// Stripe's type.
    pub event_type: String,
    /// What it is about.
    pub object_id: Option<String>,
    /// When it happened, unix seconds.
    pub created: i64,
    /// When it was accepted, unix milliseconds.
    pub received_at_ms: i64,
    /// `applied`, `ignored` or `parked`.
    pub status: String,
    /// Why ignored or parked.
    pub reason: Option<String>,
}

/// Everything of a user's that events are about. Found by keys, object by object.
const EVENTS: &str = "
    WITH customer AS (
        SELECT customer_id AS id FROM customer_users WHERE (account, user_id) = ($1, $2)
    ), object AS (
        SELECT id FROM customer
        UNION SELECT s.id FROM subscriptions s WHERE s.account = $1 AND s.customer_id = ANY (ARRAY(SELECT id FROM customer))
        UNION SELECT i.id FROM invoices i WHERE i.account = $1 AND i.customer_id = ANY (ARRAY(SELECT id FROM customer))
        UNION SELECT p.id FROM payment_intents p WHERE p.account = $1 AND p.customer_id = ANY (ARRAY(SELECT id FROM customer))
        UNION SELECT c.id FROM checkout_sessions c WHERE c.account = $1 AND c.customer_id = ANY (ARRAY(SELECT id FROM customer))
        UNION SELECT c.id FROM charges c JOIN payment_intents p ON (p.account, p.id) = (c.account, c.payment_intent_id)
              WHERE c.account = $1 AND p.customer_id = ANY (ARRAY(SELECT id FROM customer))
        UNION SELECT r.id FROM refunds r JOIN payment_intents p ON (p.account, p.id) = (r.account, r.payment_intent_id)
              WHERE r.account = $1 AND p.customer_id = ANY (ARRAY(SELECT id FROM customer))
        UNION SELECT c.id FROM checkout_sessions c WHERE c.account = $1 AND c.user_id = $2
    )
    SELECT e.id, e.type, e.object_id, extract(epoch FROM e.created)::bigint,
           (extract(epoch FROM e.received_at) * 1000)::bigint, e.status, e.reason
    FROM events e
    WHERE e.account = $1 AND e.object_id = ANY (ARRAY(SELECT id FROM object))
      AND ($3::bigint IS NULL OR (e.created, e.id) < (to_timestamp($3), $4))
    ORDER BY e.created DESC, e.id DESC LIMIT $5";

impl ActingTx {
    /// Users by id, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn users(&mut self, filter: &UserFilter<'_>, limit: u32) -> Result<Vec<UserLine>, StoreError> {
        let account = self.actor.account.clone();
        let rows = sqlx::query(
            "SELECT u.id, u.email, u.state, u.entitled, coalesce(a.balance, 0)
             FROM users u
             LEFT JOIN ledger_accounts a ON (a.account, a.owner_kind, a.owner_id) = (u.account, 'user', u.id)
             WHERE u.account = $1 AND u.id > $2 AND ($3::text IS NULL OR u.state = $3)
               AND ($4::text IS NULL OR u.id = $4 OR lower(u.email) = lower($4))
             ORDER BY u.id LIMIT $5",
        )
        .bind(account)
        .bind(filter.after.unwrap_or(""))
        .bind(filter.state)
        .bind(filter.search)
        .bind(i64::from(limit))
        .fetch_all(self.connection())
        .await?;
        let line = |row: &sqlx::postgres::PgRow| -> Result<UserLine, sqlx::Error> {
            Ok(UserLine {
                id: row.try_get(0)?,
                email: row.try_get(1)?,
                state: row.try_get(2)?,
                entitled: row.try_get(3)?,
                balance: row.try_get(4)?,
            })
        };
        Ok(rows.iter().map(line).collect::<Result<_, _>>()?)
    }

    /// Corrects a user's balance, once for each `key`. Only staff may.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn adjust(
        &mut self,
        user: &str,
        credits: i64,
        key: &str,
        reason: &str,
    ) -> Result<Adjusted, StoreError> {
        let account = self.actor.account.clone();
        let row = sqlx::query("SELECT outcome, balance FROM api_adjust($1, $2, $3, $4, $5)")
            .bind(&account)
            .bind(user)
            .bind(credits)
            .bind(key)
            .bind(reason)
            .fetch_one(self.connection())
            .await?;
        self.tx.1.user(&account, user);
        let (outcome, balance): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        match outcome.as_str() {
            "adjusted" => Ok(Adjusted::Done { balance }),
            "repeated" => Ok(Adjusted::Repeated { balance }),
            "conflict" => Ok(Adjusted::Conflict),
            "below_zero" => Ok(Adjusted::BelowZero { balance }),
            other => Err(sqlx::Error::Decode(format!("api_adjust answers {other:?}").into()).into()),
        }
    }

    /// Deeds, the newest first, at most `limit`: those before `before`, of `user` when one is named.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deeds(
        &mut self,
        user: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Deed>, StoreError> {
        let account = self.actor.account.clone();
        let rows = sqlx::query(
            "SELECT id, actor, role, action, user_id, subject, reason, detail::text,
                    extract(epoch FROM created_at)::bigint
             FROM audit_log
             WHERE account = $1 AND id < $2 AND ($3::text IS NULL OR user_id = $3)
             ORDER BY id DESC LIMIT $4",
        )
        .bind(account)
        .bind(before.unwrap_or(i64::MAX))
        .bind(user)
        .bind(i64::from(limit))
        .fetch_all(self.connection())
        .await?;
        let deed = |row: &sqlx::postgres::PgRow| -> Result<Deed, sqlx::Error> {
            Ok(Deed {
                id: row.try_get(0)?,
                actor: row.try_get(1)?,
                role: row.try_get(2)?,
                action: row.try_get(3)?,
                user: row.try_get(4)?,
                subject: row.try_get(5)?,
                reason: row.try_get(6)?,
                detail: row.try_get(7)?,
                created_at: row.try_get(8)?,
            })
        };
        Ok(rows.iter().map(deed).collect::<Result<_, _>>()?)
    }

    /// Events about anything of a user's, the newest first, at most `limit`, from after `(created, id)` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events_of(
        &mut self,
        user: &str,
        after: Option<(i64, &str)>,
        limit: u32,
    ) -> Result<Vec<UserEvent>, StoreError> {
        let account = self.actor.account.clone();
        let rows = sqlx::query(EVENTS)
            .bind(account)
            .bind(user)
            .bind(after.map(|(created, _)| created))
            .bind(after.map(|(_, id)| id))
            .bind(i64::from(limit))
            .fetch_all(self.connection())
            .await?;
        let event = |row: &sqlx::postgres::PgRow| -> Result<UserEvent, sqlx::Error> {
            Ok(UserEvent {
                id: row.try_get(0)?,
                event_type: row.try_get(1)?,
                object_id: row.try_get(2)?,
                created: row.try_get(3)?,
                received_at_ms: row.try_get(4)?,
                status: row.try_get(5)?,
                reason: row.try_get(6)?,
            })
        };
        Ok(rows.iter().map(event).collect::<Result<_, _>>()?)
    }
}
