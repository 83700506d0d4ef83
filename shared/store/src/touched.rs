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
    users: BTreeSet<(String, String)>,
    teams: BTreeSet<(String, String)>,
}

/// Between "about to commit" and "committed".
pub(crate) struct Fence {
    cache: StateCache,
    users: Vec<(String, String)>,
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

    /// Before the commit: from now on nothing is kept of these users. Whoever changes the same ones waits for their rows.
    pub(crate) async fn fence(self, connection: &mut PgConnection) -> Result<Option<Fence>, StoreError> {
        let Some(cache) = self.cache else { return Ok(None) };
        let touches = !self.users.is_empty() || !self.teams.is_empty();
        if !touches || !cache.is_kept().await.map_err(StoreError::Cache)? {
            return Ok(None);
        }
        let mut users = self.users;
        users.extend(members(connection, &self.teams).await?);
        if users.is_empty() {
            return Ok(None);
        }
        let fence = Fence {
            cache,
            users: users.into_iter().collect(),
            word: unique::word(),
        };
        fence
            .cache
            .changing(&fence.named(), &fence.word)
            .await
            .map_err(StoreError::Cache)?;
        Ok(Some(fence))
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

async fn members(
    connection: &mut PgConnection,
    teams: &BTreeSet<(String, String)>,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    if teams.is_empty() {
        return Ok(Vec::new());
    }
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
