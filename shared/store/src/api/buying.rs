//! What may be bought, by whom, and what Stripe told of it.

use sqlx::Row;

use super::ActingTx;
use crate::StoreError;

/// What kind of thing is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferKind {
    /// Paid again and again.
    Plan,
    /// Credits, paid once.
    Package,
}

/// Something that can be bought now, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sold {
    /// What clients ask for.
    pub name: String,
    /// A plan or a package.
    pub kind: OfferKind,
    /// Its price at Stripe.
    pub price_id: String,
    /// Credits per unit.
    pub credits: i64,
    /// How long they last.
    pub expire_days: Option<i64>,
    /// Minor units and their currency, by the catalogue file or else by Stripe's events, when either says so.
    pub price: Option<(i64, String)>,
}

/// What Stripe told of a checkout session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTold {
    /// `open`, `complete` or `expired`.
    pub status: Option<String>,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub payment_status: Option<String>,
    /// What it paid.
    pub payment_intent_id: Option<String>,
    /// What it made.
    pub subscription_id: Option<String>,
    /// Whether that has had its effect on the user's state.
    pub subscription_counts: bool,
}

/// A subscription that can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningSubscription {
    /// `sub_...`.
    pub id: String,
    /// The first thing it bills: `si_...`.
    pub item_id: Option<String>,
    /// How many things it bills.
    pub items: i64,
}

impl ActingTx {
    /// An offer that is active.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sold(&mut self, name: &str) -> Result<Option<Sold>, StoreError> {
        let account = self.actor.account.clone();
        let row = sqlx::query(
            "SELECT o.name, o.kind = 'plan', o.price_id, o.credits, (o.definition ->> 'credits_expire_days')::bigint,
                    coalesce((o.definition ->> 'unit_amount')::bigint, p.unit_amount),
                    coalesce(o.definition ->> 'currency', p.currency)
             FROM catalog_offers o LEFT JOIN prices p ON (p.account, p.id) = (o.account, o.price_id)
             WHERE (o.account, o.name) = ($1, $2) AND o.active",
        )
        .bind(account)
        .bind(name)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (amount, currency): (Option<i64>, Option<String>) = (row.try_get(5)?, row.try_get(6)?);
        Ok(Some(Sold {
            name: row.try_get(0)?,
            kind: if row.try_get(1)? {
                OfferKind::Plan
            } else {
                OfferKind::Package
            },
            price_id: row.try_get(2)?,
            credits: row.try_get(3)?,
            expire_days: row.try_get(4)?,
            price: amount.zip(currency),
        }))
    }

    /// The customer a user pays as: one with a running subscription before others, then the oldest. Those of teams are
    /// not asked about: what they pay is the team's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customer_of(&mut self, user: &str) -> Result<Option<String>, StoreError> {
        let account = self.actor.account.clone();
        let id = sqlx::query_scalar(
            "SELECT m.customer_id FROM customer_users m
             LEFT JOIN customers c ON (c.account, c.id) = (m.account, m.customer_id)
             WHERE (m.account, m.user_id) = ($1, $2) AND m.team_id IS NULL AND NOT coalesce(c.deleted, false)
             ORDER BY EXISTS (SELECT FROM subscriptions s
                              WHERE (s.account, s.customer_id) = (m.account, m.customer_id)
                                AND s.status NOT IN ('canceled', 'incomplete_expired')) DESC,
                      c.created, m.customer_id
             LIMIT 1",
        )
        .bind(account)
        .bind(user)
        .fetch_optional(self.connection())
        .await?;
        Ok(id)
    }

    /// The subscription of a user that runs, by Stripe's word; of several the one that stands for the state. Not a
    /// team's: it is not one member's to change.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn running_subscription(
        &mut self,
        user: &str,
    ) -> Result<Option<RunningSubscription>, StoreError> {
        let account = self.actor.account.clone();
        let row = sqlx::query(
            "SELECT t.subscription_id,
                    (SELECT i.id FROM subscription_items i
                     WHERE (i.account, i.subscription_id) = (t.account, t.subscription_id) ORDER BY i.position LIMIT 1),
                    (SELECT count(*) FROM subscription_items i
                     WHERE (i.account, i.subscription_id) = (t.account, t.subscription_id))
             FROM subscription_states t LEFT JOIN users u ON (u.account, u.id) = (t.account, t.user_id)
             WHERE (t.account, t.user_id) = ($1, $2) AND t.team_id IS NULL
               AND t.state IN ('active', 'trialing', 'past_due')
             ORDER BY t.state = coalesce(u.told_state, u.state) DESC, t.changed_at DESC, t.subscription_id DESC LIMIT 1",
        )
        .bind(account)
        .bind(user)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(RunningSubscription {
            id: row.try_get(0)?,
            item_id: row.try_get(1)?,
            items: row.try_get(2)?,
        }))
    }

    /// Whether Stripe told that a customer is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_customer_deleted(&mut self, id: &str) -> Result<bool, StoreError> {
        let account = self.actor.account.clone();
        let deleted: Option<bool> =
            sqlx::query_scalar("SELECT deleted FROM customers WHERE (account, id) = ($1, $2)")
                .bind(account)
                .bind(id)
                .fetch_optional(self.connection())
                .await?;
        Ok(deleted.unwrap_or(false))
    }

    /// What Stripe told of a checkout session: nothing before it is paid or expires.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session_told(&mut self, id: &str) -> Result<Option<SessionTold>, StoreError> {
        let account = self.actor.account.clone();
        let row = sqlx::query(
            "SELECT s.status, s.payment_status, s.payment_intent_id, s.subscription_id,
                    EXISTS (SELECT FROM subscription_states t
                            WHERE (t.account, t.subscription_id) = (s.account, s.subscription_id))
             FROM checkout_sessions s WHERE (s.account, s.id) = ($1, $2)",
        )
        .bind(account)
        .bind(id)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SessionTold {
            status: row.try_get(0)?,
            payment_status: row.try_get(1)?,
            payment_intent_id: row.try_get(2)?,
            subscription_id: row.try_get(3)?,
            subscription_counts: row.try_get(4)?,
        }))
    }
}
