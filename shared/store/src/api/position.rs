//! Where a user stands: what "may this user do that?" depends on.

use domain::{Standing, State};
use sqlx::Row;

use super::ActingTx;
use crate::{Store, StoreError};

/// Where a user stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPosition {
    /// Best of all subscriptions, or what a person said instead.
    pub standing: Standing,
    /// Best of all subscriptions, whatever a person said.
    pub told: State,
    /// What a person said, once the state follows from it.
    pub correction: Option<UserCorrection>,
    /// The user's own credits; below zero when some were taken back after they were spent.
    pub balance: i64,
    /// Credits of their teams, those that have some.
    pub team_balance: i64,
    /// The subscription that stands for the state, when there is one.
    pub subscription: Option<UserSubscription>,
}

/// A correction of a user's plan, in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCorrection {
    /// `cor_...`.
    pub id: String,
    /// The plan, by its name in the catalogue; `None`: none at all.
    pub plan: Option<String>,
    /// Its price.
    pub price_id: Option<String>,
    /// When it is over, unix seconds; `None`: when it is withdrawn.
    pub until: Option<i64>,
}

/// A user's subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSubscription {
    /// `sub_...`.
    pub id: String,
    /// Stripe's own status.
    pub status: Option<String>,
}

/// Of several subscriptions one that stands for the state. Only what a reckoner writes: that is when the cache is told.
const POSITION: &str = "
    SELECT coalesce(u.state, 'no_subscription'), coalesce(u.entitled, false),
           coalesce((SELECT balance FROM ledger_accounts WHERE (account, owner_kind, owner_id) = ($1, 'user', $2)), 0),
           (SELECT coalesce(sum(greatest(a.balance, 0)), 0)::bigint FROM team_members m
            JOIN ledger_accounts a ON (a.account, a.owner_kind, a.owner_id) = (m.account, 'team', m.team_id)
            WHERE (m.account, m.user_id) = ($1, $2)),
           best.subscription_id, best.status, coalesce(u.told_state, u.state, 'no_subscription'),
           c.id, c.plan, c.price_id, extract(epoch FROM c.until)::bigint
    FROM (SELECT 1) AS one
    LEFT JOIN users u ON (u.account, u.id) = ($1, $2)
    LEFT JOIN plan_corrections c ON (c.account, c.id) = (u.account, u.correction_id)
    LEFT JOIN LATERAL (
        SELECT t.subscription_id, t.status FROM subscription_states t
        WHERE (t.account, t.user_id) = ($1, $2)
        ORDER BY t.state = coalesce(u.told_state, u.state) DESC, t.changed_at DESC, t.subscription_id DESC LIMIT 1
    ) AS best ON true";

impl Store {
    /// Credits all users and teams of an account hold together, for the API's role, which does not see them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn outstanding_for_api(&self, account: &str) -> Result<i64, StoreError> {
        let credits = sqlx::query_scalar("SELECT api_outstanding($1)").bind(account);
        Ok(credits.fetch_one(self.pool()).await?)
    }
}

impl ActingTx {
    /// Where a user stands. Whoever nobody has heard of, or may not be seen, stands nowhere and has nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn position_of(&mut self, user: &str) -> Result<UserPosition, StoreError> {
        let account = self.actor.account.clone();
        let row = sqlx::query(POSITION)
            .bind(account)
            .bind(user)
            .fetch_one(self.connection())
            .await?;
        Ok(read(&row)?)
    }
}

fn read(row: &sqlx::postgres::PgRow) -> Result<UserPosition, sqlx::Error> {
    let state: String = row.try_get(0)?;
    let subscription = match row.try_get::<Option<String>, _>(4)? {
        None => None,
        Some(id) => Some(UserSubscription {
            id,
            status: row.try_get(5)?,
        }),
    };
    let told: String = row.try_get(6)?;
    let correction = match row.try_get::<Option<String>, _>(7)? {
        None => None,
        Some(id) => Some(UserCorrection {
            id,
            plan: row.try_get(8)?,
            price_id: row.try_get(9)?,
            until: row.try_get(10)?,
        }),
    };
    Ok(UserPosition {
        standing: Standing {
            state: State::parse(&state).unwrap_or(State::NoSubscription),
            entitled: row.try_get(1)?,
        },
        told: State::parse(&told).unwrap_or(State::NoSubscription),
        correction,
        balance: row.try_get(2)?,
        team_balance: row.try_get(3)?,
        subscription,
    })
}
