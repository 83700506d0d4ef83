//! What operators see from outside: readiness and load, kept up to date beside the requests.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use shared::admin::Readiness;

use crate::meters::BODIES_BYTES;
use crate::webhook::Webhook;

/// How often. Readiness follows Redis by at most this and the gate's own interval.
const EVERY: Duration = Duration::from_millis(250);

/// The condition the gate stands for.
pub(crate) const QUEUE: &str = "queue";
/// The condition of a process that was told to end.
pub(crate) const STOPPING: &str = "stopping";

/// Runs until dropped.
pub(crate) async fn keep(webhook: Arc<Webhook>, readiness: Readiness) {
    let budget = webhook.bodies_budget.available_permits();
    let bodies_bytes = gauge!(BODIES_BYTES);
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        readiness.set(QUEUE, webhook.gate.check().err().map(|closed| closed.to_string()));
        let used = budget.saturating_sub(webhook.bodies_budget.available_permits());
        bodies_bytes.set(used as f64);
    }
}
