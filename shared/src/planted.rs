//! Mistakes on purpose: compiled in only with the feature `planted-bugs`, made only by a process that was told to.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The environment variable that names the mistake.
pub const PLANTED_BUG: &str = "TOLLGATE_PLANTED_BUG";

static PLANTED: LazyLock<String> = LazyLock::new(|| std::env::var(PLANTED_BUG).unwrap_or_default());

/// The environment variable that makes a process play a build with a newer layout of entries: its number.
pub const PLANTED_LAYOUT: &str = "TOLLGATE_PLANTED_LAYOUT";

static LAYOUT: LazyLock<Option<u32>> = LazyLock::new(|| std::env::var(PLANTED_LAYOUT).ok()?.parse().ok());

/// The newest layout of entries this process is to know.
#[must_use]
pub fn layout() -> Option<u32> {
    *LAYOUT
}

/// The environment variable that names a file with the milliseconds by which a process's clock is wrong, read anew each
/// time: somebody may turn it.
pub const PLANTED_CLOCK: &str = "TOLLGATE_PLANTED_CLOCK";

static CLOCK: LazyLock<Option<PathBuf>> = LazyLock::new(|| Some(std::env::var_os(PLANTED_CLOCK)?.into()));

/// By how many milliseconds this process's clock is wrong.
#[must_use]
pub fn clock_error_ms() -> i64 {
    let text = CLOCK.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// What the body of an event has in it that is to make its handler panic.
pub const PANIC: &str = "tollgate-planted-panic";
/// The same for one that is to end its process.
pub const ABORT: &str = "tollgate-planted-abort";

/// The same for one that is to make its handler hang.
pub const HANG: &str = "tollgate-planted-hang";

/// Does what the body of an event asks for.
///
/// # Panics
/// When that is it.
pub fn trip(body: &[u8]) {
    let asks_for = |word: &str| body.windows(word.len()).any(|part| part == word.as_bytes());
    assert!(!asks_for(PANIC), "planted");
    if asks_for(ABORT) {
        std::process::abort();
    }
    while asks_for(HANG) {
        std::hint::spin_loop();
    }
}

/// Whether this process is to make the mistake `name`.
#[must_use]
pub fn is_planted(name: &str) -> bool {
    *PLANTED == name
}

/// One after the other, whatever is to be put into it.
#[must_use]
pub fn any_of(streams: &[String]) -> &str {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    &streams[NEXT.fetch_add(1, Ordering::Relaxed) % streams.len()]
}
