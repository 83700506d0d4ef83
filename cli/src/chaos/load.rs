//! The load: signed deliveries at a steady rate, whatever the answers, each tried until it is accepted. Every attempt
//! is kept, because what was acknowledged is half of what is compared.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use shared::clock::Clock;
use shared::signature::Secret;
use simulator::dice::Dice;
use simulator::event::Event;
use simulator::sender::{Answer, Retry, Sender, SenderError, Settings};
use simulator::traffic::{Delivery, Plan};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ties::{CHANGES, tie};

/// Longest wait for an answer. Whatever is broken behind it, ingest answers sooner.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts under way at once.
const CONCURRENCY: usize = 256;
/// When to try again: soon, so that a run is short, and until the load has long been over.
const RETRY: Retry = Retry {
    attempts: u32::MAX,
    first: Duration::from_millis(100),
    longest: Duration::from_secs(2),
    longest_asked: Duration::from_secs(2),
};
/// Share of deliveries that are made twice at the same moment: two workers may then hold one event.
const ECHOES: f64 = 0.1;
/// Deliveries to one object that changes several times in one second.
const TIE_EVERY: usize = 50;
/// How long ago that was.
const TIE_AGE_SECONDS: i64 = 3_600;
/// Share of events that are second Event objects about one change.
const TWINS: f64 = 0.03;

/// Share of customers that belong to a connected account.
const CONNECTED: f64 = 0.2;

/// One attempt and its answer. Times are unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Which event, by its place in [`Load::events`].
    pub event: usize,
    pub began_ms: i64,
    pub ended_ms: i64,
    /// `None`: no answer.
    pub status: Option<u16>,
    pub has_retry_after: bool,
}

impl Attempt {
    pub(super) fn is_accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// When to end: told by whoever breaks things.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    /// Nothing new is begun.
    pub enough: CancellationToken,
    /// Nothing is tried again.
    pub patience: CancellationToken,
}

/// Where to send.
pub(super) struct Addresses {
    /// By way of the proxy.
    pub url: String,
    /// Without: it is not made for many connections.
    pub direct_url: String,
    pub secret: Secret,
    /// Whether there is a surge.
    pub surge: watch::Receiver<bool>,
}

/// What to send.
pub(super) struct Load {
    /// Every event once, in the order of `created`.
    pub events: Vec<Arc<Event>>,
    /// What is sent, and of which event, in order.
    deliveries: Vec<(usize, Bytes)>,
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub attempts: Vec<Attempt>,
    pub deliveries: usize,
    /// Deliveries that were still refused when patience ended.
    pub unaccepted: usize,
}

impl Load {
    /// Some `deliveries`, with repetitions. A seed and a start repeat them.
    pub(super) fn new(seed: u64, start: i64, deliveries: usize) -> Self {
        let plan = Plan {
            twins: TWINS,
            connect: CONNECTED,
            ..Plan::new(seed, 0, start)
        };
        let repeated = 1.0 / (1.0 - plan.duplicates) + ECHOES;
        let events = (deliveries as f64 / repeated) as usize;
        let mut dice = Dice::new(seed ^ 1);
        let mut queue = Plan { events, ..plan }.traffic().deliveries;
        mix_ties(&mut queue, start, &mut dice);
        let distinct = queue.iter().filter(|delivery| !delivery.duplicate);
        let mut events: Vec<Arc<Event>> = distinct.map(|delivery| Arc::clone(&delivery.event)).collect();
        events.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        let places: BTreeMap<&str, usize> = events
            .iter()
            .enumerate()
            .map(|(place, event)| (event.id.as_str(), place))
            .collect();
        let mut deliveries = Vec::new();
        for delivery in &queue {
            let one = (places[delivery.event.id.as_str()], delivery.event.body.clone());
            if dice.chance(ECHOES) {
                deliveries.push(one.clone());
            }
            deliveries.push(one);
        }
        Self { events, deliveries }
    }

    /// Sends at `rate` a second until there is `enough`, beside whoever waits for it. After `patience` nothing is tried
    /// again.
    pub(super) fn start(
        &self,
        to: &Addresses,
        rate: f64,
        ends: Ends,
    ) -> Result<JoinHandle<Sent>, SenderError> {
        let settings = Settings {
            concurrency: CONCURRENCY,
            timeout: TIMEOUT,
            ..Settings::default()
        };
        let sender = |url: &str| Sender::new(url, vec![to.secret.clone()], settings.clone());
        let deliveries = self
            .deliveries
            .iter()
            .map(|(event, body)| (*event, self.events[*event].id.clone(), body.clone()));
        let way = Way {
            sender: sender(&to.url)?,
            slots: Arc::new(Semaphore::new(CONCURRENCY)),
            deliveries: Arc::new(deliveries.collect()),
            attempts: Arc::default(),
            clock: Clock::system(),
            ends,
        };
        let surging = Way {
            sender: sender(&to.direct_url)?,
            ..way.clone()
        };
        Ok(tokio::spawn(way.send(rate, surging, to.surge.clone())))
    }
}

/// Puts ties among the deliveries, the events of each close to each other.
fn mix_ties(queue: &mut Vec<Delivery>, start: i64, dice: &mut Dice) {
    for number in 0..queue.len() / TIE_EVERY {
        for event in tie(number, start - TIE_AGE_SECONDS, dice) {
            let place = number * (TIE_EVERY + CHANGES) + dice.index(TIE_EVERY);
            let (event, at) = (Arc::new(event), Duration::ZERO);
            queue.insert(
                place.min(queue.len()),
                Delivery {
                    event,
                    at,
                    duplicate: false,
                },
            );
        }
    }
}

#[derive(Clone)]
pub(super) struct Way {
    sender: Sender,
    slots: Arc<Semaphore>,
    /// Event, its id, and what is sent of it.
    deliveries: Arc<Vec<(usize, String, Bytes)>>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
    clock: Clock,
    ends: Ends,
}

impl Way {
    async fn send(self, rate: f64, surging: Self, surge: watch::Receiver<bool>) -> Sent {
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        let begun = Arc::new(AtomicUsize::new(0));
        let surge = tokio::spawn(super::surge::surge(surging, Arc::clone(&begun), surge));
        for place in 0..self.deliveries.len() {
            let due = began + Duration::from_secs_f64(place as f64 / rate);
            tokio::select! {
                () = self.ends.enough.cancelled() => break,
                () = sleep_until(due) => {}
            }
            tasks.spawn(self.clone().deliver(place));
            begun.fetch_add(1, Ordering::Relaxed);
        }
        let accepted = tasks.join_all().await;
        surge.abort();
        let attempts = std::mem::take(&mut *self.attempts.lock().unwrap_or_else(PoisonError::into_inner));
        Sent {
            attempts,
            deliveries: accepted.len(),
            unaccepted: accepted.iter().filter(|accepted| !**accepted).count(),
        }
    }

    /// Until it is accepted; false when patience ended before.
    async fn deliver(self, place: usize) -> bool {
        let mut failures = 0;
        loop {
            let slot = self.slots.acquire().await;
            let answer = self.attempt(place).await;
            drop(slot);
            if answer.is_success() {
                return true;
            }
            failures += 1;
            let wait = RETRY.wait(&self.deliveries[place].1, failures, answer.retry_after);
            tokio::select! {
                () = self.ends.patience.cancelled() => return false,
                () = sleep(wait) => {}
            }
        }
    }

    /// Once.
    pub(super) async fn attempt(&self, place: usize) -> Answer {
        let (event, _, body) = &self.deliveries[place];
        let began_ms = self.clock.unix_ms();
        let answer = self.sender.post(body.clone()).await;
        let attempt = Attempt {
            event: *event,
            began_ms,
            ended_ms: self.clock.unix_ms(),
            status: answer.status,
            has_retry_after: answer.retry_after.is_some(),
        };
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.push(attempt);
        answer
    }
}
