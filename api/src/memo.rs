//! An answer that is believed for a while.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The last answer. Of many who find it too old, one asks and the others wait for what comes of it.
pub(crate) struct Memo<T> {
    believed_for: Duration,
    last: Mutex<Option<(Instant, T)>>,
}

impl<T: Copy> Memo<T> {
    pub(crate) fn new(believed_for: Duration) -> Self {
        Self {
            believed_for,
            last: Mutex::new(None),
        }
    }

    pub(crate) async fn get<E>(&self, ask: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut last = self.last.lock().await;
        if let Some((at, value)) = *last
            && at.elapsed() < self.believed_for
        {
            return Ok(value);
        }
        let value = ask().await?;
        *last = Some((Instant::now(), value));
        Ok(value)
    }
}
