//! The loop that shows what nobody counts as it happens: the pool of connections, sizes, how many of what.

use std::time::Duration;

use store::Store;
use tokio_util::sync::CancellationToken;

use crate::report;

/// How often the pool is looked at.
const POOL_EVERY: Duration = Duration::from_secs(2);
/// Looks at the pool between two at sizes: 10 s.
const POOL_LOOKS_PER_SIZES: u32 = 5;
/// Looks at sizes between two at all subscriptions, of which there may be millions: a minute.
const SIZES_PER_COUNT: u32 = 6;

/// Shows gauges until `stop`.
pub(crate) async fn watch(store: Store, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(POOL_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for look in (0..POOL_LOOKS_PER_SIZES * SIZES_PER_COUNT).cycle() {
        if stop.run_until_cancelled(ticks.tick()).await.is_none() {
            return;
        }
        store.show_pool();
        if look % POOL_LOOKS_PER_SIZES == 0 {
            match store::in_time(store.sizes()).await {
                Ok(sizes) => report::sizes(&sizes),
                Err(error) => tracing::debug!(%error, "sizes are not known"),
            }
            match store::in_time(store.coverages()).await {
                Ok(coverages) => report::coverage(&coverages),
                Err(error) => tracing::debug!(%error, "coverage is not known"),
            }
        }
        if look == 0 {
            match store::in_time(store.subscriptions_by_status()).await {
                Ok(counts) => report::subscriptions(&counts),
                Err(error) => tracing::debug!(%error, "subscriptions are not counted"),
            }
        }
    }
}
