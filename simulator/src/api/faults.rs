//! Failures and lag on request.

use std::time::Duration;

use crate::dice::Dice;

/// How requests go wrong. The same seed makes the same row of outcomes; which request gets which depends on
/// the order they come in.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// The only endpoint they concern, such as `checkout/sessions`; all if none.
    pub on: Option<String>,
    /// Share of requests (0.0 to 1.0) that are answered with an error before anything happens.
    pub errors: f64,
    /// The statuses of those errors: server errors, or 429 for an object that another request has locked.
    pub statuses: Vec<u16>,
    /// Requests that fail before the share applies.
    pub first: usize,
    /// Share of writes that happen and are answered with 500. As the answer it is kept under an idempotency key.
    pub late: f64,
    /// Writes that do so before the share applies.
    pub late_first: usize,
    /// Share of writes that happen and whose answer never arrives.
    pub lost: f64,
    /// Writes whose answer gets lost before the share applies.
    pub lost_first: usize,
    /// Shortest and longest time until a request is worked on.
    pub latency: (Duration, Duration),
    /// Repeats everything.
    pub seed: u64,
}

impl Default for Faults {
    /// None at all.
    fn default() -> Self {
        Self {
            on: None,
            errors: 0.0,
            statuses: vec![500, 503],
            first: 0,
            late: 0.0,
            late_first: 0,
            lost: 0.0,
            lost_first: 0,
            latency: (Duration::ZERO, Duration::ZERO),
            seed: 0,
        }
    }
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// How long it waits.
    pub(super) lag: Duration,
    /// The status it fails with, and nothing happens.
    pub(super) failure: Option<u16>,
    /// It is carried out, but answered with 500.
    pub(super) late: bool,
    /// It is carried out, but its answer is lost.
    pub(super) lost: bool,
}

impl Faults {
    /// What becomes of the next request.
    pub(super) fn throw(&mut self, dice: &mut Dice, endpoint: &str, writes: bool) -> Fate {
        if self.on.as_deref().is_some_and(|on| on != endpoint) {
            return Fate::default();
        }
        let (shortest, longest) = self.latency;
        let range = longest.saturating_sub(shortest);
        let micros = u64::try_from(range.as_micros()).unwrap_or(u64::MAX);
        let lag = shortest + Duration::from_micros(dice.below(micros));
        let fails = strikes(dice, self.errors, &mut self.first);
        let failure = (fails && !self.statuses.is_empty()).then(|| *dice.pick(&self.statuses));
        let carried_out = writes && failure.is_none();
        let late = carried_out && strikes(dice, self.late, &mut self.late_first);
        let lost = carried_out && !late && strikes(dice, self.lost, &mut self.lost_first);
        Fate {
            lag,
            failure,
            late,
            lost,
        }
    }
}

/// One of the first ones, or unlucky.
fn strikes(dice: &mut Dice, share: f64, first: &mut usize) -> bool {
    let unlucky = dice.chance(share);
    let strikes = unlucky || *first > 0;
    *first = first.saturating_sub(1);
    strikes
}
