//! Pauses between attempts while something is away.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The first pause.
pub(crate) const SHORTEST: Duration = Duration::from_millis(50);

/// Pauses that grow up to `longest`, spread so that replicas do not come back all at once. They never end: who
/// takes them decides when to stop.
pub(crate) fn pauses(longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(SHORTEST)
        .with_max_delay(longest)
        .without_max_times()
        .with_jitter()
        .build()
}
