//! Payments, as Stripe told of them.

use domain::credits::PaymentFacts;
use sqlx::Row;

use super::ActingTx;
use crate::StoreError;
use crate::reckon::sources;

/// How often to look again when a refund was told of meanwhile.
const LOOKS_MAX: u32 = 10;

/// What Stripe told of a payment intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentTold {
    /// Whose it is, when anything says so.
    pub user: Option<String>,
    /// Stripe's status.
    pub status: Option<String>,
    /// Minor units.
    pub amount: Option<i64>,
    /// Minor units that were paid.
    pub amount_received: i64,
    /// Of what.
    pub currency: Option<String>,
    /// Why the last attempt failed, Stripe's code and the bank's.
    pub error: (Option<String>, Option<String>),
}

/// What became of a payment's money.
#[derive(Debug, Clone, PartialEq)]
pub struct Money {
    /// As far as Stripe told.
    pub facts: PaymentFacts,
    /// Minor units of refunds that we asked for, and of which Stripe has not told yet.
    pub untold: i64,
}

impl ActingTx {
    /// What Stripe told of a payment intent, as far as the actor may see it. A user sees what is attributed to them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn payment_told(&mut self, id: &str) -> Result<Option<PaymentTold>, StoreError> {
        let account = self.actor.account.clone();
        let row = sqlx::query(
            "SELECT coalesce(nullif(p.metadata ->> 'user_id', ''), m.user_id), p.status, p.amount,
                    coalesce(p.amount_received, 0), p.currency, p.error_code, p.error_decline_code
             FROM payment_intents p
             LEFT JOIN customer_users m ON (m.account, m.customer_id) = (p.account, p.customer_id)
             WHERE (p.account, p.id) = ($1, $2)",
        )
        .bind(account)
        .bind(id)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(PaymentTold {
            user: row.try_get(0)?,
            status: row.try_get(1)?,
            amount: row.try_get(2)?,
            amount_received: row.try_get(3)?,
            currency: row.try_get(4)?,
            error: (row.try_get(5)?, row.try_get(6)?),
        }))
    }

    /// What became of a payment's money, and what is about to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn money_of(&mut self, payment: &str) -> Result<Money, StoreError> {
        let account = self.actor.account.clone();
        let mut untold = self.untold_refunds(payment).await?;
        // Two statements see two moments: of a refund that is told of in between, both would know, or neither. Whoever
        // asks holds the payment, so a refund is only told of, once, and the next look finds no more of them.
        for _ in 0..LOOKS_MAX {
            let facts = sources::payment(self.connection(), &account, payment).await?;
            let still = self.untold_refunds(payment).await?;
            if still == untold {
                return Ok(Money { facts, untold });
            }
            untold = still;
        }
        let facts = sources::payment(self.connection(), &account, payment).await?;
        Ok(Money { facts, untold })
    }

    /// Minor units of refunds that we asked for, and of which Stripe has not told yet.
    async fn untold_refunds(&mut self, payment: &str) -> Result<i64, StoreError> {
        let account = self.actor.account.clone();
        let untold = sqlx::query_scalar(
            "SELECT coalesce(sum((i.wish ->> 'amount')::bigint), 0)::bigint FROM stripe_intents i
             WHERE i.account = $1 AND i.kind = 'refund' AND i.wish ->> 'payment' = $2
               AND i.state <> 'refused' AND NOT EXISTS (
                   SELECT FROM refunds r WHERE (r.account, r.payment_intent_id) = ($1, $2)
                       AND (r.id = i.object_id OR r.metadata ->> 'tollgate_intent' = i.id))",
        )
        .bind(&account)
        .bind(payment)
        .fetch_one(self.connection())
        .await?;
        Ok(untold)
    }

    /// Waits until nobody else decides what may be given back of a payment. Until the end of the transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_payment(&mut self, payment: &str) -> Result<(), StoreError> {
        let account = self.actor.account.clone();
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(':', 'payment', $1, $2), 0))")
            .bind(account)
            .bind(payment)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
