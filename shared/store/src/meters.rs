//! What is shown of Postgres by every role that uses it.

use std::sync::LazyLock;
use std::time::Duration;

use metrics::{Histogram, counter, gauge, histogram};
use shared::metric::{Label, Metric, REQUEST_SECONDS};

use crate::{Store, StoreError};

const CONNECTIONS: &str = "tollgate_db_connections";
const CONNECTIONS_MAX: &str = "tollgate_db_connections_max";
const ACQUIRE_DURATION: &str = "tollgate_db_acquire_duration_seconds";
const ACQUIRE_TIMEOUTS: &str = "tollgate_db_acquire_timeouts_total";
const RETRIES: &str = "tollgate_db_retries_total";

/// Classes of SQLSTATE that are tried again, and what has none.
const CLASSES: [&str; 9] = ["08", "25", "40", "42", "53", "55", "57", "58", "none"];
/// All other classes.
const OTHER_CLASS: &str = "other";

/// Everything that is shown.
pub const METRICS: &[Metric] = &[
    Metric::gauge(
        CONNECTIONS,
        "Connections to Postgres, at work or at rest.",
        &[Label::of("state", || vec!["used", "idle"])],
    ),
    Metric::gauge(CONNECTIONS_MAX, "Most connections to Postgres.", &[]),
    Metric::histogram(
        ACQUIRE_DURATION,
        "How long a transaction waited for a connection that was not at hand.",
        REQUEST_SECONDS,
        &[],
    ),
    Metric::counter(
        ACQUIRE_TIMEOUTS,
        "Transactions that did not get a connection in time.",
        &[],
    ),
    Metric::counter(
        RETRIES,
        "Transactions that are tried again, by the class of SQLSTATE they failed with.",
        &[Label::of("sqlstate_class", || {
            [CLASSES.as_slice(), &[OTHER_CLASS]].concat()
        })],
    ),
];

static ACQUIRING: LazyLock<Histogram> = LazyLock::new(|| histogram!(ACQUIRE_DURATION));

/// A connection of the pool was had, or not.
pub(crate) fn acquired<T>(result: &Result<T, sqlx::Error>, took: Duration) {
    ACQUIRING.record(took);
    if matches!(result, Err(sqlx::Error::PoolTimedOut)) {
        counter!(ACQUIRE_TIMEOUTS).increment(1);
    }
}

/// A transaction will be tried again.
pub fn retried(error: &StoreError) {
    let class = error.sqlstate_class();
    let class = class.as_deref().unwrap_or("none");
    let class = CLASSES
        .into_iter()
        .find(|known| *known == class)
        .unwrap_or(OTHER_CLASS);
    counter!(RETRIES, "sqlstate_class" => class).increment(1);
}

impl Store {
    /// How many connections are at rest.
    #[must_use]
    pub fn connections_idle(&self) -> usize {
        // Kept aside between two transactions: at rest, too.
        self.pool.num_idle() + self.spare.kept()
    }

    /// Shows the pool as it is.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub fn show_pool(&self) {
        let all = self.pool.size() as usize;
        let idle = self.connections_idle().min(all);
        gauge!(CONNECTIONS, "state" => "idle").set(idle as f64);
        gauge!(CONNECTIONS, "state" => "used").set((all - idle) as f64);
        gauge!(CONNECTIONS_MAX).set(f64::from(self.pool.options().get_max_connections()));
    }
}
