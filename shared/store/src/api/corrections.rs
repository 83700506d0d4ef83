//! What staff say a user's plan is, whatever Stripe says. See ADR 18.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::ActingTx;
use crate::StoreError;

/// A correction to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewCorrection<'a> {
    /// Ours, new.
    pub id: &'a str,
    /// The request's: the same again corrects nothing.
    pub key: &'a str,
    /// Whose plan.
    pub user: &'a str,
    /// The plan, by its name in the catalogue, and its price; `None`: none at all.
    pub plan: Option<(&'a str, &'a str)>,
    /// When it is over, unix seconds; `None`: when it is withdrawn.
    pub until: Option<i64>,
    /// Why.
    pub reason: &'a str,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Corrected {
    /// It is made; the reckoner does the rest.
    Made,
    /// It was made before, by a call with the same key, under this id.
    Repeated(String),
}

/// What came of a withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// It is withdrawn.
    Done,
    /// It had been.
    Repeated,
    /// It is over: replaced, or by the clock.
    Over,
    /// There is none.
    Unknown,
}

/// A correction. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns are documented in migrations/0033_plan_corrections.sql"
)]
pub struct PlanCorrection {
    pub id: String,
    pub plan: Option<String>,
    pub price_id: Option<String>,
    pub until: Option<i64>,
    pub reason: String,
    pub made_by: String,
    pub made_at: i64,
    pub ended_at: Option<i64>,
    pub ended_how: Option<String>,
    pub ended_by: Option<String>,
    pub end_reason: Option<String>,
    /// Whether the user's state follows from it by now.
    pub in_force: bool,
}

/// The columns that [`read`] reads.
const CORRECTIONS: &str = "
    SELECT c.id, c.plan, c.price_id, extract(epoch FROM c.until)::bigint, c.reason, c.made_by,
           extract(epoch FROM at)::bigint, extract(epoch FROM date_trunc('second', c.ended_at))::bigint, c.ended_how, c.ended_by,
           c.end_reason, coalesce(u.correction_id = c.id, false)
    FROM plan_corrections c CROSS JOIN LATERAL (SELECT date_trunc('second', c.made_at) AS at) AS moment
    LEFT JOIN users u ON (u.account, u.id) = (c.account, c.user_id)
    WHERE (c.account, c.user_id) = ($1, $2)
      AND ($3::bigint IS NULL OR (at, c.id) < (to_timestamp($3), $4))
    ORDER BY at DESC, c.id DESC LIMIT $5";

impl ActingTx {
    /// Corrects a user's plan, once for each key, in place of the correction that stands. Only staff may.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn correct_plan(&mut self, new: NewCorrection<'_>) -> Result<Corrected, StoreError> {
        let actor = self.actor.clone();
        let row = sqlx::query(
            "SELECT outcome, id FROM api_correct_plan($1, $2, $3, $4, $5, $6, to_timestamp($7), $8, $9)",
        )
        .bind(actor.account)
        .bind(new.user)
        .bind(new.id)
        .bind(new.key)
        .bind(new.plan.map(|(name, _)| name))
        .bind(new.plan.map(|(_, price)| price))
        .bind(new.until)
        .bind(new.reason)
        .bind(actor.subject)
        .fetch_one(self.connection())
        .await?;
        let (outcome, id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(match outcome.as_str() {
            "corrected" => Corrected::Made,
            _ => Corrected::Repeated(id),
        })
    }

    /// Withdraws a correction: Stripe's word counts again. Only staff may.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn withdraw_correction(
        &mut self,
        user: &str,
        id: &str,
        reason: &str,
    ) -> Result<Withdrawn, StoreError> {
        let actor = self.actor.clone();
        let outcome: String =
            sqlx::query_scalar("SELECT outcome FROM api_withdraw_correction($1, $2, $3, $4, $5)")
                .bind(actor.account)
                .bind(user)
                .bind(id)
                .bind(reason)
                .bind(actor.subject)
                .fetch_one(self.connection())
                .await?;
        Ok(match outcome.as_str() {
            "withdrawn" => Withdrawn::Done,
            "repeated" => Withdrawn::Repeated,
            "over" => Withdrawn::Over,
            _ => Withdrawn::Unknown,
        })
    }

    /// A user's corrections, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn corrections_of(
        &mut self,
        user: &str,
        after: Option<(i64, &str)>,
        limit: u32,
    ) -> Result<Vec<PlanCorrection>, StoreError> {
        let account = self.actor.account.clone();
        let rows = sqlx::query(CORRECTIONS)
            .bind(account)
            .bind(user)
            .bind(after.map(|(made_at, _)| made_at))
            .bind(after.map(|(_, id)| id))
            .bind(i64::from(limit))
            .fetch_all(self.connection())
            .await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}

fn read(row: &PgRow) -> Result<PlanCorrection, sqlx::Error> {
    Ok(PlanCorrection {
        id: row.try_get(0)?,
        plan: row.try_get(1)?,
        price_id: row.try_get(2)?,
        until: row.try_get(3)?,
        reason: row.try_get(4)?,
        made_by: row.try_get(5)?,
        made_at: row.try_get(6)?,
        ended_at: row.try_get(7)?,
        ended_how: row.try_get(8)?,
        ended_by: row.try_get(9)?,
        end_reason: row.try_get(10)?,
        in_force: row.try_get(11)?,
    })
}
