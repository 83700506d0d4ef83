//! Whom a transaction changes, so that what is kept of them elsewhere is never older than what is committed.

use std::collections::BTreeSet;

use domain::credits::Owner;
use shared::state_cache::{CachedUser, StateCache};
use shared::unique;
use sqlx::{PgConnection, Row};

use crate::StoreError;
use crate::upsert::column;

/// Users and teams whose standing or credits a transaction changes.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    cache: Option<StateCache>,
    users: BTreeSet<User>,
    teams: BTreeSet<User>,
    /// What was told of them so far.
    fences: Vec<Fence>,
}

/// Account and id.
type User = (String, String);

/// Between "about to commit" and "committed".
#[derive(Debug)]
pub(crate) struct Fence {
    cache: StateCache,
    users: BTreeSet<User>,
    word: String,
}

impl Touched {
    pub(crate) fn new(cache: Option<StateCache>) -> Self {
        Self {
            cache,
            ..Self::default()
        }
    }

    pub(crate) fn user(&mut self, account: &str, user: &str) {
        if self.cache.is_some() {
            self.users.insert((account.to_owned(), user.to_owned()));
        }
    }

    /// What a team has is its members' to spend.
    pub(crate) fn owner(&mut self, account: &str, owner: &Owner) {
        match owner {
            Owner::User(user) => self.user(account, user),
            Owner::Team(team) if self.cache.is_some() => {
                self.teams.insert((account.to_owned(), team.clone()));
            }
            Owner::Team(_) => {}
        }
    }

    /// From now on nothing is kept of the users named so far, until this transaction is over.
    pub(crate) async fn raise(&mut self) -> Result<(), StoreError> {
        let Some(cache) = &self.cache else { return Ok(()) };
        for fence in &self.fences {
            self.users.retain(|user| !fence.users.contains(user));
        }
        if self.users.is_empty() || !cache.is_kept().await.map_err(StoreError::Cache)? {
            return Ok(());
        }
        let fence = Fence {
            cache: cache.clone(),
            users: std::mem::take(&mut self.users),
            word: unique::word(),
        };
        fence
            .cache
            .changing(&fence.named(), &fence.word)
            .await
            .map_err(StoreError::Cache)?;
        self.fences.push(fence);
        Ok(())
    }

    /// Before the commit, the same of everybody. Whoever changes the same ones waits for their rows.
    pub(crate) async fn fence(mut self, connection: &mut PgConnection) -> Result<Vec<Fence>, StoreError> {
        if let Some(cache) = &self.cache
            && !self.teams.is_empty()
            && cache.is_kept().await.map_err(StoreError::Cache)?
        {
            self.users.extend(members(connection, &self.teams).await?);
        }
        self.raise().await?;
        Ok(self.fences)
    }
}

impl Fence {
    /// After the commit.
    pub(crate) async fn lift(self) {
        if let Err(error) = self.cache.changed(&self.named(), &self.word).await {
            tracing::debug!(%error, "states stay out of the cache for a while");
        }
    }

    fn named(&self) -> Vec<CachedUser<'_>> {
        let user = |(account, user)| CachedUser { account, user };
        self.users
            .iter()
            .map(|(account, id)| user((account.as_str(), id.as_str())))
            .collect()
    }
}

async fn members(connection: &mut PgConnection, teams: &BTreeSet<User>) -> Result<Vec<User>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT m.account, m.user_id FROM unnest($1::text[], $2::text[]) AS touched (account, team_id)
         JOIN team_members m USING (account, team_id)",
    )
    .bind(column!(teams, team => team.0.as_str()))
    .bind(column!(teams, team => team.1.as_str()))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}
