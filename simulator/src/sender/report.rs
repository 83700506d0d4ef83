//! What became of the deliveries.

use std::time::Duration;

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Answered with 2xx.
    Accepted,
    /// Every attempt failed.
    GivenUp,
    /// The run was stopped before it was accepted.
    Stopped,
}

/// What became of one delivery.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The event that was sent.
    pub event_id: String,
    /// Whether an earlier delivery carried the same event.
    pub duplicate: bool,
    /// How it ended.
    pub fate: Fate,
    /// Status of the last answer; `None` when the last attempt got none.
    pub status: Option<u16>,
    /// Attempts made.
    pub attempts: u32,
    /// When the 2xx arrived, unix milliseconds.
    pub accepted_at_ms: Option<i64>,
    /// Duration of the last attempt, from the request to the end of the answer.
    pub latency: Duration,
}

/// What became of all deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Deliveries answered with 2xx.
    pub accepted: usize,
    /// Deliveries whose attempts all failed.
    pub given_up: usize,
    /// Deliveries begun and then stopped.
    pub stopped: usize,
    /// Deliveries never begun because the run was stopped.
    pub unsent: usize,
    /// Requests made.
    pub attempts: u64,
}

impl Report {
    pub(super) fn count(&mut self, outcome: &Outcome) {
        match outcome.fate {
            Fate::Accepted => self.accepted += 1,
            Fate::GivenUp => self.given_up += 1,
            Fate::Stopped => self.stopped += 1,
        }
        self.attempts += u64::from(outcome.attempts);
    }
}
