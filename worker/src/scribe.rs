//! The loop that writes into the audit log what was done to the queue with a command, which knows Redis alone. Every
//! worker looks, and each deed is written once: Postgres holds that.

use std::time::Duration;

use shared::queue::Probe;
use store::Store;
use tokio_util::sync::CancellationToken;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the loop needs.
#[derive(Clone)]
pub(crate) struct Scribe {
    pub(crate) probe: Probe,
    pub(crate) store: Store,
}

impl Scribe {
    /// Writes until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.write().await {
                tracing::debug!(%error, "what was done to the queue is written down later");
            }
        }
    }

    /// Only what is committed is forgotten.
    async fn write(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let deeds = self.probe.deeds().await?;
        if !deeds.is_empty() {
            store::in_time(self.store.write_queue_deeds(&deeds)).await?;
            self.probe.forget_deeds(&deeds).await?;
        }
        Ok(())
    }
}
