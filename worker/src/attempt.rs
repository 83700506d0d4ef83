//! An attempt at a transaction, which ends in time: sooner when the role was asked to stop.

use std::time::Duration;

use store::StoreError;
use tokio_util::sync::CancellationToken;

/// Longest an attempt goes on after the role was asked to stop. Less than the default of `TOLLGATE_SHUTDOWN_SECONDS`, with
/// time to hand back what was held.
const STOPPING_MAX: Duration = Duration::from_secs(10);

/// Gives `work` up when its time is over, or soon after `stop`.
///
/// # Errors
/// [`StoreError::Silent`], and those of `work`.
pub(crate) fn in_time<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, StoreError>>,
) -> impl Future<Output = Result<T, StoreError>> {
    until(stop, STOPPING_MAX, store::in_time(work))
}

async fn until<T>(
    stop: &CancellationToken,
    stopping_max: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let stopped = async {
        stop.cancelled().await;
        tokio::time::sleep(stopping_max).await;
    };
    tokio::select! {
        biased;
        done = work => done,
        () = stopped => Err(StoreError::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_attempt_that_is_not_answered_ends_soon_after_a_stop() {
        let stop = CancellationToken::new();
        stop.cancel();
        let silent = std::future::pending::<Result<(), StoreError>>();
        let ended = until(&stop, Duration::from_millis(1), silent).await;
        assert!(matches!(ended, Err(StoreError::Silent)));
        // What answers at once is not cut off.
        assert_eq!(in_time(&stop, async { Ok(7) }).await.ok(), Some(7));
    }
}
