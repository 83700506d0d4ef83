//! What was claimed and waits for a free slot.
//!
//! A slot takes all that is there, up to a chunk, and never waits for more. Left to the next are entries whose ordering
//! key another slot has in work: both would want the same rows, and one would only wait for the other.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use shared::queue::{CHUNK_ENTRIES_MAX, Claimed};
use tokio::sync::Notify;

/// Bytes of bodies a chunk should hold, and those that wait. Bodies are a few kilobytes, but may be 4 MiB each: a
/// backlog of such must not fill the memory.
pub const CHUNK_BYTES: usize = 8 * 1024 * 1024;

/// Entries on their way from the fetcher to the slots. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    entries: Mutex<Entries>,
    /// Whoever takes; there is only one.
    taker: AtomicWaker,
    /// Told when something was taken.
    taken: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    /// The oldest first.
    waiting: VecDeque<Claimed>,
    bytes: usize,
    /// Ordering keys of what is being worked on, see [`ordering_key`].
    in_work: HashSet<u64>,
    is_closed: bool,
}

/// A unit of work: entries that were delivered equally often, at least one. While it is there, no other chunk has entries
/// with its ordering keys.
#[derive(Debug)]
pub struct Chunk {
    /// What it holds.
    pub entries: Vec<Claimed>,
    /// How often they were delivered, this time included.
    pub deliveries: u32,
    _turn: Turn,
}

/// Lets the next chunk have the ordering keys of this one.
#[derive(Debug)]
struct Turn {
    keys: Vec<u64>,
    waiting: Waiting,
}

impl Waiting {
    /// Waits until there is room for another chunk: an entry is claimed only when somebody is about to work on it.
    pub async fn room(&self) {
        loop {
            let taken = self.0.taken.notified();
            if self.lock().has_room() {
                return;
            }
            taken.await;
        }
    }

    /// Adds entries.
    pub fn put(&self, entries: Vec<Claimed>) {
        let mut this = self.lock();
        this.bytes += entries.iter().map(bytes).sum::<usize>();
        this.waiting.extend(entries);
        drop(this);
        self.0.taker.wake();
    }

    /// Takes the next chunk; `None` when there will be no more.
    pub fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Chunk>> {
        self.0.taker.register(cx.waker());
        let chunk = self.take();
        match chunk {
            None if !self.lock().is_closed => Poll::Pending,
            chunk => Poll::Ready(chunk),
        }
    }

    /// The next chunk, if anything can be worked on now.
    #[must_use]
    pub fn take(&self) -> Option<Chunk> {
        let (entries, keys) = self.lock().take();
        let deliveries = entries.first()?.deliveries;
        self.0.taken.notify_one();
        let waiting = self.clone();
        Some(Chunk {
            entries,
            deliveries,
            _turn: Turn { keys, waiting },
        })
    }

    /// Nothing will be added any more.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.0.taker.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Consistent after every statement, so a panic elsewhere does not spoil it.
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn has_room(&self) -> bool {
        self.waiting.len() < CHUNK_ENTRIES_MAX && self.bytes < CHUNK_BYTES
    }

    /// Takes what may share a chunk, and notes its ordering keys.
    fn take(&mut self) -> (Vec<Claimed>, Vec<u64>) {
        let (mut taken, mut left) = (Vec::<Claimed>::new(), VecDeque::new());
        let (mut keys, mut taken_bytes) = (HashSet::new(), 0);
        for claimed in self.waiting.drain(..) {
            let key = ordering_key(&claimed);
            let is_alike = taken
                .first()
                .is_none_or(|first| first.deliveries == claimed.deliveries);
            let fits = taken.len() < CHUNK_ENTRIES_MAX && taken_bytes < CHUNK_BYTES;
            if is_alike && fits && !self.in_work.contains(&key) {
                keys.insert(key);
                taken_bytes += bytes(&claimed);
                taken.push(claimed);
            } else {
                left.push_back(claimed);
            }
        }
        self.waiting = left;
        self.bytes -= taken_bytes;
        self.in_work.extend(&keys);
        (taken, keys.into_iter().collect())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut entries = self.waiting.lock();
        for key in &self.keys {
            entries.in_work.remove(key);
        }
        drop(entries);
        self.waiting.0.taker.wake();
    }
}

/// As a hash: two that share one by chance take turns without need.
fn ordering_key(claimed: &Claimed) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &claimed.entry {
        Ok(entry) => {
            let envelope = &entry.meta.envelope;
            (&envelope.account, envelope.ordering_key()).hash(&mut hasher);
        }
        Err(_) => claimed.id.hash(&mut hasher),
    }
    hasher.finish()
}

fn bytes(claimed: &Claimed) -> usize {
    claimed.entry.as_ref().map_or(0, |entry| entry.body.len())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shared::entry::{Entry, Meta};
    use shared::envelope::{Envelope, Rendering};
    use shared::queue::StreamId;

    use super::*;

    fn claimed(number: u64, customer: &str, deliveries: u32, bytes: usize) -> Claimed {
        let envelope = Envelope {
            id: format!("evt_{number}"),
            event_type: "invoice.paid".into(),
            created: 1,
            rendering: Rendering::Snapshot,
            account: None,
            livemode: false,
            api_version: None,
            object_type: None,
            object_id: None,
            customer: Some(customer.into()),
        };
        let meta = Meta {
            envelope,
            endpoint: "default".into(),
            received_at_ms: 1,
            mismatch: None,
            traceparent: None,
        };
        let body = Bytes::from(vec![b' '; bytes]);
        Claimed {
            id: StreamId { ms: number, seq: 0 },
            deliveries,
            entry: Ok(Entry { meta, body }),
            fields: Vec::new(),
        }
    }

    /// Entries numbered from 0, once delivered.
    fn waiting(customers: &[&str]) -> Waiting {
        let waiting = Waiting::default();
        let entries = (0..).zip(customers);
        waiting.put(entries.map(|(number, it)| claimed(number, it, 1, 10)).collect());
        waiting
    }

    fn numbers(chunk: &Chunk) -> Vec<u64> {
        chunk.entries.iter().map(|claimed| claimed.id.ms).collect()
    }

    #[test]
    fn a_chunk_takes_all_that_is_there() {
        let waiting = waiting(&["a", "b", "a"]);
        let chunk = waiting.take().expect("a chunk");
        assert_eq!((numbers(&chunk), chunk.deliveries), (vec![0, 1, 2], 1));
        assert!(waiting.take().is_none());
    }

    #[test]
    fn an_ordering_key_is_in_one_chunk_at_a_time() {
        let waiting = waiting(&["a"]);
        let first = waiting.take().expect("a chunk");
        waiting.put(vec![claimed(1, "a", 1, 10), claimed(2, "b", 1, 10)]);
        let other = waiting.take().expect("a chunk");
        assert_eq!(numbers(&other), [2], "the other customer does not wait");
        assert!(waiting.take().is_none(), "the first customer does");
        drop(first);
        assert_eq!(numbers(&waiting.take().expect("a chunk")), [1]);
    }

    #[tokio::test]
    async fn the_end_of_a_chunk_wakes_whoever_wants_its_keys() {
        let waiting = waiting(&["a"]);
        let first = waiting.take().expect("a chunk");
        waiting.put(vec![claimed(1, "a", 1, 10)]);
        let taker = waiting.clone();
        let next = tokio::spawn(std::future::poll_fn(move |cx| taker.poll_take(cx)));
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(numbers(&next.await.expect("no panic").expect("a chunk")), [1]);
    }

    #[test]
    fn chunks_hold_entries_with_one_history() {
        let waiting = Waiting::default();
        waiting.put(vec![
            claimed(0, "a", 2, 10),
            claimed(1, "b", 1, 10),
            claimed(2, "c", 2, 10),
        ]);
        let suspects = waiting.take().expect("a chunk");
        assert_eq!((numbers(&suspects), suspects.deliveries), (vec![0, 2], 2));
        let others = waiting.take().expect("a chunk");
        assert_eq!((numbers(&others), others.deliveries), (vec![1], 1));
    }

    #[test]
    fn chunks_and_what_waits_are_bounded() {
        let waiting = Waiting::default();
        assert!(waiting.lock().has_room());
        let many = CHUNK_ENTRIES_MAX as u64 + 1;
        waiting.put((0..many).map(|number| claimed(number, "a", 1, 10)).collect());
        assert!(!waiting.lock().has_room());
        let chunk = waiting.take().expect("a chunk");
        assert_eq!(chunk.entries.len(), CHUNK_ENTRIES_MAX);
        assert!(waiting.lock().has_room());
        drop(chunk);
        let large = |number| claimed(number, "b", 1, CHUNK_BYTES);
        waiting.put(vec![large(1_000), large(1_001)]);
        assert!(!waiting.lock().has_room());
        let chunk = waiting.take().expect("a chunk");
        assert_eq!(numbers(&chunk), [CHUNK_ENTRIES_MAX as u64, 1_000]);
    }

    #[test]
    fn nothing_comes_after_the_end() {
        let waiting = waiting(&["a"]);
        waiting.close();
        let cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(waiting.poll_take(&cx), Poll::Ready(Some(_))));
        assert!(matches!(waiting.poll_take(&cx), Poll::Ready(None)));
    }
}
