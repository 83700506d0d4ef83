//! From start to exit: signals become one token, work ends by itself, a deadline ends the rest; and what becomes of a
//! process one part of which panics.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit status when the deadline or a second signal cut work short.
pub const EXIT_CUT_SHORT: i32 = 1;

/// Exit status of a process that finds itself broken: what nobody can stop did not end, or what it cannot do without
/// panicked (`EX_SOFTWARE` of sysexits).
pub const EXIT_BROKEN: i32 = 70;

/// Pause before something that panicked is begun anew: whatever made it panic may be there still.
const AGAIN_PAUSE: Duration = Duration::from_secs(5);

/// Ends the process at once; whatever was in flight is taken over by others.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where a process is cut short"
)]
pub fn cut_short(status: i32) -> ! {
    std::process::exit(status)
}

/// Work that a process is of no use without, and that cannot be begun anew because it holds something. When it panics the
/// process ends at once: half alive it would look well, keep what it holds from others, and get nothing done. Where the
/// panic was is in the log by then.
pub async fn vital<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => done,
        Err(_) => {
            tracing::error!(
                what,
                "panicked: ending the process, which is of no use without it"
            );
            cut_short(EXIT_BROKEN)
        }
    }
}

/// Work beside what a process is for, which holds nothing from one turn of its loop to the next: begun anew after a panic,
/// a while later, because ending the process for it would hold up everything else.
pub async fn again<F: Future<Output = ()>>(what: &'static str, begin: impl FnMut() -> F) {
    again_after(AGAIN_PAUSE, what, begin).await;
}

async fn again_after<F: Future<Output = ()>>(
    pause: Duration,
    what: &'static str,
    mut begin: impl FnMut() -> F,
) {
    while AssertUnwindSafe(begin()).catch_unwind().await.is_err() {
        tracing::error!(what, "panicked: beginning it anew");
        tokio::time::sleep(pause).await;
    }
}

/// Listens for SIGTERM and SIGINT.
///
/// The first cancels the returned token: stop taking work, finish what runs, exit 0. A second one, or
/// `deadline` after the first, ends the process at once; whatever was in flight is taken over by others.
///
/// # Errors
/// When signal handlers cannot be installed.
pub fn on_signals(deadline: Duration) -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!(deadline_s = deadline.as_secs(), "stopping");
        token.cancel();
        tokio::select! {
            _ = terminate.recv() => tracing::warn!("second signal: ending at once"),
            _ = interrupt.recv() => tracing::warn!("second signal: ending at once"),
            () = tokio::time::sleep(deadline) => tracing::warn!("deadline: ending at once"),
        }
        cut_short(EXIT_CUT_SHORT);
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_panics_is_begun_anew_until_it_ends_by_itself() {
        let begun = AtomicUsize::new(0);
        again_after(Duration::from_millis(1), "a test", || async {
            assert!(begun.fetch_add(1, Ordering::Relaxed) == 2, "on purpose");
        })
        .await;
        assert_eq!(begun.into_inner(), 3);
    }

    #[tokio::test]
    async fn what_is_vital_ends_as_it_likes() {
        assert_eq!(vital("a test", async { 7 }).await, 7);
    }
}
