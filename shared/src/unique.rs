//! Words that nobody else uses.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Random for each process, and a number for each word: good to tell apart, not to keep secrets.
#[must_use]
pub fn word() -> String {
    static PROCESS: LazyLock<[u64; 2]> =
        LazyLock::new(|| [0, 1].map(|salt: u8| RandomState::new().hash_one((salt, std::process::id()))));
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let [high, low] = *PROCESS;
    format!("{high:016x}{low:016x}{:x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_differ() {
        assert_ne!(super::word(), super::word());
    }
}
