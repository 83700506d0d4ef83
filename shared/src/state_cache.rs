//! Answers about users, kept in Redis for a while, and never older than what is committed.
//!
//! ```text
//! nothing ──look: miss──▶ claimed by a reader ──fill──▶ kept, up to KEPT_FOR
//!    ▲                         │                          │
//!    │                         ▼  change begins           ▼
//!    └──change is committed── changing: nobody keeps anything
//! ```
//!
//! Whoever changes a user says so before the commit and again after it. Between the two every look is a miss, and what
//! was read before is not kept: a reader may only fill the very claim it made. A change whose author died is over when
//! [`CHANGE_MAX`] is, by which time Postgres has long ended its transaction.
//!
//! Where nobody keeps anything, nobody has to say so: see [`keeping`].

pub mod keeping;

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use crate::queue::{Link, QueueError, RESPONSE_TIMEOUT};
use keeping::{Keeping, SEEN_AFTER};

/// Longest an answer is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(300);
/// Longest a transaction that changes users may take. Statements, locks and idle transactions have shorter limits.
pub const CHANGE_MAX: Duration = Duration::from_secs(120);
/// Longest a reader may take from its look to its fill.
const CLAIM_MAX: Duration = Duration::from_secs(10);

/// Returns what is kept (after a `v`), or nothing; then `claim` is the reader's to fill.
static LOOK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local seen = redis.call('GET', KEYS[1])
if not seen then redis.call('SET', KEYS[1], 'r' .. ARGV[1], 'PX', ARGV[2]) end
if seen and string.sub(seen, 1, 1) == 'v' then return string.sub(seen, 2) end
return false",
    )
});

/// Keeps nothing while the notice is too young to have been seen by everybody, or is gone.
static FILL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('GET', KEYS[1]) ~= 'r' .. ARGV[1] then return end
local since = tonumber(redis.call('GET', KEYS[2]) or 'never')
local time = redis.call('TIME')
if not since or time[1] * 1000 + time[2] / 1000 - since < tonumber(ARGV[4]) then return end
local life = math.min(tonumber(ARGV[3]), redis.call('PTTL', KEYS[2]))
if life > 0 then redis.call('SET', KEYS[1], 'v' .. ARGV[2], 'PX', life) end",
    )
});

/// Changes may overlap; each adds its word to all of its users and later takes it out again.
static CHANGING: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
for _, key in ipairs(KEYS) do
  local seen = redis.call('GET', key)
  if not seen or string.sub(seen, 1, 1) ~= 'c' then seen = 'c' end
  redis.call('SET', key, seen .. '|' .. ARGV[1] .. '|', 'PX', ARGV[2])
end",
    )
});

static CHANGED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local function take_out(key)
  local seen = redis.call('GET', key)
  if not seen or string.sub(seen, 1, 1) ~= 'c' then return end
  local from, to = string.find(seen, '|' .. ARGV[1] .. '|', 2, true)
  if not from then return end
  local rest = string.sub(seen, 1, from - 1) .. string.sub(seen, to + 1)
  if rest == 'c' then redis.call('DEL', key) else redis.call('SET', key, rest, 'KEEPTTL') end
end
for _, key in ipairs(KEYS) do take_out(key) end",
    )
});

/// The cache. Cheap to clone.
#[derive(Clone)]
pub struct StateCache {
    link: Link,
    prefix: String,
    keeping: Keeping,
}

/// A user, for the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedUser<'a> {
    /// The Stripe account.
    pub account: &'a str,
    /// The user's id.
    pub user: &'a str,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// It is kept.
    Hit(Vec<u8>),
    /// It is not; the reader may [`StateCache::fill`] what it finds.
    Miss,
}

impl StateCache {
    /// A cache in a Redis, under `prefix`. Connects when it is first asked. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`QueueError`] when the URL cannot be used.
    pub fn new(redis_url: &str, prefix: &str) -> Result<Self, QueueError> {
        Ok(Self {
            link: Link::new(redis_url, RESPONSE_TIMEOUT)?,
            prefix: prefix.to_owned(),
            keeping: Keeping::new(format!("{{{prefix}:v1:state}}:kept")),
        })
    }

    /// Says that states will be kept; to be said again every [`keeping::RENEW_EVERY`]. The first is kept some two minutes
    /// after the first notice.
    ///
    /// # Errors
    /// [`QueueError`]; nothing is then kept.
    pub async fn announce(&self) -> Result<(), QueueError> {
        self.keeping.announce(&self.link, Duration::ZERO).await
    }

    /// Says that states are kept from now on. Only for whoever knows that nobody is changing users yet.
    ///
    /// # Errors
    /// [`QueueError`]; nothing is then kept.
    pub async fn announce_before_anybody(&self) -> Result<(), QueueError> {
        self.keeping.announce(&self.link, SEEN_AFTER).await
    }

    /// Whether changes have to be told.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn is_kept(&self) -> Result<bool, QueueError> {
        self.keeping.is_on(&self.link).await
    }

    /// Looks a user up. `claim` is a word nobody else uses.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer: ask Postgres.
    pub async fn look(&self, user: CachedUser<'_>, claim: &str) -> Result<Looked, QueueError> {
        let kept: Option<Vec<u8>> = LOOK
            .prepare_invoke()
            .key(self.key(user))
            .arg(claim)
            .arg(ms(CLAIM_MAX))
            .invoke_async(&mut self.link.clone())
            .await?;
        Ok(kept.map_or(Looked::Miss, Looked::Hit))
    }

    /// Keeps what was read after a miss, unless somebody has begun to change the user since, or the notice is too young.
    ///
    /// # Errors
    /// [`QueueError`]; then it is not kept.
    pub async fn fill(&self, user: CachedUser<'_>, claim: &str, value: &[u8]) -> Result<(), QueueError> {
        FILL.prepare_invoke()
            .key(self.key(user))
            .key(self.keeping.key())
            .arg(claim)
            .arg(value)
            .arg(ms(KEPT_FOR))
            .arg(ms(SEEN_AFTER))
            .invoke_async::<()>(&mut self.link.clone())
            .await?;
        Ok(())
    }

    /// Before the commit of what changes users. `change` is a word nobody else uses.
    ///
    /// # Errors
    /// [`QueueError`]: then do not commit, or readers may see what was before for up to [`KEPT_FOR`].
    pub async fn changing(&self, users: &[CachedUser<'_>], change: &str) -> Result<(), QueueError> {
        let life = ms(CHANGE_MAX).to_string();
        self.for_each(&CHANGING, users, &[change, &life]).await
    }

    /// After the commit, or the rollback.
    ///
    /// # Errors
    /// [`QueueError`]; nothing is then kept of these users until [`CHANGE_MAX`] is over.
    pub async fn changed(&self, users: &[CachedUser<'_>], change: &str) -> Result<(), QueueError> {
        self.for_each(&CHANGED, users, &[change]).await
    }

    /// One round trip for all of them.
    async fn for_each(
        &self,
        script: &Script,
        users: &[CachedUser<'_>],
        arguments: &[&str],
    ) -> Result<(), QueueError> {
        if users.is_empty() {
            return Ok(());
        }
        let mut invocation = script.prepare_invoke();
        for user in users {
            invocation.key(self.key(*user));
        }
        invocation.arg(arguments);
        Ok(invocation.invoke_async::<()>(&mut self.link.clone()).await?)
    }

    /// One hash tag for all, so that a batch of users is one script on one node.
    fn key(&self, CachedUser { account, user }: CachedUser<'_>) -> String {
        format!("{{{}:v1:state}}:{account}:{user}", self.prefix)
    }
}

/// Not the URL: it may hold a password.
impl std::fmt::Debug for StateCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateCache")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

fn ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
