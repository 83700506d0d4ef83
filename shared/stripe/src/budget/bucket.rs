//! The arithmetic of a token bucket, in integers.

use std::time::Duration;

use super::Priority;

/// How much of a limit is used as a steady rate.
pub const RATE_PERCENT: u32 = 85;
/// How much of a limit may come at once after a quiet moment, and at least one request. Beside a steady rate
/// this counts on top of it, so the two together leave the safety share.
pub const BURST_PERCENT: u32 = 10;
/// How much of a burst only live traffic may use, and at least one request where there is more than one.
const RESERVE_PERCENT: u64 = 40;

const SECOND_US: u64 = 1_000_000;

const _: () = assert!(
    RATE_PERCENT + BURST_PERCENT < 100,
    "something is left for what happens between a turn and Stripe"
);

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Microseconds in which one token comes.
    pub(super) interval_us: u64,
    /// Hundredths of tokens in a full bucket: at a small limit, parts of one help who was a moment late.
    burst_percent: u64,
}

impl Bucket {
    /// Of a limit per second; a limit of 0 counts as 1.
    pub(super) fn of(per_second: u32) -> Self {
        let per_second = u64::from(per_second.max(1));
        Self {
            interval_us: (SECOND_US * 100).div_ceil(per_second * u64::from(RATE_PERCENT)),
            burst_percent: (per_second * u64::from(BURST_PERCENT)).max(100),
        }
    }

    /// How far ahead of the steady rate a request may come.
    pub(super) fn tolerance_us(self, priority: Priority) -> u64 {
        let beyond_one = self.burst_percent - 100;
        let reserve = match priority {
            Priority::Live => 0,
            Priority::Backfill => (self.burst_percent * RESERVE_PERCENT / 100).max(100),
        };
        self.interval_us * beyond_one.saturating_sub(reserve) / 100
    }

    /// Which part of the bucket is left when it will be full again after so many microseconds.
    pub(super) fn left(self, until_full_us: u64) -> f64 {
        let share =
            Duration::from_micros(until_full_us).div_duration_f64(Duration::from_micros(self.ahead_us_max()));
        (1.0 - share).max(0.0)
    }

    /// The furthest ahead a bucket can be. Beyond it, the clock of Redis jumped back.
    pub(super) fn ahead_us_max(self) -> u64 {
        self.interval_us + self.tolerance_us(Priority::Live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most grants in any half-open second, by GCRA: all intervals that fit, and the burst.
    fn most_within(bucket: Bucket, window_us: u64) -> u64 {
        (window_us + bucket.tolerance_us(Priority::Live)).div_ceil(bucket.interval_us)
    }

    #[test]
    fn no_second_has_more_than_the_limit_even_when_grants_are_shifted() {
        const SHIFT_US: u64 = 50_000;
        for limit in [25_u32, 50, 100, 200, 1000] {
            let bucket = Bucket::of(limit);
            let most = most_within(bucket, SECOND_US + SHIFT_US);
            assert!(most <= u64::from(limit), "{limit}: {most}");
            let rate = SECOND_US / bucket.interval_us;
            assert!(rate * 100 >= u64::from(limit) * 84, "{limit}: {rate}");
        }
    }

    #[test]
    fn what_is_left_of_a_bucket_falls_to_nothing() {
        let bucket = Bucket::of(25);
        assert!((bucket.left(0) - 1.0).abs() < 1e-9);
        assert!(bucket.left(bucket.ahead_us_max()).abs() < 1e-9);
        assert!(bucket.left(bucket.ahead_us_max() * 2).abs() < 1e-9);
        assert!((bucket.left(bucket.ahead_us_max() / 2) - 0.5).abs() < 0.01);
    }

    #[test]
    fn live_traffic_finds_a_token_that_backfill_left() {
        for limit in [25, 100] {
            let bucket = Bucket::of(limit);
            let left = bucket.tolerance_us(Priority::Live) - bucket.tolerance_us(Priority::Backfill);
            assert!(left >= bucket.interval_us, "{limit}");
        }
        let tiny = Bucket::of(1);
        assert_eq!(tiny.tolerance_us(Priority::Live), 0);
        assert_eq!(tiny.tolerance_us(Priority::Backfill), 0);
        assert_eq!(Bucket::of(0), tiny);
    }
}
