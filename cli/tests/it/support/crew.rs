//! Several workers at once, on pools of their own, so that locks and races are real.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::{Class, Policy};
use ingest::{Accounts, Endpoint};
use shared::entry::{Entry, Meta};
use shared::envelope::Envelope;
use shared::queue::{Claimed, StreamId};
use simulator::dice::Dice;
use store::Store;
use worker::item::Item;
use worker::reckon::{MARKS_MAX, reckon};
use worker::transact::transact;

use super::Rig;

/// Connections of each worker.
const CONNECTIONS: u32 = 2;
/// How often effects are reckoned between two chunks.
const RECKONED: f64 = 0.4;
/// Attempts at one transaction; the next one after a deadlock nearly always succeeds.
const ATTEMPTS_MAX: usize = 50;
/// Attempts at a single mark, as in the worker: two reckoners in each other's way need a second one.
const SINGLE_ATTEMPTS_MAX: usize = 3;
const PAUSE: Duration = Duration::from_millis(5);

/// One event, as it arrives at one endpoint.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub body: Bytes,
    pub endpoint: Arc<Endpoint>,
}

/// What is put into one transaction.
pub type Chunk = Vec<Delivery>;

impl Delivery {
    /// At an endpoint that takes the platform's own events.
    pub fn plain(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            endpoint: Arc::new(endpoint(None)),
        }
    }

    /// As the worker claims it. Every delivery is an entry of its own.
    pub fn item(&self) -> Item {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let envelope = Envelope::parse(&self.body).expect("an event");
        let mismatch = self.endpoint.judge(&envelope);
        let meta = Meta {
            envelope,
            endpoint: self.endpoint.name.clone(),
            received_at_ms: 1,
            mismatch,
            traceparent: None,
        };
        let body = self.body.clone();
        Item::new(Claimed {
            id: StreamId {
                shard: 0,
                ms: 1,
                seq: NEXT.fetch_add(1, Ordering::Relaxed),
            },
            deliveries: 1,
            entry: Ok(Entry { meta, body }),
            fields: Vec::new(),
        })
    }
}

pub fn endpoint(livemode: Option<bool>) -> Endpoint {
    Endpoint {
        name: "default".into(),
        secrets: Vec::new(),
        livemode,
        accounts: Accounts::default(),
        token: None,
    }
}

/// Workers of one database.
pub struct Crew {
    stores: Vec<Store>,
    policy: Policy,
    /// Transactions that had to be tried again because somebody was in the way.
    pub retried: Arc<AtomicUsize>,
}

impl Crew {
    pub fn new(rig: &Rig, workers: usize) -> Self {
        let store = || Store::for_working(&rig.database_url, CONNECTIONS).expect("an URL");
        Self {
            stores: (0..workers).map(|_| store()).collect(),
            policy: Policy::default(),
            retried: Arc::default(),
        }
    }

    /// Works off `chunks`: whoever is free takes the next one. Returns when nothing is marked any more.
    pub async fn work(&self, chunks: impl IntoIterator<Item = Chunk>, seed: u64) {
        let queue: Queue = Arc::new(Mutex::new(chunks.into_iter().collect()));
        let hands = self.stores.iter().zip(0..).map(|(store, number)| {
            let hand = self.hand(store);
            let queue = Arc::clone(&queue);
            tokio::spawn(hand.work_off(queue, Dice::new(seed.wrapping_add(number))))
        });
        let hands: Vec<_> = hands.collect();
        for hand in hands {
            hand.await.expect("no panic");
        }
        self.settle().await;
    }

    /// One chunk after the other, effects after each.
    pub async fn one_by_one(&self, chunks: impl IntoIterator<Item = Chunk>) {
        let hand = self.hand(self.store());
        for chunk in chunks {
            let items: Vec<Item> = chunk.iter().map(Delivery::item).collect();
            hand.transact(&items).await;
            hand.settle().await;
        }
    }

    /// Reckons until nothing is marked.
    pub async fn settle(&self) {
        self.hand(self.store()).settle().await;
        assert_eq!(
            self.store().waiting().await.expect("a number").marks,
            0,
            "marks are left"
        );
    }

    pub fn store(&self) -> &Store {
        &self.stores[0]
    }

    fn hand(&self, store: &Store) -> Hand {
        Hand {
            store: store.clone(),
            policy: self.policy,
            retried: Arc::clone(&self.retried),
        }
    }
}

type Queue = Arc<Mutex<VecDeque<Chunk>>>;

/// One of the workers.
struct Hand {
    store: Store,
    policy: Policy,
    retried: Arc<AtomicUsize>,
}

impl Hand {
    async fn work_off(self, queue: Queue, mut dice: Dice) {
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while let Some(chunk) = next() {
            let items: Vec<Item> = chunk.iter().map(Delivery::item).collect();
            self.transact(&items).await;
            if dice.chance(RECKONED) {
                self.reckon_once(MARKS_MAX).await;
            }
        }
        self.settle().await;
    }

    /// As the worker does it, except that nothing may be refused.
    async fn transact(&self, items: &[Item]) {
        for _ in 0..ATTEMPTS_MAX {
            match transact(&self.store, items).await {
                Ok(_) => return,
                Err(error) => assert_eq!(error.class(), Class::Transient, "{error}"),
            }
            self.retried.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{ATTEMPTS_MAX} attempts at one batch");
    }

    async fn settle(&self) {
        while self.reckon_once(MARKS_MAX).await {}
    }

    /// As the worker does it, except that no mark may be set aside. Whether there was anything to reckon.
    async fn reckon_once(&self, mut marks_max: u32) -> bool {
        let mut single = 0;
        for _ in 0..ATTEMPTS_MAX {
            match reckon(&self.store, &self.policy, marks_max).await {
                Ok(done) => return done.is_some(),
                Err(failed) if failed.error.class() == Class::Transient => {}
                Err(failed) => {
                    single += usize::from(failed.rows.len() == 1);
                    assert!(single < SINGLE_ATTEMPTS_MAX, "would be set aside: {failed}");
                    marks_max = 1;
                }
            }
            self.retried.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{ATTEMPTS_MAX} attempts at one reckoning");
    }
}
