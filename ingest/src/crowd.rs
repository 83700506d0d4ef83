//! Whether there are as many connections as there may be, and somebody waits for one to end: told by who accepts them to
//! all that are open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore};

/// How often an idle connection is asked to make room: there may be none yet, and one that does may take its time to close.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// What has been idle for so long is asked first; then, each time, what has been idle half as long.
const IDLE_FIRST: Duration = Duration::from_secs(16);
/// And nothing that was idle for less: whoever is closed between two requests of a busy client loses the one that is on its
/// way.
pub(crate) const IDLE_LEAST: Duration = Duration::from_secs(1);
/// Nobody has to end.
const NOBODY: u64 = 0;

/// Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crowd {
    is_there: Arc<AtomicBool>,
    /// One that has been idle for so many milliseconds is to end; [`NOBODY`] once one does. Not all at once, for the same
    /// reason.
    wanted_ms: Arc<AtomicU64>,
    asked: Arc<Notify>,
}

impl Crowd {
    /// Waits for a place, which others make.
    pub(crate) async fn place(&self, slots: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, AcquireError> {
        if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
            return Ok(slot);
        }
        let _waiting = Waiting::new(self);
        let mut slot = std::pin::pin!(Arc::clone(slots).acquire_owned());
        let mut idle = IDLE_FIRST;
        loop {
            self.ask(idle);
            idle = IDLE_LEAST.max(idle / 2);
            tokio::select! {
                slot = &mut slot => return slot,
                () = tokio::time::sleep(ASK_EVERY) => {}
            }
        }
    }

    /// Whether somebody waits.
    pub(crate) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    /// Whether a connection that has been idle for so long is to end. Of all that could, one is told so.
    pub(crate) fn takes(&self, idle: Duration) -> bool {
        let wanted = self.wanted_ms.load(Ordering::Relaxed);
        wanted != NOBODY
            && idle >= Duration::from_millis(wanted)
            && self.wanted_ms.swap(NOBODY, Ordering::Relaxed) != NOBODY
    }

    fn ask(&self, idle: Duration) {
        let wanted = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        self.wanted_ms.store(wanted, Ordering::Relaxed);
        self.asked.notify_waiters();
    }

    /// Ready when one is asked to end, from now on.
    pub(crate) fn asked(&self) -> OwnedNotified {
        Arc::clone(&self.asked).notified_owned()
    }
}

/// Somebody waits, until this is dropped.
struct Waiting<'a>(&'a Crowd);

impl<'a> Waiting<'a> {
    fn new(crowd: &'a Crowd) -> Self {
        crowd.is_there.store(true, Ordering::Relaxed);
        Self(crowd)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.is_there.store(false, Ordering::Relaxed);
        self.0.wanted_ms.store(NOBODY, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_that_were_idle_for_long_enough_one_ends() {
        let crowd = Crowd::default();
        let seconds = Duration::from_secs;
        assert!(!crowd.takes(seconds(60)), "nobody waits");
        crowd.ask(seconds(4));
        assert!(!crowd.takes(seconds(3)));
        assert!(crowd.takes(seconds(4)));
        assert!(!crowd.takes(seconds(60)), "one is enough");
    }

    #[tokio::test]
    async fn nobody_is_asked_once_there_is_a_place() {
        let (crowd, slots) = (Crowd::default(), Arc::new(Semaphore::new(1)));
        let first = crowd.place(&slots).await.expect("a place");
        assert!(!crowd.is_there());
        let second = crowd.place(&slots);
        let leaving = async {
            crowd.asked().await;
            assert!(crowd.is_there());
            drop(first);
        };
        let (second, ()) = tokio::join!(second, leaving);
        assert!(second.is_ok() && !crowd.is_there() && !crowd.takes(IDLE_FIRST));
    }
}
