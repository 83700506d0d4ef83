//! The loop around the ledger's check: a small step, a pause, and on, round after round. One worker of the fleet takes
//! the steps; each shows what was found, and whether Postgres keeps what it confirms.

use std::time::Duration;

use store::Store;
use tokio_util::sync::CancellationToken;

use crate::report;

/// Rows of one step; some milliseconds.
const STEP_ROWS: u32 = 2_000;
/// Pause between steps.
const STEP_PAUSE: Duration = Duration::from_millis(100);
/// Pause between rounds, and before looking again whether another worker still takes the steps.
const ROUND_PAUSE: Duration = Duration::from_secs(10);
/// Steps after which the gauges are read again, within a long round.
const STEPS_PER_LOOK: u32 = 50;

/// What the loop needs.
#[derive(Clone)]
pub(crate) struct Auditor {
    pub(crate) store: Store,
    pub(crate) outstanding_max: Option<i64>,
}

impl Auditor {
    /// Checks until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut steps = 0;
        let mut unsafe_settings = Vec::new();
        while !stop.is_cancelled() {
            let pause = self.step().await;
            if steps % STEPS_PER_LOOK == 0 || pause == ROUND_PAUSE {
                self.look(&mut unsafe_settings).await;
            }
            steps += 1;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One step; returns how long to pause then.
    async fn step(&self) -> Duration {
        match store::in_time(self.store.check_step(STEP_ROWS, false)).await {
            Ok(Some(step)) => {
                step.found.iter().for_each(report::violation);
                if step.ended_round { ROUND_PAUSE } else { STEP_PAUSE }
            }
            // Another worker has it.
            Ok(None) => ROUND_PAUSE,
            Err(error) => {
                report::not_now("the ledger cannot be checked", &error);
                ROUND_PAUSE
            }
        }
    }

    async fn look(&self, known: &mut Vec<String>) {
        match store::in_time(self.store.unsafe_settings()).await {
            Ok(settings) if settings == *known => {}
            Ok(settings) => {
                report::durability(&settings);
                *known = settings;
            }
            Err(error) => report::not_now("the settings of postgres cannot be read", &error),
        }
        match store::in_time(self.store.ledger_gauges()).await {
            Ok(gauges) => report::ledger(&gauges, self.outstanding_max),
            Err(error) => report::not_now("the ledger's gauges cannot be read", &error),
        }
    }
}
