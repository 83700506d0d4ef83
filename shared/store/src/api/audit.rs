//! What people did with their power, and why.

use sqlx::PgConnection;

use super::{ActingTx, Actor};
use crate::{StoreError, Tx};

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

/// The login of whoever works on the installation itself, past the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The Stripe account whose data it is; `""` is the platform's own.
    pub account: String,
    /// Who they are on their machine.
    pub login: String,
}

/// What an operator is in the audit log.
const OPERATOR: &str = "operator";

impl ActingTx {
    /// Writes a deed down, in the transaction that does it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit(&mut self, row: AuditRow<'_>) -> Result<(), StoreError> {
        let Actor {
            account,
            role,
            subject,
        } = self.actor.clone();
        Ok(write(self.connection(), &account, &subject, role.as_str(), row).await?)
    }
}

impl Tx {
    /// Writes an operator's deed down, in the transaction that does it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_as(&mut self, operator: &Operator, row: AuditRow<'_>) -> Result<(), StoreError> {
        Ok(write(&mut self.0, &operator.account, &operator.login, OPERATOR, row).await?)
    }
}

async fn write(
    connection: &mut PgConnection,
    account: &str,
    actor: &str,
    role: &str,
    row: AuditRow<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit_log (account, actor, role, action, user_id, subject, reason, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)",
    )
    .bind(account)
    .bind(actor)
    .bind(role)
    .bind(row.action)
    .bind(row.user)
    .bind(row.subject)
    .bind(row.reason)
    .bind(row.detail.to_string())
    .execute(connection)
    .await?;
    Ok(())
}
