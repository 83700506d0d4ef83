//! What is going to be done: what is broken, what is sent, and how long.

use std::error::Error;
use std::time::Duration;

use shared::clock::Clock;
use shared::queue::Durability;

use super::faults::{Kind, Part};
use super::load::Load;
use super::plan::{Slot, load_ms, plan};
use super::selection::Selection;
use super::wiring::Roles;
use super::{Options, busy};

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
    pub(super) fn new(options: &Options, selection: &Selection) -> Result<Self, Box<dyn Error>> {
        let clock = Clock::system();
        let Selection { seed, faults, .. } = selection;
        let has = |kind: Kind| faults.iter().any(|fault| fault.kind == kind);
        let start = options.start.unwrap_or_else(|| clock.unix_seconds());
        let workers = usize::from(options.workers);
        let duration_ms = u64::try_from(options.duration.as_millis())?;
        let slots = plan(*seed, faults, workers, duration_ms, options.pairs);
        let lasts = Duration::from_millis(load_ms(&slots, duration_ms));
        let rate = f64::from(options.rate);
        let mut spare = SPARE_LEAST;
        if has(Kind::Busy) {
            spare += busy::lasts(options.busy_events, rate).mul_f64(SPARE);
        }
        let deliveries = (lasts.mul_f64(SPARE) + spare).as_secs_f64() * rate;
        Ok(Self {
            seed: *seed,
            start,
            slots,
            load: Load::new(*seed, start, deliveries as usize),
            rate,
            lasts,
            roles: Roles {
                workers,
                with_replica: has(Kind::Failover),
                with_disks: selection.needs_disks(),
                busy_events: options.busy_events,
                rate,
                // Otherwise it would take nothing more before Redis has to refuse.
                durability: if has(Kind::DiskFull(Part::Redis)) {
                    Durability::Everysec
                } else {
                    Durability::Always
                },
                bug: options.bug(),
            },
        })
    }
}
