//! Time as an argument.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where a role reads the time. Tests hand in a fixed one.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock is read"
    )]
    pub fn system() -> Self {
        Self(Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            #[cfg(feature = "planted-bugs")]
            let now_ms = now_ms.saturating_add(crate::planted::clock_error_ms());
            now_ms
        }))
    }

    /// A clock that stands still at `unix_seconds`.
    #[must_use]
    pub fn fixed(unix_seconds: i64) -> Self {
        Self(Arc::new(move || unix_seconds.saturating_mul(1000)))
    }

    /// Now, unix milliseconds.
    #[must_use]
    pub fn unix_ms(&self) -> i64 {
        (self.0)()
    }

    /// Now, whole unix seconds.
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        self.unix_ms().div_euclid(1000)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
