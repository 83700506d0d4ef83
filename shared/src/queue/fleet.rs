//! Who reads which shard.
//!
//! A worker says every [`ATTEND_EVERY`] that it lives, and which shards it wants or keeps. Redis gives it those that
//! are free, for [`SHARD_LEASE`] by its own clock, and tells who else lives. What a worker wants follows from that alone:
//! see `worker/src/share.rs`. A worker that gives a shard up lets go of it when it has nothing of it in its hands; one
//! that dies loses it with its lease, before the leases of its entries run out.
//!
//! Nothing here is done for each event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::Value;
use redis::streams::StreamInfoConsumersReply;

use super::roster::About;
use super::{
    Consumer, GROUP, LEASE, NOBODY, Pause, QueueError, RENEW_EVERY, RESPONSE_TIMEOUT, TAKE_OVER_EVERY, pause,
    scripts, shards,
};

/// How long a shard, and a place among the living, belongs to a worker without a sign of life.
pub const SHARD_LEASE: Duration = Duration::from_secs(6);
/// How often a worker gives one.
pub const ATTEND_EVERY: Duration = Duration::from_secs(1);
/// How often it looks while a shard is on its way to it, or away.
pub const ATTEND_SOON: Duration = Duration::from_millis(100);

const _: () = assert!(
    ATTEND_EVERY.as_secs() + 2 * RESPONSE_TIMEOUT.as_secs() < SHARD_LEASE.as_secs(),
    "one answer that does not come does not cost the shards"
);
const _: () = assert!(
    SHARD_LEASE.as_secs() + ATTEND_EVERY.as_secs() + RENEW_EVERY.as_secs() <= LEASE.as_secs(),
    "a dead worker's shards are somebody's when the leases of its entries run out, the earliest of them"
);
const _: () = assert!(
    TAKE_OVER_EVERY.as_secs() <= 2,
    "who has a dead worker's shard looks for what is in it in time"
);

/// What Redis told a worker that attended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roll {
    /// Who lives, the worker itself included unless it is leaving.
    pub workers: BTreeSet<String>,
    /// The shards there are.
    pub shards: BTreeSet<u16>,
    /// Those of the claimed ones that are the worker's for another [`SHARD_LEASE`].
    pub granted: BTreeSet<u16>,
    /// Whether it was on the roll already.
    pub was_known: bool,
    /// Whether nothing is to be taken from the queue.
    pub pause: Option<Pause>,
}

/// What a worker says when it attends.
#[derive(Debug, Clone, Copy)]
pub struct Sign<'a> {
    /// Shards it knows of.
    pub known: &'a [u16],
    /// Those it wants or keeps.
    pub claims: &'a [u16],
    /// Whether it leaves the roll.
    pub is_leaving: bool,
    /// What it tells of itself, for people.
    pub about: &'a About,
}

/// A key of the whole queue, whatever its shards.
pub(super) fn fleet_key(prefix: &str, what: &str) -> String {
    format!("{{{prefix}:v1}}:{what}")
}

/// Whether the server is older than the flag with which [`scripts::ATTEND`] may write although the memory is full
/// (Redis 7.0).
static IS_OLD: AtomicBool = AtomicBool::new(false);
/// What such a server says of a script with a flag.
const OLD_SERVER: &str = "compiling script";

impl Consumer {
    /// Gives a sign of life, or, leaving, takes the name off the roll; claims and keeps shards. Tells others of the shards
    /// that are known, which Redis may have forgotten: who knows of different ones would divide them differently.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer. What was granted before is kept until it runs out.
    pub async fn attend(&self, sign: Sign<'_>) -> Result<Roll, QueueError> {
        if !IS_OLD.load(Ordering::Relaxed) {
            match self.attend_by(&scripts::ATTEND, sign).await {
                Err(error) if error.to_string().contains(OLD_SERVER) => IS_OLD.store(true, Ordering::Relaxed),
                result => return result,
            }
        }
        self.attend_by(&scripts::ATTEND_UNFLAGGED, sign).await
    }

    async fn attend_by(&self, script: &redis::Script, sign: Sign<'_>) -> Result<Roll, QueueError> {
        type Answer = (
            u8,
            BTreeSet<String>,
            Vec<u16>,
            BTreeSet<u16>,
            BTreeMap<String, String>,
        );
        let about = serde_json::to_string(sign.about).expect("words and numbers always serialise");
        let mut call = script.prepare_invoke();
        for what in ["workers", "holders", "shards", "about"] {
            call.key(self.fleet_key(what));
        }
        call.key(pause::key(self.prefix()));
        call.arg(self.name())
            .arg(SHARD_LEASE.as_millis().to_string())
            .arg(u8::from(sign.is_leaving))
            .arg(about);
        call.arg(sign.known.len()).arg(sign.known).arg(sign.claims);
        let (was_known, workers, said, granted, paused): Answer =
            call.invoke_async(&mut self.control()).await?;
        Ok(Roll {
            workers,
            shards: shards::with_first(said),
            granted,
            was_known: was_known > 0,
            pause: Pause::read(&paused),
        })
    }

    /// Lets go of shards, so that whoever wants them has them at once. The name leaves their groups.
    ///
    /// # Errors
    /// [`QueueError`]; others then have them when they run out.
    pub async fn release(&self, shards: &[u16]) -> Result<(), QueueError> {
        if shards.is_empty() {
            return Ok(());
        }
        self.leave(shards).await?;
        let mut call = scripts::RELEASE.prepare_invoke();
        call.key(self.fleet_key("holders")).arg(self.name()).arg(shards);
        Ok(call.invoke_async::<()>(&mut self.control()).await?)
    }

    /// Those of `shards` of which another worker still has something in its hands, and was heard of within [`SHARD_LEASE`]:
    /// it finishes what it began, or is dead for not long enough. Until then nobody begins anything new there. Not until
    /// what it held is taken over: an event that kills one worker after the other would stop its whole shard for as long.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer, or a group is missing.
    pub async fn still_in_other_hands(&self, shards: &[u16]) -> Result<BTreeSet<u16>, QueueError> {
        let mut pipe = redis::pipe();
        for shard in shards {
            pipe.cmd("XINFO")
                .arg("CONSUMERS")
                .arg(self.keys(*shard).events)
                .arg(GROUP);
        }
        let answers: Vec<Value> = pipe.query_async(&mut self.control()).await?;
        let mut held = BTreeSet::new();
        for (shard, answer) in shards.iter().zip(answers) {
            let reply: StreamInfoConsumersReply =
                redis::from_redis_value(answer).map_err(redis::RedisError::from)?;
            let lease_ms = usize::try_from(SHARD_LEASE.as_millis()).unwrap_or(usize::MAX);
            let others = reply
                .consumers
                .iter()
                .filter(|it| it.name != self.name() && it.name != NOBODY);
            if others.into_iter().any(|it| it.pending > 0 && it.idle < lease_ms) {
                held.insert(*shard);
            }
        }
        Ok(held)
    }
}
