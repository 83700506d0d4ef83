//! Attending: the loop that says that this worker lives, takes the shards that should be its own, and gives up those
//! that should not. What follows from Redis's answers is decided in [`crate::shards`].

use std::time::{Duration, Instant};

use shared::admin::Readiness;
use shared::queue::fleet::{ATTEND_EVERY, ATTEND_SOON, Roll, Sign};
use shared::queue::roster::About;
use shared::queue::{Consumer, Leases, QueueError};
use tokio_util::sync::CancellationToken;

use crate::claims::REDIS;
use crate::shards::{Asked, Shards};
use crate::waiting::Waiting;
use crate::{meters, report};

/// Most to be asked in a row: who has just learnt what is its own asks for it at once.
const ASKS_MAX: usize = 2;

/// Everything attending needs.
#[derive(Clone)]
pub struct Attendance {
    /// Who attends.
    pub consumer: Consumer,
    /// What it has.
    pub shards: Shards,
    /// What is handed back of a shard that goes.
    pub waiting: Waiting,
    /// What keeps a shard from going.
    pub leases: Leases,
    /// Where trouble is reported, by a worker that reads nothing; otherwise by who reads.
    pub readiness: Readiness,
    /// Chunks it works on at a time, for who asks.
    pub slots: usize,
}

impl Attendance {
    /// Attends until `ended`, then lets go of everything. From `stop` on it only waits for what is in hand to be done.
    pub async fn keep(self, stop: CancellationToken, ended: CancellationToken) {
        let mut told = None;
        loop {
            let is_leaving = stop.is_cancelled();
            let pause = self.attend(is_leaving).await.unwrap_or_else(|error| {
                self.report(&error);
                ATTEND_EVERY
            });
            self.tell(&mut told, is_leaving);
            tokio::select! {
                () = ended.cancelled() => break,
                () = stop.cancelled(), if !is_leaving => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        if let Err(error) = self.end().await {
            tracing::warn!("shards are not let go of, and run out: {error}");
        }
    }

    /// Says how long it is until the next time.
    async fn attend(&self, is_leaving: bool) -> Result<Duration, QueueError> {
        for _ in 0..ASKS_MAX {
            self.ask(is_leaving).await?;
            self.hand_back().await;
            let given_up = self.shards.give_up(|shard| self.leases.holds_of(shard));
            self.consumer.release(&given_up).await?;
            if !self.shards.lacks_some(Instant::now()) {
                break;
            }
        }
        self.settle().await?;
        Ok(if self.shards.is_moving() {
            ATTEND_SOON
        } else {
            ATTEND_EVERY
        })
    }

    async fn ask(&self, is_leaving: bool) -> Result<(), QueueError> {
        let at = Instant::now();
        let roll = self.say(&self.shards.claims(at), is_leaving).await?;
        let asked = Asked {
            at,
            answered_at: Instant::now(),
            is_leaving,
        };
        let changes = self.shards.note(self.consumer.name(), &roll, asked);
        if !changes.lost.is_empty() {
            tracing::warn!(shards = ?changes.lost, "lost: this worker was not heard of for too long");
        }
        if let Some(pause) = &changes.pause {
            report::paused(pause.as_ref());
        }
        if self.shards.is_idle() {
            self.readiness.set(REDIS, None);
        }
        Ok(())
    }

    async fn say(&self, claims: &[u16], is_leaving: bool) -> Result<Roll, QueueError> {
        let about = About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: self.slots,
            resting: self.shards.resting(),
        };
        let sign = Sign {
            known: &self.shards.known(),
            claims,
            is_leaving,
            about: &about,
        };
        self.consumer.attend(sign).await
    }

    /// What is not begun of a shard that goes is somebody else's.
    async fn hand_back(&self) {
        let stays = self.shards.staying();
        let gone = self.waiting.withdraw(|shard| !stays.contains(&shard));
        for same in gone.chunk_by(|a, b| a.deliveries == b.deliveries) {
            let ids: Vec<_> = same.iter().map(|claimed| claimed.id).collect();
            if let Err(error) = self.consumer.hand_back(&ids, same[0].deliveries).await {
                tracing::debug!(entries = ids.len(), "not handed back: {error}");
            }
            self.leases.let_go(&ids);
        }
    }

    /// Opens what nobody else has in hand any more.
    async fn settle(&self) -> Result<(), QueueError> {
        let settling = self.shards.settling();
        if settling.is_empty() {
            return Ok(());
        }
        self.consumer.ensure_groups(&settling).await?;
        let held = self.consumer.still_in_other_hands(&settling).await?;
        self.shards
            .open(settling.into_iter().filter(|shard| !held.contains(shard)));
        Ok(())
    }

    async fn end(&self) -> Result<(), QueueError> {
        let claims = self.shards.held();
        self.say(&claims, true).await?;
        self.consumer.release(&claims).await
    }

    fn report(&self, error: &QueueError) {
        if self.shards.is_idle() {
            report::waiting(&self.readiness, REDIS, &error.to_string());
        }
    }

    /// Logs what it has, when that is something else than before.
    fn tell(&self, told: &mut Option<Vec<u16>>, is_leaving: bool) {
        let held = self.shards.held();
        let is_on_its_way = held.is_empty() && self.shards.is_moving();
        if told.as_ref() == Some(&held) || is_on_its_way {
            return;
        }
        metrics::gauge!(meters::SHARDS).set(f64::from(u16::try_from(held.len()).unwrap_or(u16::MAX)));
        if held.is_empty() && !is_leaving {
            tracing::info!("no shard is left for this worker: it waits as a spare");
        } else {
            tracing::info!(shards = ?held, "reading shards");
        }
        *told = Some(held);
    }
}
