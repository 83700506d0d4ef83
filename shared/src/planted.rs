//! Mistakes on purpose: compiled in only with the feature `planted-bugs`, made only by a process that was told to.

use std::sync::LazyLock;

/// The environment variable that names the mistake.
pub const PLANTED_BUG: &str = "TOLLGATE_PLANTED_BUG";

static PLANTED: LazyLock<String> = LazyLock::new(|| std::env::var(PLANTED_BUG).unwrap_or_default());

/// Whether this process is to make the mistake `name`.
#[must_use]
pub fn is_planted(name: &str) -> bool {
    *PLANTED == name
}
