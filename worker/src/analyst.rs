//! The loop that lets Postgres get to know new tables before autovacuum does ([`Store::analyze_new`]).

use std::time::Duration;

use store::Store;
use tokio_util::sync::CancellationToken;

use crate::report;

/// How often new tables are looked for: a question to Postgres's own books.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Longest a look may take, with the tables that it finds.
const LOOK_MAX: Duration = Duration::from_secs(600);

/// Looks until `stop`.
pub(crate) async fn analyze(store: Store, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // Cut off, it is done by whoever looks next.
        match stop
            .run_until_cancelled(store::within(LOOK_MAX, store.analyze_new()))
            .await
        {
            None => return,
            Some(Ok(tables)) if tables.is_empty() => {}
            Some(Ok(tables)) => {
                tracing::info!(tables = tables.join(" "), "Postgres has looked at new tables")
            }
            Some(Err(error)) => report::not_now("Postgres does not look at new tables", &error),
        }
    }
}
