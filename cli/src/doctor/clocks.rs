//! Clocks that must agree. Pure.

use shared::signature::TOLERANCE_SECONDS;

use super::finding::{Finding, fail, ok, warn};

/// Clocks further apart than this, milliseconds, show in ages and graphs.
const APART_MS: u64 = 1_000;
/// And than this spoil what is decided by them: whether a signature is too old, what the hour is that credits expire in.
const FAR_APART_MS: u64 = 30_000;

const _: () = assert!(
    FAR_APART_MS < TOLERANCE_SECONDS.unsigned_abs() * 1_000,
    "said well before signatures are refused for it"
);

const REMEDY: &str = "let NTP (chrony, systemd-timesyncd) keep both clocks: events are refused when ours is five minutes off Stripe's";

/// Judges how far somebody's clock is ahead of ours, give or take `unsure_ms`.
pub(super) fn judge(name: &str, whose: &str, ahead_ms: i64, unsure_ms: u64) -> Finding {
    let apart_ms = ahead_ms.unsigned_abs().saturating_sub(unsure_ms);
    let direction = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let seen = format!("{whose} is {} ms {direction} our clock", ahead_ms.unsigned_abs());
    if apart_ms <= APART_MS {
        ok(name, seen)
    } else if apart_ms <= FAR_APART_MS {
        warn(name, seen, REMEDY)
    } else {
        fail(name, seen, REMEDY)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn clocks_may_be_a_second_apart() {
        let verdict = |ahead_ms, unsure_ms| judge("clock.redis", "Redis", ahead_ms, unsure_ms).verdict;
        assert_eq!(verdict(-1_000, 0), Verdict::Ok);
        assert_eq!(verdict(2_500, 2_000), Verdict::Ok);
        assert_eq!(verdict(-1_001, 0), Verdict::Warn);
        assert_eq!(verdict(30_001, 0), Verdict::Fail);
    }
}
