//! More load than ingest admits: as long as there is a surge, many connections repeat what is sent anyway, as fast as
//! they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::load::Way;

/// Connections of a surge: with those of the load more than ingest serves at once.
const CONNECTIONS: usize = 600;
/// Pause of one that was refused: it is no well-behaved one, and no hot loop.
const PAUSE: Duration = Duration::from_millis(20);

/// Sends what has been sent already, while there is a surge. Returns when there will be none any more.
pub(super) async fn surge(way: Way, sent: Arc<AtomicUsize>, mut is_on: watch::Receiver<bool>) {
    while is_on.wait_for(|is_on| *is_on).await.is_ok() {
        let mut senders = tokio::task::JoinSet::new();
        let next = Arc::new(AtomicUsize::new(0));
        for _ in 0..CONNECTIONS {
            let (way, sent, next) = (way.clone(), Arc::clone(&sent), Arc::clone(&next));
            let is_on = is_on.clone();
            senders.spawn(async move {
                while *is_on.borrow() {
                    let place = next.fetch_add(1, Ordering::Relaxed) % sent.load(Ordering::Relaxed).max(1);
                    if !way.attempt(place).await.is_success() {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            });
        }
        senders.join_all().await;
    }
}
