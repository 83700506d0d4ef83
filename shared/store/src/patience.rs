//! Nobody waits for Postgres for ever. Postgres ends every statement in time, but a connection whose packets get lost
//! says nothing any more, and a driver waits for its answer until the kernel gives the connection up: a quarter of an hour
//! or, with a proxy in between, never.

use std::time::Duration;

use crate::StoreError;

/// Longest a transaction may take, or what else is one attempt: longer than a statement that waits for its locks.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(60);

/// Gives an attempt up when its time is over. Nothing has happened then or, when it was committing, nobody knows.
///
/// # Errors
/// [`StoreError::Silent`], and those of the attempt.
pub fn in_time<T>(
    attempt: impl Future<Output = Result<T, StoreError>>,
) -> impl Future<Output = Result<T, StoreError>> {
    within(ATTEMPT_MAX, attempt)
}

/// The same for what is more than one transaction, or asks others, too.
///
/// # Errors
/// As [`in_time`].
pub fn within<T>(
    limit: Duration,
    attempt: impl Future<Output = Result<T, StoreError>>,
) -> impl Future<Output = Result<T, StoreError>> {
    // A transaction is a large future, and would be moved from hand to hand.
    let attempt = tokio::time::timeout(limit, Box::pin(attempt));
    async { attempt.await.unwrap_or(Err(StoreError::Silent)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_is_an_error_that_is_worth_another_try() {
        let silent = std::future::pending::<Result<(), StoreError>>();
        let error = within(Duration::from_millis(1), silent)
            .await
            .expect_err("silence");
        assert_eq!(
            (error.class(), error.retry_reason()),
            (domain::Class::Transient, "timeout")
        );
        assert_eq!(in_time(async { Ok(7) }).await.ok(), Some(7));
    }
}
