//! What was claimed and waits for a free slot.
//!
//! A slot takes all that is there, up to a chunk, and never waits for more. Not for it are entries whose ordering key
//! another slot has in work: both would want the same rows, and one would only wait for the other. Such entries step
//! behind, where they take nobody's room, until their key is free. Those of a customer with very many get a chunk of
//! their own then, so that nobody else waits for all of them to be done.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::task::AtomicWaker;
use shared::queue::{CHUNK_ENTRIES_MAX, Claimed};
use tokio::sync::Notify;

use crate::shards::Shards;

/// Bytes of bodies a chunk should hold, and those that could run. Bodies are a few kilobytes, but may be 4 MiB each: a
/// backlog of such must not fill the memory.
pub const CHUNK_BYTES: usize = 8 * 1024 * 1024;
/// Entries that may be behind others of their key, of one shard. More are not claimed: they wait in Redis, and with them
/// the rest of their shard, but no other.
pub const BEHIND_ENTRIES_MAX: usize = 8 * CHUNK_ENTRIES_MAX;
/// The same of all shards.
pub const BEHIND_ALL_ENTRIES_MAX: usize = 4 * BEHIND_ENTRIES_MAX;
/// Bytes of all bodies that are behind.
pub const BEHIND_BYTES_MAX: usize = 4 * CHUNK_BYTES;
/// Most entries of one key in a chunk with others. A customer with more has the rest to itself.
const CROWD: usize = CHUNK_ENTRIES_MAX / 8;

/// Entries on their way from the fetcher to the slots. Clones share them.
#[derive(Debug, Clone)]
pub struct Waiting(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    entries: Mutex<Entries>,
    /// Whose entries may be begun.
    shards: Shards,
    /// Whoever takes; there is only one.
    taker: AtomicWaker,
    /// Told when there may be room.
    taken: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    /// What could run now, the oldest first.
    ready: VecDeque<Keyed>,
    ready_bytes: usize,
    /// What waits for a chunk with its key, the oldest first, by key.
    behind: HashMap<u64, VecDeque<Keyed>>,
    behind_bytes: usize,
    /// How many that are, by shard.
    behind_of: BTreeMap<u16, usize>,
    /// Keys whose turn it is to have a chunk of their own.
    due: VecDeque<u64>,
    /// Whether the last chunk was such a one: they take turns with the others.
    was_own: bool,
    /// Ordering keys of what is being worked on, see [`ordering_key`].
    in_work: HashSet<u64>,
    is_closed: bool,
}

/// An entry with its ordering key.
#[derive(Debug)]
struct Keyed {
    key: u64,
    claimed: Claimed,
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
    /// Nothing yet. Only entries of what `shards` has are ever begun.
    #[must_use]
    pub fn new(shards: Shards) -> Self {
        Self(Arc::new(Inner {
            entries: Mutex::default(),
            shards,
            taker: AtomicWaker::new(),
            taken: Notify::new(),
        }))
    }

    /// Waits until less than a chunk could run: an entry is claimed only when somebody is about to work on it.
    pub async fn room(&self) {
        loop {
            let taken = self.0.taken.notified();
            if self.lock().has_room() {
                return;
            }
            taken.await;
        }
    }

    /// Whether there is no room for more of a shard.
    #[must_use]
    pub fn is_full_of(&self, shard: u16) -> bool {
        let entries = self.lock();
        let behind = entries.behind_of.get(&shard);
        behind.is_some_and(|count| *count >= BEHIND_ENTRIES_MAX)
    }

    /// Adds entries.
    pub fn put(&self, entries: Vec<Claimed>) {
        self.lock().put(entries);
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
        let now = Instant::now();
        let (entries, keys) = self.lock().take(|shard| self.0.shards.may_begin(shard, now));
        let deliveries = entries.first()?.deliveries;
        self.0.taken.notify_one();
        let waiting = self.clone();
        Some(Chunk {
            entries,
            deliveries,
            _turn: Turn { keys, waiting },
        })
    }

    /// Takes out what is not begun of some shards.
    #[must_use]
    pub fn withdraw(&self, of: impl Fn(u16) -> bool) -> Vec<Claimed> {
        let withdrawn = self.lock().withdraw(of);
        if !withdrawn.is_empty() {
            self.0.taken.notify_one();
            // What was passed over for the sake of these may be next.
            self.0.taker.wake();
        }
        withdrawn
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
        let behind: usize = self.behind_of.values().sum();
        self.ready.len() < CHUNK_ENTRIES_MAX
            && self.ready_bytes < CHUNK_BYTES
            && behind < BEHIND_ALL_ENTRIES_MAX
            && self.behind_bytes < BEHIND_BYTES_MAX
    }

    fn put(&mut self, entries: Vec<Claimed>) {
        for claimed in entries {
            let key = ordering_key(&claimed);
            let it = Keyed { key, claimed };
            if self.in_work.contains(&key) || self.behind.contains_key(&key) {
                self.step_behind(it);
            } else {
                self.ready_bytes += it.bytes();
                self.ready.push_back(it);
            }
        }
    }

    fn step_behind(&mut self, it: Keyed) {
        self.behind_bytes += it.bytes();
        *self.behind_of.entry(it.claimed.id.shard).or_default() += 1;
        self.behind.entry(it.key).or_default().push_back(it);
    }

    /// Whatever goes from behind, somewhere.
    fn step_out(&mut self, it: &Keyed) {
        self.behind_bytes -= it.bytes();
        if let Some(count) = self.behind_of.get_mut(&it.claimed.id.shard) {
            *count -= 1;
        }
    }

    /// Takes what may share a chunk, and notes its ordering keys.
    fn take(&mut self, may_begin: impl Fn(u16) -> bool) -> (Vec<Claimed>, Vec<u64>) {
        let chunk = if self.was_own {
            let shared = self.take_shared(&may_begin);
            if shared.0.is_empty() {
                self.take_own(&may_begin)
            } else {
                shared
            }
        } else {
            let own = self.take_own(&may_begin);
            if own.0.is_empty() {
                self.take_shared(&may_begin)
            } else {
                own
            }
        };
        self.in_work.extend(&chunk.1);
        chunk
    }

    /// A chunk for one key that had to wait.
    fn take_own(&mut self, may_begin: impl Fn(u16) -> bool) -> (Vec<Claimed>, Vec<u64>) {
        let Some(key) = self.due.pop_front() else {
            return Default::default();
        };
        let waits = self.behind.remove(&key).unwrap_or_default();
        let mut chunk = Filling::new(CHUNK_ENTRIES_MAX);
        let mut left = VecDeque::new();
        for it in waits {
            if may_begin(it.claimed.id.shard) && chunk.has_room_for(&it) {
                self.step_out(&it);
                chunk.add(it);
            } else {
                left.push_back(it);
            }
        }
        if !left.is_empty() {
            self.behind.insert(key, left);
        }
        self.was_own = !chunk.entries.is_empty();
        if !self.was_own {
            self.due.push_back(key);
        }
        chunk.end()
    }

    /// A chunk for many. Who has more in it than others steps behind with the rest.
    fn take_shared(&mut self, may_begin: impl Fn(u16) -> bool) -> (Vec<Claimed>, Vec<u64>) {
        let mut chunk = Filling::new(CROWD);
        let mut left = VecDeque::new();
        for it in std::mem::take(&mut self.ready) {
            if may_begin(it.claimed.id.shard) && chunk.has_room_for(&it) {
                self.ready_bytes -= it.bytes();
                chunk.add(it);
            } else {
                left.push_back(it);
            }
        }
        for it in left {
            if chunk.keys.contains_key(&it.key) {
                self.ready_bytes -= it.bytes();
                self.step_behind(it);
            } else {
                self.ready.push_back(it);
            }
        }
        self.was_own = false;
        chunk.end()
    }

    /// A chunk with this key is done: who waits for it may run, alone when that are many.
    fn free(&mut self, key: u64) {
        self.in_work.remove(&key);
        match self.behind.get(&key).map(VecDeque::len) {
            None => {}
            Some(count) if count > CROWD => self.due.push_back(key),
            Some(_) => {
                for it in self.behind.remove(&key).into_iter().flatten().rev() {
                    self.step_out(&it);
                    self.ready_bytes += it.bytes();
                    self.ready.push_front(it);
                }
            }
        }
    }

    fn withdraw(&mut self, of: impl Fn(u16) -> bool) -> Vec<Claimed> {
        let (gone, stays): (Vec<Keyed>, Vec<Keyed>) = std::mem::take(&mut self.ready)
            .into_iter()
            .partition(|it| of(it.claimed.id.shard));
        self.ready = stays.into();
        self.ready_bytes -= gone.iter().map(Keyed::bytes).sum::<usize>();
        let mut gone: Vec<Claimed> = gone.into_iter().map(|it| it.claimed).collect();
        for (key, waits) in std::mem::take(&mut self.behind) {
            for it in waits {
                if of(it.claimed.id.shard) {
                    self.step_out(&it);
                    gone.push(it.claimed);
                } else {
                    self.behind.entry(key).or_default().push_back(it);
                }
            }
        }
        self.due.retain(|key| self.behind.contains_key(key));
        gone
    }
}

/// A chunk being filled.
struct Filling {
    entries: Vec<Claimed>,
    bytes: usize,
    /// How many there are of each key.
    keys: HashMap<u64, usize>,
    of_key_max: usize,
}

impl Filling {
    fn new(of_key_max: usize) -> Self {
        Self {
            entries: Vec::new(),
            bytes: 0,
            keys: HashMap::new(),
            of_key_max,
        }
    }

    fn has_room_for(&self, it: &Keyed) -> bool {
        let first = self.entries.first();
        let is_alike = first.is_none_or(|first| first.deliveries == it.claimed.deliveries);
        is_alike
            && self.entries.len() < CHUNK_ENTRIES_MAX
            && self.bytes < CHUNK_BYTES
            && self
                .keys
                .get(&it.key)
                .is_none_or(|count| *count < self.of_key_max)
    }

    fn add(&mut self, it: Keyed) {
        self.bytes += it.bytes();
        *self.keys.entry(it.key).or_default() += 1;
        self.entries.push(it.claimed);
    }

    fn end(self) -> (Vec<Claimed>, Vec<u64>) {
        (self.entries, self.keys.into_keys().collect())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut entries = self.waiting.lock();
        self.keys.iter().for_each(|key| entries.free(*key));
        drop(entries);
        self.waiting.0.taken.notify_one();
        self.waiting.0.taker.wake();
    }
}

impl Keyed {
    fn bytes(&self) -> usize {
        self.claimed.entry.as_ref().map_or(0, |entry| entry.body.len())
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
            id: StreamId {
                shard: 0,
                ms: number,
                seq: 0,
            },
            deliveries,
            entry: Ok(Entry { meta, body }),
            fields: Vec::new(),
        }
    }

    fn new() -> Waiting {
        Waiting::new(Shards::holding([0, 1]))
    }

    fn many(from: u64, count: usize, customer: &str) -> Vec<Claimed> {
        let numbers = from..from + count as u64;
        numbers.map(|number| claimed(number, customer, 1, 10)).collect()
    }

    /// Entries numbered from 0, once delivered.
    fn waiting(customers: &[&str]) -> Waiting {
        let waiting = new();
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
        let waiting = new();
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
        let waiting = new();
        assert!(waiting.lock().has_room());
        let others = CHUNK_ENTRIES_MAX as u64 + 1;
        let others = (0..others).map(|number| claimed(number, &format!("c{number}"), 1, 10));
        waiting.put(others.collect());
        assert!(!waiting.lock().has_room());
        let chunk = waiting.take().expect("a chunk");
        assert_eq!(chunk.entries.len(), CHUNK_ENTRIES_MAX);
        assert!(waiting.lock().has_room());
        let large = |number| claimed(number, &format!("l{number}"), 1, CHUNK_BYTES);
        waiting.put(vec![large(1_000), large(1_001)]);
        assert!(!waiting.lock().has_room());
        let chunk = waiting.take().expect("a chunk");
        assert_eq!(numbers(&chunk), [CHUNK_ENTRIES_MAX as u64, 1_000]);
    }

    #[test]
    fn who_waits_for_one_s_own_takes_nobody_s_room() {
        let waiting = waiting(&["a"]);
        let first = waiting.take().expect("a chunk");
        waiting.put(many(1, CHUNK_ENTRIES_MAX, "a"));
        assert!(waiting.lock().has_room(), "none of them could run now");
        assert!(waiting.take().is_none());
        let more = BEHIND_ENTRIES_MAX - CHUNK_ENTRIES_MAX;
        assert!(!waiting.is_full_of(0));
        waiting.put(many(1_000, more, "a"));
        assert!(waiting.is_full_of(0) && !waiting.is_full_of(1));
        assert!(waiting.lock().has_room(), "the other shards go on");
        waiting.put(vec![claimed(9_000, "a", 1, BEHIND_BYTES_MAX)]);
        assert!(!waiting.lock().has_room(), "memory is bounded");
        drop(first);
        let mut left = 1 + BEHIND_ENTRIES_MAX;
        while let Some(chunk) = waiting.take() {
            left -= chunk.entries.len();
        }
        assert_eq!(left, 0);
        let entries = waiting.lock();
        assert_eq!((entries.behind_bytes, entries.ready_bytes), (0, 0));
        assert!(entries.has_room() && entries.behind.is_empty() && entries.in_work.is_empty());
    }

    #[test]
    fn a_customer_with_very_many_gets_chunks_of_its_own() {
        let waiting = new();
        let mut entries = many(0, CHUNK_ENTRIES_MAX - 1, "busy");
        entries.push(claimed(1_000, "b", 1, 10));
        waiting.put(entries);
        let first = waiting.take().expect("a chunk");
        assert_eq!(first.entries.len(), CROWD + 1, "nobody waits for all of them");
        assert!(waiting.take().is_none());
        waiting.put(vec![claimed(1_001, "c", 1, 10)]);
        drop(first);
        let own = waiting.take().expect("a chunk");
        assert_eq!(own.entries.len(), CHUNK_ENTRIES_MAX - 1 - CROWD);
        assert_eq!(numbers(&own)[0], CROWD as u64, "the oldest first");
        assert_eq!(numbers(&waiting.take().expect("a chunk")), [1_001]);
    }

    #[test]
    fn a_busy_customer_and_the_others_take_turns() {
        let waiting = waiting(&["a"]);
        let first = waiting.take().expect("a chunk");
        waiting.put(many(1, 3 * CHUNK_ENTRIES_MAX, "a"));
        drop(first);
        let mut seen = Vec::new();
        for number in 0..3 {
            waiting.put(vec![claimed(9_000 + number, "b", 1, 10)]);
            for _ in 0..2 {
                seen.push(waiting.take().expect("a chunk").entries.len());
            }
        }
        assert_eq!(seen, [CHUNK_ENTRIES_MAX, 1].repeat(3));
    }

    #[test]
    fn a_few_that_had_to_wait_share_a_chunk_with_others() {
        let waiting = waiting(&["a"]);
        let first = waiting.take().expect("a chunk");
        waiting.put(vec![claimed(1, "a", 1, 10), claimed(2, "a", 1, 10)]);
        drop(first);
        waiting.put(vec![claimed(3, "b", 1, 10)]);
        assert_eq!(numbers(&waiting.take().expect("a chunk")), [1, 2, 3]);
    }

    #[test]
    fn nothing_is_begun_of_a_shard_that_is_gone() {
        let waiting = new();
        let mut entries = vec![
            claimed(0, "a", 1, 10),
            claimed(1, "b", 1, 10),
            claimed(2, "b", 1, 10),
        ];
        entries[0].id.shard = 7;
        waiting.put(entries);
        let chunk = waiting.take().expect("a chunk");
        assert_eq!(numbers(&chunk), [1, 2]);
        waiting.put(vec![claimed(3, "b", 1, 10)]);
        let gone = waiting.withdraw(|shard| shard == 7);
        assert_eq!(gone.iter().map(|it| it.id.ms).collect::<Vec<_>>(), [0]);
        let behind = waiting.withdraw(|shard| shard == 0);
        assert_eq!(behind.iter().map(|it| it.id.ms).collect::<Vec<_>>(), [3]);
        drop(chunk);
        assert!(waiting.take().is_none());
        assert_eq!(waiting.lock().ready_bytes, 0);
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
