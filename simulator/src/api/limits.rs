//! Rate limits and what was seen of them.
//! Source: <https://docs.stripe.com/rate-limits>.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Requests within any second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of all requests together.
    pub global: usize,
    /// Of those to one endpoint (`GET /v1/customers/:id` is one).
    pub endpoint: usize,
}

impl Limits {
    /// Of a live account.
    pub const LIVE: Self = Self {
        global: 100,
        endpoint: 25,
    };
    /// Of a sandbox.
    pub const SANDBOX: Self = Self {
        global: 25,
        endpoint: 25,
    };
    /// As fast as it goes.
    pub const NONE: Self = Self {
        global: usize::MAX,
        endpoint: usize::MAX,
    };
}

/// What was asked so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// All requests, whatever the answer.
    pub requests: u64,
    /// Requests answered with 429.
    pub limited: u64,
    /// Most requests that came within any second, 429s included.
    pub highest_rate: usize,
    /// Requests by endpoint, such as `customers/:id` or `events`.
    pub by_endpoint: BTreeMap<&'static str, u64>,
}

/// Moments of the last second.
#[derive(Debug, Default)]
struct Window(VecDeque<Instant>);

impl Window {
    fn count(&mut self, now: Instant) -> usize {
        while self.0.front().is_some_and(|at| now.duration_since(*at) >= SECOND) {
            self.0.pop_front();
        }
        self.0.len()
    }
}

#[derive(Debug)]
pub(super) struct Limiter {
    limits: Limits,
    counters: Counters,
    received: Window,
    admitted: Window,
    by_endpoint: BTreeMap<&'static str, Window>,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            counters: Counters::default(),
            received: Window::default(),
            admitted: Window::default(),
            by_endpoint: BTreeMap::new(),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Counts a request; the reason when it is one too many.
    pub(super) fn admit(&mut self, endpoint: &'static str, now: Instant) -> Option<&'static str> {
        self.counters.requests += 1;
        *self.counters.by_endpoint.entry(endpoint).or_default() += 1;
        self.received.0.push_back(now);
        self.counters.highest_rate = self.counters.highest_rate.max(self.received.count(now));
        let own = self.by_endpoint.entry(endpoint).or_default();
        let reason = if self.admitted.count(now) >= self.limits.global {
            Some("global-rate")
        } else if own.count(now) >= self.limits.endpoint {
            Some("endpoint-rate")
        } else {
            self.admitted.0.push_back(now);
            own.0.push_back(now);
            None
        };
        self.counters.limited += u64::from(reason.is_some());
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_so_many_and_then_makes_room_again() {
        let limits = Limits {
            global: 3,
            endpoint: 2,
        };
        let (mut limiter, start) = (Limiter::new(limits), Instant::now());
        let mut ask = |endpoint, millis| limiter.admit(endpoint, start + Duration::from_millis(millis));
        assert_eq!(ask("a", 0), None);
        assert_eq!(ask("a", 100), None);
        assert_eq!(ask("a", 200), Some("endpoint-rate"));
        assert_eq!(ask("b", 300), None);
        assert_eq!(ask("c", 400), Some("global-rate"));
        assert_eq!(ask("c", 1000), None, "the first one is a second ago");
        let seen = limiter.counters();
        assert_eq!((seen.requests, seen.limited, seen.highest_rate), (6, 2, 5));
        assert_eq!(seen.by_endpoint["a"], 3);
    }
}
