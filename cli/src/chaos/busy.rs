//! One customer with more events than all others together, who must not notice.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::apart::{event, send};
use super::deeds::{Broken, Done};
use super::world::World;

/// How the others fare before, to compare with.
const BEFORE: Duration = Duration::from_secs(5);
/// How many of the customer's events there are for each delivery of the others.
const SHARE: f64 = 5.0;
/// Connections they come over, each with one at a time.
const CONNECTIONS: usize = 32;
/// Longest until all of them are committed, after the last was accepted.
const DRAIN_LIMIT: Duration = Duration::from_secs(300);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How the customer's id begins.
const CUSTOMER: &str = "cus_busy";

/// When it was, unix milliseconds, and what came of it.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Busy {
    pub events: usize,
    pub before_ms: i64,
    pub began_ms: i64,
    pub drained_ms: i64,
    /// Events that met another one of theirs under way.
    pub overlaps: i64,
}

/// How long so many events of one customer take, beside so many deliveries of all others a second.
pub(super) fn lasts(events: usize, rate: f64) -> Duration {
    Duration::from_secs_f64(events as f64 / (SHARE * rate))
}

impl World {
    /// Sends very many events of one customer, several for each of all others together, and waits until they are committed.
    pub(super) async fn be_busy(&mut self) -> Done<Broken> {
        let events = self.busy_events;
        self.calm_down().await?;
        let before_ms = self.clock.unix_ms();
        tokio::time::sleep(BEFORE).await;
        self.store.watch_overlaps(CUSTOMER).await?;
        let overlaps = self.store.overlaps().await?;
        let began_ms = self.clock.unix_ms();
        let sending = Instant::now();
        self.send_busy(events).await?;
        let sent = sending.elapsed();
        let deadline = Instant::now() + DRAIN_LIMIT;
        while !self.is_calm() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let busy = Busy {
            events,
            before_ms,
            began_ms,
            drained_ms: self.clock.unix_ms(),
            overlaps: self.store.overlaps().await? - overlaps,
        };
        Ok(Broken {
            at_ms: Some(began_ms),
            detail: format!(
                "{events} events accepted in {:.1} s, committed after {:.1} s",
                sent.as_secs_f64(),
                sending.elapsed().as_secs_f64()
            ),
            busy: Some(busy),
            ..Broken::default()
        })
    }

    async fn send_busy(&mut self, events: usize) -> Result<(), Box<dyn Error>> {
        let round = self.apart.len();
        let (customer, first) = (
            format!("{CUSTOMER}{round}"),
            self.clock.unix_seconds() - i64::try_from(events)?,
        );
        let sender = self.side_sender(CONNECTIONS)?;
        let next = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (sender, customer, next) = (sender.clone(), customer.clone(), Arc::clone(&next));
            let (began, pause) = (Instant::now(), lasts(1, self.rate));
            senders.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= events {
                        return Ok(());
                    }
                    let due = began + pause.mul_f64(number as f64);
                    tokio::time::sleep_until(due.into()).await;
                    let created = first + number as i64;
                    let body = event(&id(round, number), &customer, created, &json!({}));
                    send(&sender, &body).await?;
                }
            });
        }
        for sent in senders.join_all().await {
            sent.map_err(|error: Box<dyn Error + Send + Sync>| error.to_string())?;
        }
        self.apart
            .extend((0..events).map(|number| (id(round, number), "applied")));
        Ok(())
    }
}

fn id(round: usize, number: usize) -> String {
    format!("evt_busy{round}x{number}")
}
