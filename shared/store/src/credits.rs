//! Using credits: spending, balances, and who shares a team's.

use domain::credits::Owner;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::{Store, StoreError};

/// What came of a spend. Each but [`Self::Conflict`] says what the user can spend now, own credits and teams'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spend {
    /// It is done.
    Spent {
        /// Credits that are left.
        available: i64,
    },
    /// It was done before, by a call with the same key; nothing changed.
    Repeated {
        /// Credits that are left.
        available: i64,
    },
    /// The key was used for another amount or another user; nothing changed.
    Conflict,
    /// There are too few; nothing changed.
    Insufficient {
        /// Credits that there are.
        available: i64,
    },
    /// The user's own balance is below zero, and comes first; nothing changed.
    Owing {
        /// It.
        balance: i64,
    },
}

/// What a user can spend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Balance {
    /// The user's own credits; below zero when some were taken back after they were spent.
    pub own: i64,
    /// Credits of each team, by name.
    pub teams: Vec<(String, i64)>,
}

impl Balance {
    /// Credits of all teams that have some.
    #[must_use]
    pub fn of_teams(&self) -> i64 {
        let some = self.teams.iter().map(|(_, credits)| (*credits).max(0));
        some.fold(0, i64::saturating_add)
    }

    /// What can be spent now: nothing while the user owes.
    #[must_use]
    pub fn available(&self) -> i64 {
        if self.own < 0 {
            return 0;
        }
        self.own.saturating_add(self.of_teams())
    }
}

impl Store {
    /// Spends credits of a user: their own, then their teams'. All or nothing, and once for each `key`, whatever is
    /// tried again. `credits` must be above zero.
    ///
    /// # Errors
    /// [`StoreError`]; whether it was done is then unknown, and the same call again finds out.
    pub async fn spend(
        &self,
        account: &str,
        user: &str,
        credits: i64,
        key: &str,
        reason: Option<&str>,
    ) -> Result<Spend, StoreError> {
        let row = sqlx::query("SELECT outcome, available FROM spend_credits($1, $2, $3, $4, $5)")
            .bind(account)
            .bind(user)
            .bind(credits)
            .bind(key)
            .bind(reason)
            .fetch_one(self.pool())
            .await?;
        Ok(spend_outcome(&row)?)
    }

    /// What a user can spend. Whoever nobody has heard of has nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn balance_of(&self, account: &str, user: &str) -> Result<Balance, StoreError> {
        let mut connection = self.pool().acquire().await?;
        Ok(balance(&mut connection, account, user).await?)
    }

    /// What an owner has, without what a user shares.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn credits_of(&self, account: &str, owner: &Owner) -> Result<i64, StoreError> {
        let mut connection = self.pool().acquire().await?;
        Ok(credits(&mut connection, account, owner).await?)
    }

    /// Lets a user spend a team's credits. Returns whether that is new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_team_member(&self, account: &str, team: &str, user: &str) -> Result<bool, StoreError> {
        let sql =
            "INSERT INTO team_members (account, team_id, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        self.change_member(sql, account, team, user).await
    }

    /// Lets a user no longer spend a team's credits. Returns whether they could.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_team_member(
        &self,
        account: &str,
        team: &str,
        user: &str,
    ) -> Result<bool, StoreError> {
        let sql = "DELETE FROM team_members WHERE (account, team_id, user_id) = ($1, $2, $3)";
        self.change_member(sql, account, team, user).await
    }

    async fn change_member(
        &self,
        sql: &'static str,
        account: &str,
        team: &str,
        user: &str,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(sql).bind(account).bind(team).bind(user);
        Ok(query.execute(self.pool()).await?.rows_affected() > 0)
    }

    /// Credits that all users and teams of an account have together, less what some owe.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn outstanding(&self, account: &str) -> Result<i64, StoreError> {
        let mut connection = self.pool().acquire().await?;
        Ok(outstanding(&mut connection, account).await?)
    }

    /// Credits the platform may still hand out, when `outstanding_max` is what there may be; `None` without a limit.
    /// Below zero when more was paid for than that.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn capacity_left(
        &self,
        account: &str,
        outstanding_max: Option<i64>,
    ) -> Result<Option<i64>, StoreError> {
        match outstanding_max {
            Some(most) => Ok(Some(most.saturating_sub(self.outstanding(account).await?))),
            None => Ok(None),
        }
    }
}

/// What an owner has.
pub(crate) async fn credits(
    connection: &mut PgConnection,
    account: &str,
    owner: &Owner,
) -> Result<i64, sqlx::Error> {
    let credits: Option<i64> = sqlx::query_scalar(
        "SELECT balance FROM ledger_accounts WHERE (account, owner_kind, owner_id) = ($1, $2, $3)",
    )
    .bind(account)
    .bind(owner.kind())
    .bind(owner.id())
    .fetch_optional(connection)
    .await?;
    Ok(credits.unwrap_or(0))
}

/// The ledger's account of an owner.
pub(crate) async fn ledger_account(
    connection: &mut PgConnection,
    account: &str,
    owner: &Owner,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM ledger_accounts WHERE (account, owner_kind, owner_id) = ($1, $2, $3)")
        .bind(account)
        .bind(owner.kind())
        .bind(owner.id())
        .fetch_optional(connection)
        .await
}

/// What `spend_credits` answers.
pub(crate) fn spend_outcome(row: &PgRow) -> Result<Spend, sqlx::Error> {
    let (outcome, available): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    match outcome.as_str() {
        "spent" => Ok(Spend::Spent { available }),
        "repeated" => Ok(Spend::Repeated { available }),
        "conflict" => Ok(Spend::Conflict),
        "insufficient" => Ok(Spend::Insufficient { available }),
        "owing" => Ok(Spend::Owing { balance: available }),
        other => Err(sqlx::Error::Decode(
            format!("spend_credits answers {other:?}").into(),
        )),
    }
}

/// What a user can spend.
pub(crate) async fn balance(
    connection: &mut PgConnection,
    account: &str,
    user: &str,
) -> Result<Balance, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT NULL AS team, balance FROM ledger_accounts
         WHERE (account, owner_kind, owner_id) = ($1, 'user', $2)
         UNION ALL
         SELECT m.team_id, coalesce(a.balance, 0) FROM team_members m
         LEFT JOIN ledger_accounts a ON (a.account, a.owner_kind, a.owner_id) = (m.account, 'team', m.team_id)
         WHERE (m.account, m.user_id) = ($1, $2)
         ORDER BY team",
    )
    .bind(account)
    .bind(user)
    .fetch_all(connection)
    .await?;
    let mut balance = Balance::default();
    for row in rows {
        let credits = row.try_get(1)?;
        match row.try_get(0)? {
            Some(team) => balance.teams.push((team, credits)),
            None => balance.own = credits,
        }
    }
    Ok(balance)
}

/// What the platform's side lacks, users and teams have.
pub(crate) async fn outstanding(connection: &mut PgConnection, account: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT coalesce(-sum(balance), 0)::bigint FROM ledger_accounts WHERE account = $1 AND owner_kind = 'platform'",
    )
    .bind(account)
    .fetch_one(connection)
    .await
}
