//! Credits for work that may fail: taken before it begins, given back as far as they were not used.

use domain::credits::Owner;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::ActingTx;
use crate::credits::{Spend, spend_outcome};
use crate::{Store, StoreError};

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// `rsv_...`.
    pub id: String,
    /// Whose credits.
    pub user: String,
    /// Credits that were taken.
    pub credits: i64,
    /// Credits that were used, once it is settled; the others went back.
    pub used: Option<i64>,
    /// `open`, `committed`, `released` or `expired`.
    pub status: String,
    /// What for.
    pub reason: Option<String>,
    /// Until when it may be settled, unix seconds. After that everything goes back.
    pub expires_at: i64,
    /// Unix seconds.
    pub created_at: i64,
}

/// How a reservation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// The work was done and used so many credits.
    Committed(i64),
    /// It was not.
    Released,
    /// Nobody said anything in time.
    Expired,
}

impl Settlement {
    fn status(self) -> &'static str {
        match self {
            Self::Committed(_) => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    fn used(self) -> i64 {
        match self {
            Self::Committed(used) => used,
            Self::Released | Self::Expired => 0,
        }
    }
}

/// What came of settling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is settled now.
    Done,
    /// It was before, in the same way.
    Repeated,
    /// It was settled otherwise; nothing changed.
    Conflict,
    /// More than were reserved; nothing changed.
    TooMany,
    /// There is no such reservation.
    Unknown,
}

/// What is reserved, by whom, for how long.
#[derive(Debug, Clone, Copy)]
pub struct Reserve<'a> {
    /// The reservation's id; the same again changes nothing.
    pub id: &'a str,
    /// Whose credits.
    pub user: &'a str,
    /// How many, above zero.
    pub credits: i64,
    /// What for.
    pub reason: Option<&'a str>,
    /// How long it may stay open, seconds.
    pub seconds: i64,
}

const COLUMNS: &str = "id, user_id, credits, used, status, reason,
    extract(epoch FROM expires_at)::bigint, extract(epoch FROM created_at)::bigint";

impl ActingTx {
    /// Takes credits for a reservation. Only the application and its staff may.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reserve(&mut self, reserve: Reserve<'_>) -> Result<Spend, StoreError> {
        let account = self.actor.account.clone();
        let row = sqlx::query("SELECT outcome, available FROM api_reserve($1, $2, $3, $4, $5, $6)")
            .bind(account)
            .bind(reserve.user)
            .bind(reserve.credits)
            .bind(reserve.id)
            .bind(reserve.reason)
            .bind(reserve.seconds)
            .fetch_one(self.connection())
            .await?;
        self.touch_spender(reserve.user).await?;
        Ok(spend_outcome(&row)?)
    }

    /// A user's reservation, when there is one of that name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reservation(&mut self, user: &str, id: &str) -> Result<Option<Reservation>, StoreError> {
        let account = self.actor.account.clone();
        let sql = format!("SELECT {COLUMNS} FROM reservations WHERE (account, id, user_id) = ($1, $2, $3)");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(account)
            .bind(id)
            .bind(user)
            .fetch_optional(self.connection())
            .await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Settles a reservation of `user`. Only the application and its staff may.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn settle(
        &mut self,
        user: &str,
        id: &str,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        let account = self.actor.account.clone();
        let outcome: String = sqlx::query_scalar("SELECT outcome FROM api_settle($1, $2, $3, $4)")
            .bind(account)
            .bind(id)
            .bind(settlement.used())
            .bind(settlement.status())
            .fetch_one(self.connection())
            .await?;
        self.touch_spender(user).await?;
        match outcome.as_str() {
            "settled" => Ok(Settled::Done),
            "repeated" => Ok(Settled::Repeated),
            "conflict" => Ok(Settled::Conflict),
            "too_many" => Ok(Settled::TooMany),
            "unknown" => Ok(Settled::Unknown),
            other => Err(sqlx::Error::Decode(format!("api_settle answers {other:?}").into()).into()),
        }
    }

    /// Whose credits a spend takes is the database's to decide; it may be those of any team of the user's.
    pub(super) async fn touch_spender(&mut self, user: &str) -> Result<(), StoreError> {
        let account = self.actor.account.clone();
        let teams: Vec<String> =
            sqlx::query_scalar("SELECT team_id FROM team_members WHERE (account, user_id) = ($1, $2)")
                .bind(&account)
                .bind(user)
                .fetch_all(self.connection())
                .await?;
        self.tx.1.user(&account, user);
        for team in teams {
            self.tx.1.owner(&account, &Owner::Team(team));
        }
        Ok(())
    }
}

impl Store {
    /// Reservations of an account whose time is over, `(id, user)`, the longest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overdue_reservations(
        &self,
        actor: &super::Actor,
        rows_max: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut tx = self.begin_as(actor).await?;
        let rows = sqlx::query_as(
            "SELECT id, user_id FROM reservations
             WHERE account = $1 AND status = 'open' AND expires_at < clock_timestamp()
             ORDER BY expires_at LIMIT $2",
        )
        .bind(&actor.account)
        .bind(i64::from(rows_max))
        .fetch_all(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(rows)
    }
}

fn read(row: &PgRow) -> Result<Reservation, sqlx::Error> {
    Ok(Reservation {
        id: row.try_get(0)?,
        user: row.try_get(1)?,
        credits: row.try_get(2)?,
        used: row.try_get(3)?,
        status: row.try_get(4)?,
        reason: row.try_get(5)?,
        expires_at: row.try_get(6)?,
        created_at: row.try_get(7)?,
    })
}
