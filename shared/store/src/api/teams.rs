//! Who is in a team, and may spend its credits.

use super::ActingTx;
use crate::StoreError;

impl ActingTx {
    /// The members of a team, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn team_members(&mut self, team: &str) -> Result<Vec<String>, StoreError> {
        let account = self.actor.account.clone();
        let members = sqlx::query_scalar(
            "SELECT user_id FROM team_members WHERE (account, team_id) = ($1, $2) ORDER BY user_id",
        )
        .bind(account)
        .bind(team)
        .fetch_all(self.connection())
        .await?;
        Ok(members)
    }

    /// Lets a user spend a team's credits, or no longer. Only the application and its staff may. Returns whether that
    /// is new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_team_member(
        &mut self,
        team: &str,
        user: &str,
        is_member: bool,
    ) -> Result<bool, StoreError> {
        let account = self.actor.account.clone();
        let sql = if is_member {
            "INSERT INTO team_members (account, team_id, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM team_members WHERE (account, team_id, user_id) = ($1, $2, $3)"
        };
        let query = sqlx::query(sql).bind(&account).bind(team).bind(user);
        let changed = query.execute(self.connection()).await?.rows_affected() > 0;
        self.tx.1.user(&account, user);
        Ok(changed)
    }
}
