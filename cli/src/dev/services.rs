//! Redis and Postgres: the user's where an URL says so, private ones otherwise.

use shared::clock::Clock;
use shared::config::Env;
use shared::queue::{Durability, Probe};
use shared::signature::Secret;
use shared::state_cache::StateCache;
use stack::{Stack, StackError};
use store::{SchemaError, Store};

use super::ops::OpsLogin;
use super::tokens::Tokens;
use super::{Options, progress};

/// Connections `dev` itself takes, for migrating and for looking.
const CONNECTIONS_MAX: u32 = 2;
/// First word of the keys in a Redis that the user brought.
const FOREIGN_REDIS_PREFIX: &str = "tollgate-dev";
/// Random bytes in a made-up webhook secret.
const SECRET_BYTES: usize = 24;

/// Where things are.
pub(super) struct Services {
    /// The queue.
    pub redis_url: String,
    /// The system of record.
    pub database_url: String,
    /// What the simulator signs with; ingest knows it, perhaps among others.
    pub secret: Secret,
    /// All secrets, as ingest takes them.
    pub secrets: String,
    /// First word of the Redis keys.
    pub prefix: String,
    /// What tokens of the API are made with; `None` where the user's own issuer makes them.
    pub tokens: Option<Tokens>,
    /// Who may sign in to the ops page; `None` where the user has named operators.
    pub ops: Option<OpsLogin>,
    /// For looking.
    pub store: Store,
    /// For looking.
    pub probe: Probe,
    /// What ingest shall demand of Redis.
    pub durability: Durability,
    /// Where logs are kept.
    pub log_dir: std::path::PathBuf,
    // Last, so that everything above is dropped before the servers stop.
    stack: Stack,
}

/// Why `dev` cannot begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServicesError {
    /// `DATABASE_URL` cannot be used.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// `REDIS_URL` is no URL, or there is nobody.
    #[error("REDIS_URL: {0}")]
    RedisUrl(#[from] shared::queue::QueueError),
    /// `DATABASE_URL` is no URL.
    #[error("{}", shared::config::BAD_DATABASE_URL)]
    DatabaseUrl,
    /// `STRIPE_WEBHOOK_SECRET` cannot be used.
    #[error("STRIPE_WEBHOOK_SECRET: {0}")]
    Secret(#[from] shared::signature::SecretError),
    /// No randomness, or no room.
    #[error("cannot set up: {0}")]
    Io(#[from] std::io::Error),
}

/// Starts what the user did not bring. Takes a second; longer when programs have to be fetched first.
pub(super) fn start(options: &Options, env: &Env) -> Result<Stack, StackError> {
    let mut wanted = stack::Options::durable().on_progress(|step| progress::say(&step.to_string()));
    if let Some(dir) = &options.data_dir {
        wanted = wanted.with_data_dir(dir);
    }
    if env.get("REDIS_URL").is_some() {
        wanted = wanted.without_redis();
    }
    if env.get("DATABASE_URL").is_some() {
        wanted = wanted.without_postgres();
    }
    Stack::start(wanted)
}

impl Services {
    /// Looks at what the user brought and at what was started. Needs a runtime.
    pub(super) fn new(stack: Stack, env: &Env) -> Result<Self, ServicesError> {
        let url = |name, own: Option<String>| {
            env.get(name)
                .map_or_else(|| own.unwrap_or_default(), str::to_owned)
        };
        let redis_url = url("REDIS_URL", stack.redis_url());
        let database_url = url("DATABASE_URL", stack.database_url());
        if !store::is_url(&database_url) {
            return Err(ServicesError::DatabaseUrl);
        }
        let secrets = env
            .get("STRIPE_WEBHOOK_SECRET")
            .map_or_else(made_up_secret, |s| Ok(s.to_owned()))?;
        // Never the default on a Redis that is not ours: our workers would take a real installation's events.
        let default = if stack.redis().is_some() {
            "tollgate"
        } else {
            FOREIGN_REDIS_PREFIX
        };
        let prefix = env.get("TOLLGATE_REDIS_PREFIX").unwrap_or(default).to_owned();
        let log_dir = stack.dir().join("logs");
        std::fs::create_dir_all(&log_dir)?;
        Ok(Self {
            secret: Secret::new(secrets.split(',').next().unwrap_or_default())?,
            tokens: Tokens::unless_configured(env)?,
            ops: OpsLogin::unless_configured(env)?,
            secrets,
            store: Store::new(&database_url, "tollgate-dev", CONNECTIONS_MAX)?,
            probe: Probe::new(&redis_url, &prefix)?,
            durability: if stack.redis().is_some() {
                Durability::Always
            } else {
                Durability::Unsafe
            },
            prefix,
            redis_url,
            database_url,
            log_dir,
            stack,
        })
    }

    /// Brings the schema up to date.
    pub(super) async fn migrate(&self) -> Result<(), SchemaError> {
        let applied = self.store.migrate().await?;
        progress::say(&format!("schema: {} migrations applied", applied.len()));
        self.store.check_schema().await?;
        Ok(())
    }

    /// In a Redis of ours nobody is at work yet, so states may be kept from the start.
    pub async fn keep_states(&self) -> Result<(), ServicesError> {
        if self.stack.redis().is_none() {
            return Ok(());
        }
        let cache = StateCache::new(&self.redis_url, &self.prefix);
        let announced = async { cache?.announce_before_anybody().await };
        announced.await.map_err(ServicesError::RedisUrl)
    }

    /// Looks at a Redis that is not ours. Any will do for a demonstration, but nobody should learn from it that
    /// any will do.
    pub async fn look_at_redis(&self) -> Result<(), ServicesError> {
        if self.stack.redis().is_some() {
            return Ok(());
        }
        let report = self
            .probe
            .clone()
            .durability()
            .await
            .map_err(ServicesError::RedisUrl)?;
        if let Some(shortfall) = report.shortfall(Durability::Everysec) {
            progress::say(&format!("warning: {shortfall}"));
        }
        Ok(())
    }
}

fn made_up_secret() -> std::io::Result<String> {
    Ok(format!("whsec_{}", random_word()?))
}

/// A word nobody guesses.
pub(super) fn random_word() -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; SECRET_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

/// A seed nobody used before.
pub(super) fn fresh_seed(clock: &Clock) -> u64 {
    clock.unix_ms().unsigned_abs()
}
