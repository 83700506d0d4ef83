//! How long events take now, for charts.

use super::ActingTx;
use crate::StoreError;

/// Latest events of an account that are looked at, so that a look costs the same whatever there is.
const LATEST_EVENTS: i64 = 500;

impl ActingTx {
    /// Within how many milliseconds of their reception 99 of 100 events were committed, of the latest that were committed
    /// within a minute; `None` when none were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn latency_ms(&mut self) -> Result<Option<f64>, StoreError> {
        let account = self.actor.account.clone();
        let latency = sqlx::query_scalar(
            "SELECT percentile_disc(0.99) WITHIN GROUP (ORDER BY ms) FROM (
                 SELECT (extract(epoch FROM settled_at - received_at) * 1000)::float8 AS ms, settled_at
                 FROM events WHERE account = $1 ORDER BY received_at DESC, id DESC LIMIT $2) AS latest
             WHERE settled_at > clock_timestamp() - interval '1 minute'",
        );
        let latency = latency.bind(account).bind(LATEST_EVENTS);
        Ok(latency.fetch_one(self.connection()).await?)
    }
}
