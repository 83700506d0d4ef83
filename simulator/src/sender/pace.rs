//! When deliveries are begun, and when they are tried again.

use std::time::Duration;

/// No delivery is due later than this; it keeps sums of times within their range.
const DUE_MAX: Duration = Duration::from_secs(366 * 86_400);

/// When each delivery is begun.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As soon as there is room.
    Unlimited,
    /// This many a second, whether or not earlier ones were answered (open loop). Values that are not
    /// positive count as [`Pace::Unlimited`].
    PerSecond(f64),
    /// At the offsets of the traffic, bursts included.
    Planned,
}

impl Pace {
    /// When the delivery at `index`, planned for `at`, is due; counted from the start of the run.
    #[must_use]
    pub fn due(self, index: usize, at: Duration) -> Duration {
        match self {
            Self::Planned => at.min(DUE_MAX),
            Self::PerSecond(rate) if rate > 0.0 => Duration::try_from_secs_f64(index as f64 / rate)
                .unwrap_or(DUE_MAX)
                .min(DUE_MAX),
            Self::PerSecond(_) | Self::Unlimited => Duration::ZERO,
        }
    }
}

/// What happens after a failed attempt: exponential backoff with jitter, as Stripe's, but short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, the first included; 0 counts as 1.
    pub attempts: u32,
    /// Wait after the first failure; doubles each time.
    pub first: Duration,
    /// Longest wait of our own.
    pub longest: Duration,
    /// Longest `Retry-After` that is honoured in full.
    pub longest_asked: Duration,
}

impl Default for Retry {
    /// Twelve attempts over about half a minute.
    fn default() -> Self {
        Self {
            attempts: 12,
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
            longest_asked: Duration::from_secs(30),
        }
    }
}

impl Retry {
    /// How long to wait after `failures` failed attempts for the event `id`: between half of the
    /// backoff and the whole, by a hash of `id` so that neighbours do not return together, and not
    /// less than was asked for.
    #[must_use]
    pub fn wait(&self, id: &str, failures: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let backoff = doubled.min(self.longest);
        let jittered = backoff / 2 + backoff.mul_f64(f64::from(spread(id, failures)) / 512.0);
        jittered.max(asked.unwrap_or_default().min(self.longest_asked))
    }
}

/// A number from 0 to 255 that differs between ids and attempts (FNV-1a).
fn spread(id: &str, failures: u32) -> u8 {
    let bytes = id.bytes().chain(failures.to_le_bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash.to_be_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces() {
        let at = Duration::from_secs(9);
        let cases = [
            (Pace::Unlimited, Duration::ZERO),
            (Pace::Planned, at),
            (Pace::PerSecond(4.0), Duration::from_millis(500)),
            (Pace::PerSecond(0.0), Duration::ZERO),
            (Pace::PerSecond(1e-300), DUE_MAX),
        ];
        for (pace, expected) in cases {
            assert_eq!(pace.due(2, at), expected, "{pace:?}");
        }
    }

    #[test]
    fn waits_grow_to_a_limit_and_honour_what_was_asked() {
        let retry = Retry::default();
        for failures in 1..40 {
            let full = Duration::from_millis(100 << (failures - 1).min(16)).min(retry.longest);
            let wait = retry.wait("evt_1", failures, None);
            assert!(wait >= full / 2 && wait <= full, "{failures}: {wait:?}");
        }
        let asked = |seconds| retry.wait("evt_1", 1, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(7), Duration::from_secs(7));
        assert_eq!(asked(3600), retry.longest_asked);
        assert_ne!(retry.wait("evt_1", 3, None), retry.wait("evt_2", 3, None));
    }
}
