//! What is to be done at Stripe: written down before it is asked for, finished after it was answered. See ADR 16.

use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};

use super::ActingTx;
use crate::StoreError;

/// What kind of thing is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntentKind {
    /// Make the customer of a user.
    Customer,
    /// A checkout session for a plan.
    Subscribe,
    /// A checkout session for credits.
    Buy,
    /// Expire a checkout session.
    Expire,
    /// A payment intent for credits.
    Payment,
    /// Give money back.
    Refund,
    /// A session of the customer portal.
    Portal,
    /// Let a subscription have another plan.
    Change,
    /// Let a subscription end with its period.
    Cancel,
    /// Let it go on after all.
    Resume,
}

impl IntentKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Customer,
        Self::Subscribe,
        Self::Buy,
        Self::Expire,
        Self::Payment,
        Self::Refund,
        Self::Portal,
        Self::Change,
        Self::Cancel,
        Self::Resume,
    ];

    /// As in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Subscribe => "subscribe",
            Self::Buy => "buy",
            Self::Expire => "expire",
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Portal => "portal",
            Self::Change => "change",
            Self::Cancel => "cancel",
            Self::Resume => "resume",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What is to be written down.
#[derive(Debug, Clone, Copy)]
pub struct NewIntent<'a> {
    /// Ours, new.
    pub id: &'a str,
    /// What kind of thing.
    pub kind: IntentKind,
    /// Whom it is for.
    pub user: &'a str,
    /// Of those of a kind, one at a time has it.
    pub purpose: &'a str,
    /// What was asked of us.
    pub wish: &'a Value,
    /// The object that is changed; empty where one is made.
    pub target: &'a str,
    /// What is asked of Stripe, as it is sent.
    pub form: &'a str,
}

/// What was written down, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// Ours.
    pub id: String,
    /// What kind of thing.
    pub kind: IntentKind,
    /// Whom it is for.
    pub user: String,
    /// What was asked of us.
    pub wish: Value,
    /// The object that is changed; empty where one is made.
    pub target: String,
    /// What is asked of Stripe, as it is sent.
    pub form: String,
    /// How often it was asked for.
    pub attempts: i32,
    /// Unix seconds.
    pub created_at: i64,
    /// What came of it.
    pub state: IntentState,
}

/// What came of an intent.
#[derive(Debug, Clone, PartialEq)]
pub enum IntentState {
    /// Nothing yet.
    Open,
    /// Stripe did it.
    Done {
        /// Its object.
        object_id: String,
        /// The members of it that we need.
        answer: Value,
    },
    /// Stripe does not do it, and why.
    Refused(Value),
    /// Nobody knows, and it is too late to ask again under the same key.
    Lost,
}

/// Whether an intent is to be carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// Yes, by whoever is told so.
    Ours(Intent),
    /// It is over.
    Over(Intent),
    /// Somebody is at it.
    Busy,
    /// There is none, or it is not the actor's to see.
    Missing,
}

/// The columns that [`read`] reads.
const COLUMNS: &str =
    "id, kind, user_id, wish::text, target, form, attempts, extract(epoch FROM created_at)::bigint,
    state, object_id, coalesce(answer, 'null')::text";

impl ActingTx {
    /// Waits until nobody else decides what this user may begin. Until the end of the transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_buyer(&mut self, user: &str) -> Result<(), StoreError> {
        let account = self.actor.account.clone();
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(':', 'buyer', $1, $2), 0))")
            .bind(account)
            .bind(user)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Writes an intent down. Its purpose must be free. Whoever does has it to themselves for `lease`, to carry it out
    /// after the commit; should the process die, it is taken up then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn intend(&mut self, new: NewIntent<'_>, lease: Duration) -> Result<Intent, StoreError> {
        let account = self.actor.account.clone();
        let sql = format!(
            "INSERT INTO stripe_intents (account, id, kind, user_id, purpose, wish, target, form, attempts, leased_until,
                                         due_at)
             SELECT $1, $2, $3, $4, $5, $6::jsonb, $7, $8, 1, until, until
             FROM (SELECT clock_timestamp() + $9 * interval '1 second' AS until) AS lease
             RETURNING {COLUMNS}"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(account)
            .bind(new.id)
            .bind(new.kind.as_str())
            .bind(new.user)
            .bind(new.purpose)
            .bind(new.wish.to_string())
            .bind(new.target)
            .bind(new.form)
            .bind(lease.as_secs_f64())
            .fetch_one(self.connection())
            .await?;
        Ok(read(&row)?)
    }

    /// The intent that has a purpose now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn intent_for(
        &mut self,
        kind: IntentKind,
        purpose: &str,
    ) -> Result<Option<Intent>, StoreError> {
        let account = self.actor.account.clone();
        let sql =
            format!("SELECT {COLUMNS} FROM stripe_intents WHERE (account, kind, purpose) = ($1, $2, $3)");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(account)
            .bind(kind.as_str())
            .bind(purpose)
            .fetch_optional(self.connection())
            .await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// The intent of a user that made an object of Stripe.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn intent_that_made(
        &mut self,
        user: &str,
        object_id: &str,
    ) -> Result<Option<Intent>, StoreError> {
        let account = self.actor.account.clone();
        let sql = format!(
            "SELECT {COLUMNS} FROM stripe_intents
             WHERE (account, object_id, user_id) = ($1, $2, $3)
               AND kind NOT IN ('expire', 'change', 'cancel', 'resume')"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(account)
            .bind(object_id)
            .bind(user)
            .fetch_optional(self.connection())
            .await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Frees the purpose of an intent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn free_purpose(&mut self, id: &str) -> Result<(), StoreError> {
        let account = self.actor.account.clone();
        sqlx::query("UPDATE stripe_intents SET purpose = NULL WHERE (account, id) = ($1, $2)")
            .bind(account)
            .bind(id)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Asks to carry an intent out. Whoever may has it to themselves for `lease`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_intent(&mut self, id: &str, lease: Duration) -> Result<Claimed, StoreError> {
        let account = self.actor.account.clone();
        let sql = format!(
            "UPDATE stripe_intents SET attempts = attempts + 1,
                    leased_until = clock_timestamp() + $3 * interval '1 second'
             WHERE (account, id) = ($1, $2) AND state = 'open'
               AND coalesce(leased_until < clock_timestamp(), true)
             RETURNING {COLUMNS}"
        );
        let ours = sqlx::query(AssertSqlSafe(sql))
            .bind(&account)
            .bind(id)
            .bind(lease.as_secs_f64())
            .fetch_optional(self.connection())
            .await?;
        if let Some(row) = ours {
            return Ok(Claimed::Ours(read(&row)?));
        }
        let sql = format!("SELECT {COLUMNS} FROM stripe_intents WHERE (account, id) = ($1, $2)");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(&account)
            .bind(id)
            .fetch_optional(self.connection())
            .await?;
        Ok(match row.as_ref().map(read).transpose()? {
            None => Claimed::Missing,
            Some(intent) if intent.state == IntentState::Open => Claimed::Busy,
            Some(intent) => Claimed::Over(intent),
        })
    }

    /// What Stripe's events told of an intent whose answer never came: its object, as an answer would name it. Not of
    /// sessions and payments: nobody can use those without the answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn object_told(&mut self, intent: &Intent) -> Result<Option<(String, Value)>, StoreError> {
        let account = self.actor.account.clone();
        let sql = match intent.kind {
            IntentKind::Customer => {
                "SELECT id, jsonb_build_object('id', id)::text FROM customers
                 WHERE (account, user_id) = ($1, $2) AND metadata ->> 'tollgate_intent' = $3"
            }
            IntentKind::Refund => {
                "SELECT id, jsonb_build_object('id', id, 'status', status, 'amount', amount, 'currency', currency)::text
                 FROM refunds WHERE (account, payment_intent_id) = ($1, $2) AND metadata ->> 'tollgate_intent' = $3"
            }
            // No word of the intent is on them; but since it was written down, they are as it wants them.
            IntentKind::Change => {
                "SELECT s.id, jsonb_build_object('id', s.id, 'status', s.status)::text FROM subscriptions s
                 WHERE (s.account, s.id) = ($1, $2) AND s.event_created >= (
                     SELECT created_at FROM stripe_intents i WHERE (i.account, i.id) = ($1, $3))
                   AND EXISTS (SELECT FROM subscription_items t JOIN stripe_intents i ON (i.account, i.id) = ($1, $3)
                               WHERE (t.account, t.subscription_id) = (s.account, s.id)
                                 AND t.price_id = i.wish ->> 'price')"
            }
            IntentKind::Cancel | IntentKind::Resume => {
                "SELECT s.id, jsonb_build_object('id', s.id, 'status', s.status, 'cancel_at_period_end',
                        s.cancel_at_period_end, 'cancel_at', extract(epoch FROM s.cancel_at)::bigint)::text
                 FROM subscriptions s JOIN stripe_intents i ON (i.account, i.id) = ($1, $3)
                 WHERE (s.account, s.id) = ($1, $2) AND s.event_created >= i.created_at
                   AND (s.cancel_at_period_end OR s.cancel_at IS NOT NULL) = (i.kind = 'cancel')"
            }
            IntentKind::Subscribe
            | IntentKind::Buy
            | IntentKind::Expire
            | IntentKind::Payment
            | IntentKind::Portal => return Ok(None),
        };
        let whose = match intent.kind {
            IntentKind::Change | IntentKind::Cancel | IntentKind::Resume => intent.target.as_str(),
            IntentKind::Refund => intent.wish["payment"].as_str().unwrap_or_default(),
            _ => intent.user.as_str(),
        };
        let row = sqlx::query(sql)
            .bind(account)
            .bind(whose)
            .bind(&intent.id)
            .fetch_optional(self.connection())
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((row.try_get(0)?, json(&row, 1)?)))
    }

    /// Stripe did it. Whoever comes second says the same, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_intent(
        &mut self,
        id: &str,
        object_id: &str,
        answer: &Value,
    ) -> Result<(), StoreError> {
        let account = self.actor.account.clone();
        sqlx::query(
            "UPDATE stripe_intents SET state = 'done', object_id = $3, answer = $4::jsonb, leased_until = NULL,
                    finished_at = clock_timestamp()
             WHERE (account, id) = ($1, $2) AND state = 'open'",
        )
        .bind(account)
        .bind(id)
        .bind(object_id)
        .bind(answer.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Stripe does not do it, and why. The purpose is free again when `frees` says so: for others to try anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refuse_intent(&mut self, id: &str, why: &Value, frees: bool) -> Result<(), StoreError> {
        let account = self.actor.account.clone();
        sqlx::query(
            "UPDATE stripe_intents SET state = 'refused', answer = $3::jsonb, leased_until = NULL,
                    purpose = CASE WHEN $4 THEN NULL ELSE purpose END, finished_at = clock_timestamp()
             WHERE (account, id) = ($1, $2) AND state = 'open'",
        )
        .bind(account)
        .bind(id)
        .bind(why.to_string())
        .bind(frees)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Nobody knows yet. It is taken up after `wait`, unless somebody asks before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn postpone_intent(&mut self, id: &str, wait: Duration) -> Result<(), StoreError> {
        let account = self.actor.account.clone();
        sqlx::query(
            "UPDATE stripe_intents SET leased_until = NULL, due_at = clock_timestamp() + $3 * interval '1 second'
             WHERE (account, id) = ($1, $2) AND state = 'open'",
        )
        .bind(account)
        .bind(id)
        .bind(wait.as_secs_f64())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Gives up what is older than `age`, and says what it was: too late to ask again under the same key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lose_intents(&mut self, age: Duration) -> Result<Vec<String>, StoreError> {
        let account = self.actor.account.clone();
        let ids = sqlx::query_scalar(
            "UPDATE stripe_intents SET state = 'lost', purpose = NULL, leased_until = NULL,
                    finished_at = clock_timestamp()
             WHERE account = $1 AND state = 'open' AND created_at < clock_timestamp() - $2 * interval '1 second'
               AND coalesce(leased_until < clock_timestamp(), true)
             RETURNING id",
        )
        .bind(account)
        .bind(age.as_secs_f64())
        .fetch_all(self.connection())
        .await?;
        Ok(ids)
    }

    /// Intents that nobody is at and whose time has come, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_intents(&mut self, rows_max: u32) -> Result<Vec<String>, StoreError> {
        let account = self.actor.account.clone();
        let ids = sqlx::query_scalar(
            "SELECT id FROM stripe_intents
             WHERE account = $1 AND state = 'open' AND due_at < clock_timestamp()
               AND coalesce(leased_until < clock_timestamp(), true)
             ORDER BY due_at LIMIT $2",
        )
        .bind(account)
        .bind(i64::from(rows_max))
        .fetch_all(self.connection())
        .await?;
        Ok(ids)
    }
}

fn read(row: &PgRow) -> Result<Intent, sqlx::Error> {
    let kind: String = row.try_get(1)?;
    let state: String = row.try_get(8)?;
    Ok(Intent {
        id: row.try_get(0)?,
        kind: IntentKind::parse(&kind).ok_or_else(|| unknown("kind"))?,
        user: row.try_get(2)?,
        wish: json(row, 3)?,
        target: row.try_get(4)?,
        form: row.try_get(5)?,
        attempts: row.try_get(6)?,
        created_at: row.try_get(7)?,
        state: match state.as_str() {
            "open" => IntentState::Open,
            "done" => IntentState::Done {
                object_id: row.try_get(9)?,
                answer: json(row, 10)?,
            },
            "refused" => IntentState::Refused(json(row, 10)?),
            "lost" => IntentState::Lost,
            _ => return Err(unknown("state")),
        },
    })
}

fn json(row: &PgRow, column: usize) -> Result<Value, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A newer version wrote it.
fn unknown(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "a word this version does not know".into(),
    }
}
