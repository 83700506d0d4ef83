//! What people did with their power, and why.

use super::ActingTx;
use crate::StoreError;

/// A deed. Who did it is the transaction's actor.
#[derive(Debug, Clone, Copy)]
pub struct AuditRow<'a> {
    /// A word from a closed set.
    pub action: &'static str,
    /// Whom it concerns.
    pub user: Option<&'a str>,
    /// What it concerns.
    pub subject: Option<&'a str>,
    /// Why, in the actor's words; never empty.
    pub reason: &'a str,
    /// More, as a JSON object.
    pub detail: &'a serde_json::Value,
}

impl ActingTx {
    /// Writes a deed down, in the transaction that does it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit(&mut self, row: AuditRow<'_>) -> Result<(), StoreError> {
        let actor = self.actor.clone();
        sqlx::query(
            "INSERT INTO audit_log (account, actor, role, action, user_id, subject, reason, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)",
        )
        .bind(actor.account)
        .bind(actor.subject)
        .bind(actor.role.as_str())
        .bind(row.action)
        .bind(row.user)
        .bind(row.subject)
        .bind(row.reason)
        .bind(row.detail.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
