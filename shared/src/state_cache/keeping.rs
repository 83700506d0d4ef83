//! Whether anybody keeps states at all.
//!
//! Where no API runs, nothing is kept, and whoever changes users need not say so. An API puts up a notice that it will
//! keep states, and keeps the first one only when everybody has had time to see the notice and every change that began
//! without seeing it is over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::AsyncCommands;

use super::{CHANGE_MAX, KEPT_FOR, ms};
use crate::queue::{Link, QueueError};

/// How often whoever changes users looks for the notice.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often an API renews its notice.
pub const RENEW_EVERY: Duration = Duration::from_secs(60);
/// How long the notice stays up without that. Far longer than what it allows to be kept.
const NOTICE_FOR: Duration = Duration::from_secs(3600);
/// How old the notice must be before anything is kept.
pub(super) const SEEN_AFTER: Duration = CHANGE_MAX.saturating_add(LOOK_EVERY);

const _: () = assert!(KEPT_FOR.as_secs() + RENEW_EVERY.as_secs() < NOTICE_FOR.as_secs());

/// The notice, and when it was last looked for. Clones share it.
#[derive(Clone)]
pub(super) struct Keeping {
    key: String,
    seen: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl Keeping {
    pub(super) fn new(key: String) -> Self {
        Self {
            key,
            seen: Arc::default(),
        }
    }

    /// Where the notice is: the time of Redis when it was put up, in milliseconds.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Whether somebody may keep states before [`SEEN_AFTER`] from now is over.
    pub(super) async fn is_on(&self, link: &Link) -> Result<bool, QueueError> {
        let now = Instant::now();
        if let Some((at, is_on)) = *self.lock()
            && now.duration_since(at) < LOOK_EVERY
        {
            return Ok(is_on);
        }
        let is_on: bool = link.clone().exists(&self.key).await?;
        *self.lock() = Some((now, is_on));
        Ok(is_on)
    }

    /// Puts the notice up, dated back by `age`, or renews it.
    pub(super) async fn announce(&self, link: &Link, age: Duration) -> Result<(), QueueError> {
        let mut link = link.clone();
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut link).await?;
        let now_ms = seconds * 1000 + micros / 1000;
        redis::pipe()
            .cmd("SET")
            .arg(&self.key)
            .arg(now_ms.saturating_sub(ms(age)))
            .arg("NX")
            .ignore()
            .cmd("PEXPIRE")
            .arg(&self.key)
            .arg(ms(NOTICE_FOR))
            .ignore()
            .query_async::<()>(&mut link)
            .await?;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, bool)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
