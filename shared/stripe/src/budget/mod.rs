//! One budget for Stripe's API, shared by all replicas through Redis.
//!
//! Each account (the platform, or a connected account) has a token bucket for all it asks and one for each
//! endpoint, kept as GCRA: of a bucket only the moment at which it would be full again is stored. They and
//! the pauses Stripe asked for are the fields of one hash, `{<prefix>:v1:stripe:<mode>:<account>}:budget`,
//! which Redis forgets a second after the last of them stopped to matter. So the number of keys is bounded by the
//! accounts asked about within a second or paused.
//!
//! Stripe counts requests when they arrive, we when they are allowed. What lies between (Redis's answer, a
//! queue for a connection, the network) shifts them against each other; [`RATE_PERCENT`] and [`BURST_PERCENT`]
//! leave room for that.

mod bucket;
mod scripts;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shared::queue::Link;
use tokio::time::Instant;

pub use bucket::{BURST_PERCENT, RATE_PERCENT};

use crate::object::{Endpoint, is_account};
use crate::settings::Mode;
use crate::telemetry::{self, WaitReason};
use bucket::Bucket;

/// Requests per second Stripe takes from an account in live mode.
pub const LIVE_PER_SECOND: u32 = 100;
/// Requests per second Stripe takes from an account in a sandbox.
pub const SANDBOX_PER_SECOND: u32 = 25;
/// Requests per second Stripe takes at one endpoint of an account.
pub const ENDPOINT_PER_SECOND: u32 = 25;
/// Longest pause; whoever needs more says so again.
pub const PAUSE_MAX: Duration = Duration::from_secs(300);
/// Longest wait for Redis. A turn that comes later is given up, because it would join later ones.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// When to ask again while Redis is away.
const AWAY_WAIT: Duration = Duration::from_secs(1);
/// Lets the client answer "too slow" before we do.
const GRACE: Duration = Duration::from_millis(100);

/// Who asks. Live traffic goes first: backfill is granted only what leaves a part of each bucket for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Priority {
    /// An event or a person waits for it.
    Live,
    /// Work that can wait, such as reconciling. Uses the whole rate while nobody else does, and gets nothing
    /// while live traffic takes all.
    Backfill,
}

/// The answer of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Turn {
    /// Send one request now.
    Granted,
    /// Do not send it. Ask again after this time; somebody else may be quicker.
    Wait(Duration),
}

/// What Stripe takes, per second. Stripe raises the limits of some accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of everything an account asks.
    pub account_per_second: u32,
    /// Of what it asks one endpoint.
    pub endpoint_per_second: u32,
}

impl Limits {
    /// As published.
    #[must_use]
    pub fn of(mode: Mode) -> Self {
        Self {
            account_per_second: match mode {
                Mode::Live => LIVE_PER_SECOND,
                Mode::Sandbox => SANDBOX_PER_SECOND,
            },
            endpoint_per_second: ENDPOINT_PER_SECOND,
        }
    }
}

/// What a pause is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Everything the account asks.
    Account,
    /// What it asks one endpoint.
    Endpoint(Endpoint),
}

/// A Redis address that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("REDIS_URL cannot be used")]
pub struct BadRedisUrl;

/// The budget. Cheap to clone.
#[derive(Clone)]
pub struct Budget {
    redis: Link,
    /// Of a key, up to the account.
    key_prefix: String,
    account: Bucket,
    endpoint: Bucket,
    /// Whether the last answer of Redis was none, so that trouble is logged once.
    away: Arc<AtomicBool>,
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("key_prefix", &self.key_prefix)
            .field("account", &self.account)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Budget {
    /// Prepares the budget of all who use the same Redis and `prefix`; connects when it is first asked.
    ///
    /// # Errors
    /// [`BadRedisUrl`]. A Redis that is away is no error: nothing is granted then.
    pub fn new(redis_url: &str, prefix: &str, mode: Mode) -> Result<Self, BadRedisUrl> {
        let limits = Limits::of(mode);
        Ok(Self {
            redis: Link::new(redis_url, RESPONSE_TIMEOUT).map_err(|_| BadRedisUrl)?,
            key_prefix: format!("{{{prefix}:v1:stripe:{}", mode.as_str()),
            account: Bucket::of(limits.account_per_second),
            endpoint: Bucket::of(limits.endpoint_per_second),
            away: Arc::default(),
        })
    }

    /// For accounts whose limits differ from the published ones. All replicas have to agree.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self {
            account: Bucket::of(limits.account_per_second),
            endpoint: Bucket::of(limits.endpoint_per_second),
            ..self
        }
    }

    /// Asks for one request of `account` (`None`: the platform) at `endpoint`.
    pub async fn take(&self, account: Option<&str>, endpoint: Endpoint, priority: Priority) -> Turn {
        let mut invocation = scripts::TAKE.prepare_invoke();
        invocation.key(self.key(account)).arg(endpoint.as_str());
        for bucket in [self.account, self.endpoint] {
            invocation
                .arg(bucket.interval_us)
                .arg(bucket.tolerance_us(priority))
                .arg(bucket.ahead_us_max());
        }
        invocation.arg(micros(PAUSE_MAX));
        let mut redis = self.redis.clone();
        let answer = self.within(invocation.invoke_async(&mut redis)).await;
        let (wait, reason) = match answer {
            Some((0, _, ahead_us)) => {
                telemetry::budget_left(self.account.left(ahead_us));
                return Turn::Granted;
            }
            Some((us, reason, _)) => (Duration::from_micros(us), scripts::reason(reason)),
            None => (AWAY_WAIT, WaitReason::Unavailable),
        };
        telemetry::waits(reason);
        Turn::Wait(wait)
    }

    /// Waits for a turn, at most for `patience`.
    ///
    /// Those who wait ask Redis again for every token that comes free, so ask from a bounded number of tasks.
    ///
    /// # Errors
    /// How long to wait from now, when that is more than is left of `patience`.
    pub async fn acquire(
        &self,
        account: Option<&str>,
        endpoint: Endpoint,
        priority: Priority,
        patience: Duration,
    ) -> Result<(), Duration> {
        let deadline = Instant::now() + patience;
        loop {
            match self.take(account, endpoint, priority).await {
                Turn::Granted => return Ok(()),
                Turn::Wait(wait) if Instant::now() + wait > deadline => return Err(wait),
                Turn::Wait(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Lets the whole fleet wait, because Stripe said so. A longer pause that is running stays. Answers whether
    /// Redis took it; without Redis nothing is granted anyway.
    pub async fn pause(&self, account: Option<&str>, what: Pause, length: Duration) -> bool {
        let mut invocation = scripts::PAUSE.prepare_invoke();
        invocation
            .key(self.key(account))
            .arg(match what {
                Pause::Account => "",
                Pause::Endpoint(endpoint) => endpoint.as_str(),
            })
            .arg(micros(length.min(PAUSE_MAX)));
        let mut redis = self.redis.clone();
        let answer: Option<()> = self.within(invocation.invoke_async(&mut redis)).await;
        answer.is_some()
    }

    /// One hash tag for each account, so that accounts spread over a cluster and a script stays on one node.
    fn key(&self, account: Option<&str>) -> String {
        let account = account
            .filter(|account| is_account(account))
            .unwrap_or("platform");
        format!("{}:{account}}}:budget", self.key_prefix)
    }

    /// `None` when Redis does not answer, or not in time, or with an error.
    async fn within<T>(&self, command: impl Future<Output = redis::RedisResult<T>>) -> Option<T> {
        let answer = match tokio::time::timeout(RESPONSE_TIMEOUT + GRACE, command).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.category().to_owned()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        let was_away = self.away.swap(answer.is_err(), Ordering::Relaxed);
        match &answer {
            Err(cause) if !was_away => {
                tracing::warn!(%cause, "Redis is away: nothing is asked of Stripe until it is back");
            }
            Ok(_) if was_away => tracing::info!("Redis is back: Stripe is asked again"),
            Ok(_) | Err(_) => {}
        }
        answer.ok()
    }
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}
