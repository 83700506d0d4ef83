//! What is going to be done: what is broken, what is sent, and how long.

use std::error::Error;
use std::time::Duration;

use shared::clock::Clock;

use super::Options;
use super::faults::{Fault, Kind};
use super::load::Load;
use super::plan::{Slot, load_ms, plan};
use super::wiring::Roles;

/// How much more is made ready to be sent than the plan needs, because breaking things may take longer.
const SPARE: f64 = 1.5;
/// See [`SPARE`].
const SPARE_LEAST: Duration = Duration::from_secs(20);

/// All that is decided before anything runs.
pub(super) struct Intent {
    pub seed: u64,
    pub start: i64,
    pub slots: Vec<Slot>,
    pub load: Load,
    /// Deliveries a second.
    pub rate: f64,
    /// How long, unless breaking things takes longer than planned.
    pub lasts: Duration,
    pub roles: Roles,
}

impl Intent {
    /// From what was asked for.
    pub(super) fn new(options: &Options, faults: &[&'static Fault]) -> Result<Self, Box<dyn Error>> {
        let clock = Clock::system();
        let seed = options.seed.unwrap_or_else(|| clock.unix_ms().unsigned_abs());
        let start = options.start.unwrap_or_else(|| clock.unix_seconds());
        let workers = usize::from(options.workers);
        let duration_ms = u64::try_from(options.duration.as_millis())?;
        let slots = plan(seed, faults, workers, duration_ms);
        let lasts = Duration::from_millis(load_ms(&slots, duration_ms));
        let rate = f64::from(options.rate);
        let deliveries = (lasts.mul_f64(SPARE) + SPARE_LEAST).as_secs_f64() * rate;
        Ok(Self {
            seed,
            start,
            slots,
            load: Load::new(seed, start, deliveries as usize),
            rate,
            lasts,
            roles: Roles {
                workers,
                with_replica: faults.iter().any(|fault| fault.kind == Kind::Failover),
                bug: options.bug(),
            },
        })
    }
}
