//! How often somebody may do something, counted for the whole fleet in Redis.
//!
//! Kept as GCRA: of each bucket only the moment at which it would be full again is stored, in a key of its own that
//! Redis forgets at that moment. So the number of keys is bounded by who asked within a period.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use crate::queue::{Link, QueueError, RESPONSE_TIMEOUT};

/// So many within a period, at once or spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time.
    pub period: Duration,
}

impl Rate {
    /// So many each minute.
    #[must_use]
    pub const fn per_minute(count: u32) -> Self {
        Self {
            count,
            period: Duration::from_secs(60),
        }
    }
}

/// Counts. Cheap to clone.
#[derive(Clone)]
pub struct Limiter {
    link: Link,
    prefix: String,
}

/// Arguments: the time one costs, and the time a full bucket holds, both in microseconds. Returns how long to wait,
/// microseconds; 0 when it was granted. By the clock of Redis.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, holds = tonumber(ARGV[1]), tonumber(ARGV[2])
-- A moment further ahead than possible is from a clock that jumped back.
local full_at = math.max(math.min(tonumber(redis.call('GET', KEYS[1]) or 0), now + holds), now) + cost
local wait = full_at - holds - now
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return 0",
    )
});

impl Limiter {
    /// Counts in a Redis, under `prefix`. Connects when it is first asked. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`QueueError`] when the URL cannot be used.
    pub fn new(redis_url: &str, prefix: &str) -> Result<Self, QueueError> {
        Ok(Self {
            link: Link::new(redis_url, RESPONSE_TIMEOUT)?,
            prefix: prefix.to_owned(),
        })
    }

    /// Asks for one of `what` for `whom`. `Err` within `Ok` is how long to wait until there is one.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer: whether to go on is the caller's decision.
    pub async fn take(&self, what: &str, whom: &str, rate: Rate) -> Result<Result<(), Duration>, QueueError> {
        let holds = u64::try_from(rate.period.as_micros()).unwrap_or(u64::MAX);
        let cost = holds / u64::from(rate.count.max(1));
        let wait: u64 = TAKE
            .prepare_invoke()
            .key(format!("{{{}:v1:limit:{what}:{whom}}}", self.prefix))
            .arg(cost)
            .arg(holds)
            .invoke_async(&mut self.link.clone())
            .await?;
        Ok(match wait {
            0 => Ok(()),
            us => Err(Duration::from_micros(us)),
        })
    }
}
