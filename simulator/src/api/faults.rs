//! Failures and lag on request.

use std::time::Duration;

use crate::dice::Dice;

/// How requests go wrong. The same seed makes the same row of outcomes; which request gets which depends on
/// the order they come in.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// Share of requests (0.0 to 1.0) that are answered with an error.
    pub errors: f64,
    /// The statuses of those errors: server errors, or 429 for an object that another request has locked.
    pub statuses: Vec<u16>,
    /// Requests that fail before the share applies.
    pub first: usize,
    /// Shortest and longest time an answer takes.
    pub latency: (Duration, Duration),
    /// Repeats everything.
    pub seed: u64,
}

impl Default for Faults {
    /// None at all.
    fn default() -> Self {
        Self {
            errors: 0.0,
            statuses: vec![500, 503],
            first: 0,
            latency: (Duration::ZERO, Duration::ZERO),
            seed: 0,
        }
    }
}

impl Faults {
    /// How long the next request takes, and the status it fails with.
    pub(super) fn throw(&mut self, dice: &mut Dice) -> (Duration, Option<u16>) {
        let (shortest, longest) = self.latency;
        let range = longest.saturating_sub(shortest);
        let micros = u64::try_from(range.as_micros()).unwrap_or(u64::MAX);
        let lag = shortest + Duration::from_micros(dice.below(micros));
        let unlucky = dice.chance(self.errors);
        let fails = unlucky || self.first > 0;
        self.first = self.first.saturating_sub(1);
        let failure = (fails && !self.statuses.is_empty()).then(|| *dice.pick(&self.statuses));
        (lag, failure)
    }
}
