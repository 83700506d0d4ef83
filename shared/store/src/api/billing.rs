//! What a user pays for, and what they used of it.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::ActingTx;
use crate::StoreError;

/// A subscription, as a bill would name it. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns are documented in migrations/0003_projections.sql"
)]
pub struct BilledSubscription {
    pub id: String,
    pub status: Option<String>,
    /// Whether it includes credits now.
    pub entitled: bool,
    /// The plan's name in the catalogue, when it is in there.
    pub plan: Option<String>,
    pub price_id: Option<String>,
    pub quantity: Option<i64>,
    pub period_start: Option<i64>,
    pub period_end: Option<i64>,
    pub cancel_at_period_end: bool,
    pub cancel_at: Option<i64>,
    pub canceled_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub trial_end: Option<i64>,
    /// Credits that its prices give for a period, and those of a month that come free with it.
    pub allowance: i64,
}

/// What a user used in this calendar month (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The month's first second, unix seconds.
    pub since: i64,
    /// The next month's.
    pub until: i64,
    /// Credits spent, less what came back of reservations.
    pub used: i64,
}

/// One subscription by its key, its items by theirs, and what each gives.
const SUBSCRIPTION: &str = "
    SELECT s.id, t.status, t.entitled, o.name, i.price_id, i.quantity,
           extract(epoch FROM s.current_period_start)::bigint, extract(epoch FROM s.current_period_end)::bigint,
           s.cancel_at_period_end, extract(epoch FROM s.cancel_at)::bigint, extract(epoch FROM s.canceled_at)::bigint,
           extract(epoch FROM s.ended_at)::bigint, extract(epoch FROM s.trial_end)::bigint, coalesce(a.credits, 0)
    FROM subscription_states t
    JOIN subscriptions s ON (s.account, s.id) = (t.account, t.subscription_id)
    LEFT JOIN LATERAL (
        SELECT price_id, quantity FROM subscription_items i
        WHERE (i.account, i.subscription_id) = (s.account, s.id) ORDER BY position LIMIT 1) AS i ON true
    LEFT JOIN LATERAL (
        SELECT name FROM catalog_offers o WHERE (o.account, o.price_id, o.kind) = (s.account, i.price_id, 'plan')
        ORDER BY active DESC, name LIMIT 1) AS o ON true
    LEFT JOIN LATERAL (
        SELECT sum(terms.credits * coalesce(items.quantity, 1) + terms.free_monthly)::bigint AS credits
        FROM subscription_items items CROSS JOIN LATERAL api_terms(items.account, items.price_id) AS terms
        WHERE (items.account, items.subscription_id) = (s.account, s.id)) AS a ON true
    WHERE (t.account, t.subscription_id) = ($1, $2)";

impl ActingTx {
    /// A subscription that has had its effect on somebody's state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn billed_subscription(&mut self, id: &str) -> Result<Option<BilledSubscription>, StoreError> {
        let account = self.actor.account.clone();
        let row = sqlx::query(SUBSCRIPTION)
            .bind(account)
            .bind(id)
            .fetch_optional(self.connection())
            .await?;
        Ok(row.as_ref().map(subscription).transpose()?)
    }

    /// Credits that one of a price gives for a period, with the free ones of a month; `None` when it gives none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn allowance_of(&mut self, price: &str) -> Result<Option<i64>, StoreError> {
        let account = self.actor.account.clone();
        let credits: Option<i64> = sqlx::query_scalar("SELECT credits + free_monthly FROM api_terms($1, $2)")
            .bind(account)
            .bind(price)
            .fetch_optional(self.connection())
            .await?;
        Ok(credits.filter(|credits| *credits > 0))
    }

    /// What a user used in this calendar month, by their own hand, of their own credits and of their teams'.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn usage_of(&mut self, user: &str) -> Result<Usage, StoreError> {
        let account = self.actor.account.clone();
        let row = sqlx::query(
            "SELECT extract(epoch FROM since)::bigint, extract(epoch FROM until)::bigint, api_used($1, $2, since, until)
             FROM (SELECT month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC'
                   FROM date_trunc('month', now() AT TIME ZONE 'UTC') AS month) AS this (since, until)",
        )
        .bind(account)
        .bind(user)
        .fetch_one(self.connection())
        .await?;
        Ok(Usage {
            since: row.try_get(0)?,
            until: row.try_get(1)?,
            used: row.try_get(2)?,
        })
    }

    /// Credits that are taken for a user's work under way.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reserved_by(&mut self, user: &str) -> Result<i64, StoreError> {
        let account = self.actor.account.clone();
        let credits = sqlx::query_scalar(
            "SELECT coalesce(sum(credits), 0)::bigint FROM reservations
             WHERE (account, user_id) = ($1, $2) AND status = 'open'",
        )
        .bind(account)
        .bind(user)
        .fetch_one(self.connection())
        .await?;
        Ok(credits)
    }
}

fn subscription(row: &PgRow) -> Result<BilledSubscription, sqlx::Error> {
    Ok(BilledSubscription {
        id: row.try_get(0)?,
        status: row.try_get(1)?,
        entitled: row.try_get(2)?,
        plan: row.try_get(3)?,
        price_id: row.try_get(4)?,
        quantity: row.try_get(5)?,
        period_start: row.try_get(6)?,
        period_end: row.try_get(7)?,
        cancel_at_period_end: row.try_get(8)?,
        cancel_at: row.try_get(9)?,
        canceled_at: row.try_get(10)?,
        ended_at: row.try_get(11)?,
        trial_end: row.try_get(12)?,
        allowance: row.try_get(13)?,
    })
}
