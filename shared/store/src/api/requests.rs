//! Requests that must not be carried out twice, and what was answered.

use std::time::Duration;

use sqlx::Row;

use super::Actor;
use crate::{Store, StoreError};

/// Names a request: a key of the caller's own choosing.
#[derive(Debug, Clone, Copy)]
pub struct RequestKey<'a> {
    /// Who asks.
    pub actor: &'a Actor,
    /// The `Idempotency-Key` they sent.
    pub key: &'a str,
    /// A hash over method, path and body.
    pub fingerprint: &'a [u8],
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// As sent.
    pub body: Vec<u8>,
}

/// Whether a request is to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Yes, by whoever is told so; the others are told to wait.
    New,
    /// It was; this is what was answered.
    Answered(Answer),
    /// Somebody is at it.
    Running,
    /// The key belongs to another request.
    Mismatch,
}

/// One statement: of many that come at once, one inserts, or takes over what nobody finished in time. Nobody waits for the
/// disk here: what the request does is committed after this, and cannot outlive it. See ADR 20.
const BEGIN: &str = "
    INSERT INTO api_requests (account, caller, key, fingerprint, locked_until)
    SELECT $1, $2, $3, $4, clock_timestamp() + $5 * interval '1 second'
    FROM set_config('synchronous_commit', 'off', true)
    ON CONFLICT (account, caller, key) DO UPDATE SET locked_until = excluded.locked_until
    WHERE api_requests.status IS NULL AND api_requests.locked_until < clock_timestamp()
      AND api_requests.fingerprint = excluded.fingerprint
    RETURNING true";

impl Store {
    /// Asks to carry a request out. Whoever may has it to themselves for `lease`; after that it counts as abandoned.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_request(&self, key: RequestKey<'_>, lease: Duration) -> Result<Begun, StoreError> {
        let mut connection = self.lend().await?;
        let is_ours: Option<bool> = sqlx::query_scalar(BEGIN)
            .bind(&key.actor.account)
            .bind(caller(key.actor))
            .bind(key.key)
            .bind(key.fingerprint)
            .bind(lease.as_secs_f64())
            .fetch_optional(&mut *connection)
            .await?;
        if is_ours.is_some() {
            connection.done();
            return Ok(Begun::New);
        }
        let row = sqlx::query(
            "SELECT fingerprint = $4, status, content_type, body FROM api_requests
             WHERE (account, caller, key) = ($1, $2, $3)",
        )
        .bind(&key.actor.account)
        .bind(caller(key.actor))
        .bind(key.key)
        .bind(key.fingerprint)
        .fetch_optional(&mut *connection)
        .await?;
        connection.done();
        // Gone meanwhile: it failed, and its key is free again.
        let Some(row) = row else { return Ok(Begun::Running) };
        if !row.try_get::<bool, _>(0)? {
            return Ok(Begun::Mismatch);
        }
        let Some(status) = row.try_get::<Option<i16>, _>(1)? else {
            return Ok(Begun::Running);
        };
        Ok(Begun::Answered(Answer {
            status: u16::try_from(status).unwrap_or(500),
            content_type: row.try_get(2)?,
            body: row.try_get::<Option<Vec<u8>>, _>(3)?.unwrap_or_default(),
        }))
    }

    /// Keeps what was answered, and does not wait for the disk: without it, what was done still finds its own traces.
    ///
    /// # Errors
    /// [`StoreError`]; the same request is then carried out again, and must find its own traces.
    pub async fn finish_request(&self, key: RequestKey<'_>, answer: &Answer) -> Result<(), StoreError> {
        let mut connection = self.lend().await?;
        sqlx::query(
            "UPDATE api_requests SET status = $4, content_type = $5, body = $6
             FROM set_config('synchronous_commit', 'off', true)
             WHERE (account, caller, key) = ($1, $2, $3) AND status IS NULL",
        )
        .bind(&key.actor.account)
        .bind(caller(key.actor))
        .bind(key.key)
        .bind(i16::try_from(answer.status).unwrap_or(500))
        .bind(&answer.content_type)
        .bind(&answer.body)
        .execute(&mut *connection)
        .await?;
        connection.done();
        Ok(())
    }

    /// Gives a key back: nothing was done, or what was done is found again by who tries anew.
    ///
    /// # Errors
    /// [`StoreError`]; the key is then free when its lease is over.
    pub async fn abandon_request(&self, key: RequestKey<'_>) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM api_requests WHERE (account, caller, key) = ($1, $2, $3) AND status IS NULL",
        )
        .bind(&key.actor.account)
        .bind(caller(key.actor))
        .bind(key.key)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Forgets at most `rows_max` answers that are older than `age`, and says how many it were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_requests(&self, age: Duration, rows_max: u32) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "DELETE FROM api_requests WHERE (account, caller, key) IN (
                 SELECT account, caller, key FROM api_requests
                 WHERE created_at < clock_timestamp() - $1 * interval '1 second'
                 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        )
        .bind(age.as_secs_f64())
        .bind(i64::from(rows_max))
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected())
    }
}

/// Two callers may choose the same key.
fn caller(actor: &Actor) -> String {
    format!("{}:{}", actor.role.as_str(), actor.subject)
}
