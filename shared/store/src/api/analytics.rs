//! What was sold, and what the platform owes in credits.

use sqlx::Row;

use super::ActingTx;
use crate::StoreError;

/// A time to count over.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// From then on, unix seconds.
    pub since: i64,
    /// Before then, unix seconds.
    pub until: i64,
    /// What to count by: a word of Postgres's calendar.
    pub unit: Unit,
}

/// A unit of the calendar (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// From midnight on.
    Day,
    /// From Monday on.
    Week,
    /// From the first on.
    Month,
}

impl Unit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// Sales of one kind and currency in one unit of time. Amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sales {
    /// When the unit begins, unix seconds.
    pub begins: i64,
    /// `plan`, `package`, `topup`, or `other` for invoices without a subscription.
    pub kind: String,
    /// Of the amounts.
    pub currency: String,
    /// How many.
    pub count: i64,
    /// What was paid.
    pub gross: i64,
    /// What of it came back, whenever it did.
    pub refunded: i64,
}

/// Subscriptions that began and ended in one unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribers {
    /// When the unit begins, unix seconds.
    pub begins: i64,
    /// How many began.
    pub began: i64,
    /// How many ended.
    pub ended: i64,
}

/// What became of all credits, summed over all users and teams. `granted + adjusted` is all the others together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// Given for payments and free, less what refunds and lost disputes took back.
    pub granted: i64,
    /// Given by hand, less what was taken by hand.
    pub adjusted: i64,
    /// Used.
    pub spent: i64,
    /// Taken for work under way.
    pub reserved: i64,
    /// Gone by the clock.
    pub expired: i64,
    /// Of open disputes.
    pub held: i64,
    /// What all have together, less what some owe.
    pub outstanding: i64,
}

impl ActingTx {
    /// What was sold, by time, kind and currency. Only staff may ask.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sales(&mut self, span: Span) -> Result<Vec<Sales>, StoreError> {
        let account = self.actor.account.clone();
        let rows = sqlx::query(
            "SELECT extract(epoch FROM begins)::bigint, kind, currency, count, gross, refunded
             FROM api_sales($1, to_timestamp($2), to_timestamp($3), $4)",
        )
        .bind(account)
        .bind(span.since)
        .bind(span.until)
        .bind(span.unit.as_str())
        .fetch_all(self.connection())
        .await?;
        let sales = rows.iter().map(|row| {
            Ok(Sales {
                begins: row.try_get(0)?,
                kind: row.try_get(1)?,
                currency: row.try_get(2)?,
                count: row.try_get(3)?,
                gross: row.try_get(4)?,
                refunded: row.try_get(5)?,
            })
        });
        Ok(sales.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Subscriptions that began and ended, by time. Only staff may ask.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn subscribers(&mut self, span: Span) -> Result<Vec<Subscribers>, StoreError> {
        let account = self.actor.account.clone();
        let rows = sqlx::query(
            "SELECT extract(epoch FROM begins)::bigint, began, ended
             FROM api_subscriptions($1, to_timestamp($2), to_timestamp($3), $4)",
        )
        .bind(account)
        .bind(span.since)
        .bind(span.until)
        .bind(span.unit.as_str())
        .fetch_all(self.connection())
        .await?;
        let counts = rows.iter().map(|row| {
            Ok(Subscribers {
                begins: row.try_get(0)?,
                began: row.try_get(1)?,
                ended: row.try_get(2)?,
            })
        });
        Ok(counts.collect::<Result<_, sqlx::Error>>()?)
    }

    /// What became of all credits: the few rows of the platform's own accounts, and what is reserved now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn platform(&mut self) -> Result<Platform, StoreError> {
        let account = self.actor.account.clone();
        let row = sqlx::query(
            "SELECT coalesce(-sum(balance) FILTER (WHERE side = 'issued'), 0)::bigint,
                    coalesce(-sum(balance) FILTER (WHERE side = 'adjusted'), 0)::bigint,
                    coalesce(sum(balance) FILTER (WHERE side = 'spent'), 0)::bigint,
                    coalesce(sum(balance) FILTER (WHERE side = 'expired'), 0)::bigint,
                    coalesce(sum(balance) FILTER (WHERE side = 'held'), 0)::bigint,
                    coalesce(-sum(balance), 0)::bigint,
                    (SELECT coalesce(sum(credits), 0)::bigint FROM reservations WHERE account = $1 AND status = 'open')
             FROM (SELECT balance, split_part(owner_id, ':', 1) AS side FROM ledger_accounts
                   WHERE account = $1 AND owner_kind = 'platform') AS platform",
        )
        .bind(account)
        .fetch_one(self.connection())
        .await?;
        let (spent, reserved): (i64, i64) = (row.try_get(2)?, row.try_get(6)?);
        Ok(Platform {
            granted: row.try_get(0)?,
            adjusted: row.try_get(1)?,
            spent: spent - reserved,
            reserved,
            expired: row.try_get(3)?,
            held: row.try_get(4)?,
            outstanding: row.try_get(5)?,
        })
    }
}
