//! How much is measured: enough to trust, or a look under a minute.

use std::time::Duration;

use super::rig::Level;

/// Sizes of everything.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    /// Rounds; in each, both sides of every comparison take their turn.
    pub runs: usize,
    /// Before each measurement of a server.
    pub warm_up: Duration,
    /// Length of a closed loop.
    pub closed: Duration,
    /// Length of an open loop against ingest alone.
    pub open: Duration,
    pub xadd_events: usize,
    pub queue_events: usize,
    pub simple_events: usize,
    pub money_events: usize,
    /// Length of an open loop through everything.
    pub end_to_end: Duration,
    /// Before it.
    pub warm_up_events: usize,
    pub pick_ups: usize,
    /// Rows of the ledger that the API is measured on.
    pub ledger_rows: usize,
    /// Length of an open loop against the API.
    pub api: Duration,
    pub checkouts: usize,
}

impl Scale {
    /// Some ten minutes.
    pub(super) fn standard() -> Self {
        Self {
            runs: 5,
            warm_up: Duration::from_millis(500),
            closed: Duration::from_secs(3),
            open: Duration::from_secs(4),
            xadd_events: 100_000,
            queue_events: 60_000,
            simple_events: 60_000,
            money_events: 30_000,
            end_to_end: Duration::from_secs(5),
            warm_up_events: 2_000,
            pick_ups: 100,
            ledger_rows: 10_000_000,
            api: Duration::from_secs(8),
            checkouts: 200,
        }
    }

    /// Under a minute.
    pub(super) fn quick() -> Self {
        Self {
            runs: 1,
            warm_up: Duration::from_millis(100),
            closed: Duration::from_millis(500),
            open: Duration::from_millis(500),
            xadd_events: 20_000,
            queue_events: 10_000,
            simple_events: 8_000,
            money_events: 3_000,
            end_to_end: Duration::from_secs(1),
            warm_up_events: 150,
            pick_ups: 25,
            ledger_rows: 100_000,
            api: Duration::from_millis(1_000),
            checkouts: 15,
        }
    }

    /// With an fsync for each half window, raw XADD takes an order of magnitude longer.
    pub(super) fn raw_entries(&self, level: Level) -> usize {
        match level {
            Level::Everysec => self.xadd_events,
            Level::Always => self.xadd_events / 10,
        }
    }
}
