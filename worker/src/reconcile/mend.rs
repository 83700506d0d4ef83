//! Filling in what is missing: into the queue, as ingest would have, and behind what ingest puts there.

use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::clock::Clock;
use shared::config::Common;
use shared::queue::{Gate, Probe, Producer, Sharding};
use stripe_api::FetchError;

use super::{Comparer, Listed, Trouble};

/// Entries that may wait in the queue while more are put there; live traffic goes first.
pub(crate) const BACKLOG_MAX: u64 = 1_000;
/// How long to wait for the queue to become shorter.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often to look whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Puts events into the queue.
#[derive(Clone)]
pub struct Mender {
    redis_url: String,
    prefix: String,
    clock: Clock,
    producer: Option<(u16, Producer)>,
}

impl Mender {
    /// Prepares one; nothing is connected yet.
    #[must_use]
    pub fn new(common: &Common, clock: Clock) -> Self {
        Self {
            redis_url: common.redis_url.clone(),
            prefix: common.redis_prefix.clone(),
            clock,
            producer: None,
        }
    }

    /// Puts these events into the queue; returns how many of them. None while the queue is long: they stay holes, and are
    /// tried later.
    ///
    /// # Errors
    /// [`Trouble`]; what was put into the queue is there.
    pub async fn mend(
        &mut self,
        by: &mut Comparer,
        account: &str,
        missing: &[Listed],
    ) -> Result<u64, Trouble> {
        if missing.is_empty() || !self.has_room(&mut by.probe).await? {
            return Ok(0);
        }
        let producer = self.producer(&mut by.probe).await?;
        for listed in missing {
            let _receipt = producer.enqueue(&listed.entry).await?;
        }
        let ids: Vec<&str> = missing.iter().map(Listed::id).collect();
        by.store.holes_tried(account, &ids, None).await?;
        Ok(ids.len() as u64)
    }

    /// Asks Stripe for a hole by its id and puts it into the queue; whether it did. Stripe may not have it any more.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn mend_one(&mut self, by: &mut Comparer, account: &str, id: &str) -> Result<bool, Trouble> {
        if !self.has_room(&mut by.probe).await? {
            return Ok(false);
        }
        let of = (!account.is_empty()).then_some(account);
        let body: Bytes = match by.stripe.event(of, id).await {
            Ok(fetched) => fetched.body,
            Err(error @ (FetchError::Gone(_) | FetchError::Permanent(_))) => {
                by.store.hole_is_gone(account, id, &error.to_string()).await?;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let Some(listed) = Listed::read(account, &body, self.clock.unix_ms()) else {
            let error = "Stripe shows something that is no event of this account";
            by.store.hole_is_gone(account, id, error).await?;
            return Ok(false);
        };
        let producer = self.producer(&mut by.probe).await?;
        let _receipt = producer.enqueue(&listed.entry).await?;
        by.store.holes_tried(account, &[id], None).await?;
        Ok(true)
    }

    /// Into the same shards as ingest, so that a customer's events stay together.
    async fn producer(&mut self, probe: &mut Probe) -> Result<Producer, Trouble> {
        // As far as ingest has said so.
        let shards = probe.shards().await?.last().map_or(1, |last| last + 1);
        if let Some((_, producer)) = self.producer.as_ref().filter(|(of, _)| *of == shards) {
            return Ok(producer.clone());
        }
        let sharding = Sharding {
            prefix: self.prefix.clone(),
            shards,
        };
        let producer = Producer::new(&self.redis_url, &sharding, 0, &Gate::closed())?;
        self.producer = Some((shards, producer.clone()));
        Ok(producer)
    }

    /// Whether the queue is short, or becomes it soon.
    async fn has_room(&self, probe: &mut Probe) -> Result<bool, Trouble> {
        let deadline = Instant::now() + PATIENCE;
        while probe.depth(self.clock.unix_ms()).await?.entries > BACKLOG_MAX {
            if Instant::now() > deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(true)
    }
}
