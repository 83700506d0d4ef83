//! One customer, for who looks into it: how they stand, and nothing about who they are.

use sqlx::Row;

use crate::{Store, StoreError};

/// Most subscriptions that are shown of a customer.
const SUBSCRIPTIONS_MAX: i64 = 100;

/// A customer as Postgres has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerSeen {
    /// Whether it is about real money.
    pub livemode: bool,
    /// Whether Stripe has deleted it.
    pub deleted: bool,
    /// Whether Stripe says that its latest invoice is unpaid.
    pub delinquent: Option<bool>,
    /// Whose it is.
    pub user: Option<UserSeen>,
    /// The newest first, at most 100.
    pub subscriptions: Vec<SubscriptionSeen>,
}

/// The user behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSeen {
    /// By our name.
    pub id: String,
    /// Where they stand; not yet reckoned is none.
    pub state: Option<String>,
    /// Whether they may use what they bought.
    pub entitled: bool,
    /// Their own credits.
    pub credits: i64,
}

/// A subscription of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionSeen {
    /// `sub_...`.
    pub id: String,
    /// Stripe's word.
    pub status: Option<String>,
    /// Ours; not yet reckoned is none.
    pub state: Option<String>,
    /// When what runs now is over, unix seconds.
    pub current_period_end: Option<i64>,
    /// Whether it then ends.
    pub cancel_at_period_end: bool,
}

impl Store {
    /// Reads a customer; `None` when nothing is known of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customer(&self, account: &str, id: &str) -> Result<Option<CustomerSeen>, StoreError> {
        let row = sqlx::query(
            "SELECT c.livemode, c.deleted, c.delinquent, c.user_id, u.state, coalesce(u.entitled, false),
                    coalesce(l.balance, 0)
             FROM customers c
             LEFT JOIN users u ON (u.account, u.id) = (c.account, c.user_id)
             LEFT JOIN ledger_accounts l ON (l.account, l.owner_kind, l.owner_id) = (c.account, 'user', c.user_id)
             WHERE (c.account, c.id) = ($1, $2)",
        )
        .bind(account)
        .bind(id)
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let user = |id| -> Result<UserSeen, sqlx::Error> {
            Ok(UserSeen {
                id,
                state: row.try_get(4)?,
                entitled: row.try_get(5)?,
                credits: row.try_get(6)?,
            })
        };
        Ok(Some(CustomerSeen {
            livemode: row.try_get(0)?,
            deleted: row.try_get(1)?,
            delinquent: row.try_get(2)?,
            user: row.try_get::<Option<String>, _>(3)?.map(user).transpose()?,
            subscriptions: self.subscriptions_of(account, id).await?,
        }))
    }

    async fn subscriptions_of(
        &self,
        account: &str,
        customer: &str,
    ) -> Result<Vec<SubscriptionSeen>, StoreError> {
        let rows = sqlx::query(
            "SELECT s.id, s.status, m.state, extract(epoch FROM s.current_period_end)::bigint, s.cancel_at_period_end
             FROM subscriptions s
             LEFT JOIN subscription_states m ON (m.account, m.subscription_id) = (s.account, s.id)
             WHERE (s.account, s.customer_id) = ($1, $2) ORDER BY s.created DESC, s.id LIMIT $3",
        )
        .bind(account)
        .bind(customer)
        .bind(SUBSCRIPTIONS_MAX)
        .fetch_all(self.pool())
        .await?;
        let row = |row: &sqlx::postgres::PgRow| {
            Ok(SubscriptionSeen {
                id: row.try_get(0)?,
                status: row.try_get(1)?,
                state: row.try_get(2)?,
                current_period_end: row.try_get(3)?,
                cancel_at_period_end: row.try_get(4)?,
            })
        };
        Ok(rows.iter().map(row).collect::<Result<_, sqlx::Error>>()?)
    }
}
