//! What people did with their power, and why.

use shared::queue::QueueDeed;
use sqlx::PgConnection;

use super::{ActingTx, Actor, ActorRole};
use crate::upsert::column;
use crate::{Store, StoreError, Tx};

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

/// Stands for a reason where none was given.
pub const NOT_SAID: &str = "not said";
/// What an operator is in the audit log.
const OPERATOR: &str = "operator";

impl ActingTx {
    /// Whether it is staff who act.
    #[must_use]
    pub fn is_by_staff(&self) -> bool {
        self.actor.role == ActorRole::Admin
    }

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

impl Store {
    /// Writes down what was done to the queue with commands, each once however often it is told: Redis gave it a name. The
    /// queue is the platform's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_queue_deeds(&self, deeds: &[QueueDeed]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO audit_log (account, actor, role, action, subject, reason, created_at)
             SELECT '', actor, $1, action, subject, coalesce(nullif(reason, ''), $7),
                    to_timestamp(at_ms / 1000.0)
             FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
                  AS deed (actor, action, subject, reason, at_ms)
             ON CONFLICT (action, subject) WHERE action IN ('queue.pause', 'queue.resume') AND subject IS NOT NULL
             DO NOTHING",
        )
        .bind(OPERATOR)
        .bind(column!(deeds, deed => deed.by.as_str()))
        .bind(column!(deeds, deed => deed.action.as_str()))
        .bind(column!(deeds, deed => deed.id.as_str()))
        .bind(column!(deeds, deed => deed.why.as_str()))
        .bind(column!(deeds, deed => deed.at_ms))
        .bind(NOT_SAID)
        .execute(self.pool())
        .await?;
        Ok(())
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
