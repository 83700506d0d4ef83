//! From start to exit: signals become one token, work ends by itself, a deadline ends the rest.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit status when the deadline or a second signal cut work short.
pub const EXIT_CUT_SHORT: i32 = 1;

/// Exit status when something that nobody can stop did not end (`EX_SOFTWARE` of sysexits).
pub const EXIT_HUNG: i32 = 70;

/// Ends the process at once; whatever was in flight is taken over by others.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where a process is cut short"
)]
pub fn cut_short(status: i32) -> ! {
    std::process::exit(status)
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
