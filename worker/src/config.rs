//! The worker's settings.

use std::net::SocketAddr;
use std::time::Duration;

use domain::Policy;
use shared::config::{self, Common, ConfigError, Env, Reader, Setting};
use store::policy;

use crate::reconcile::settings::{self, ReconcileSettings};
use crate::sweeper::SWEEP_EVERY;

const ADMIN_ADDR: &str = "TOLLGATE_WORKER_ADMIN_ADDR";
const CONCURRENCY: &str = "TOLLGATE_WORKER_CONCURRENCY";
const SWEEP_SECONDS: &str = "TOLLGATE_WORKER_SWEEP_SECONDS";
/// Longest time between sweeps, seconds: a day.
const SWEEP_MAX: u64 = 24 * 60 * 60;

/// Settings beside the common ones.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "DATABASE_URL",
        default: "required",
        about: "Postgres, `postgres://user:password@host:port/database`; or DATABASE_URL_FILE",
    },
    Setting {
        name: ADMIN_ADDR,
        default: "127.0.0.1:9081",
        about: "listener for /livez, /readyz and /metrics",
    },
    Setting {
        name: CONCURRENCY,
        default: "4",
        about: "chunks of up to 256 events worked on at a time, 1 to 64; each takes a database connection",
    },
    Setting {
        name: stripe_api::API_KEY,
        default: "none",
        about: "key of Stripe's API, best a restricted one that may only read (rk_...); or STRIPE_API_KEY_FILE. \
                Without one, what events cannot tell stays open and is said to be",
    },
    stripe_api::API_URL,
    policy::PAST_DUE,
    policy::UPGRADE,
    policy::NEGATIVE_BALANCE,
    policy::EXPIRE_GRACE,
    policy::PAID_TIME,
    policy::CREDITS_OUTSTANDING,
    policy::CREDITS_LOW,
    settings::RECONCILE_SETTING,
    settings::EVERY_SETTING,
    settings::GRACE_SETTING,
    settings::SILENCE_SETTING,
    settings::OBJECTS_SETTING,
    settings::ACCOUNTS_SETTING,
    settings::STRIPE_ACCOUNT_SETTING,
    settings::ENDPOINT_SETTING,
    Setting {
        name: SWEEP_SECONDS,
        default: "3600",
        about: "seconds between sweeps for what the clock does (cancellations and credits expire, free credits), 1 to 86400; the first comes as long after the start",
    },
];

/// Reads `DATABASE_URL`, which must be there.
pub fn database_url(reader: &mut Reader<'_>) -> String {
    config::database_url(reader, store::is_url)
}

/// Connections beside those of the chunks: for the reckoner, the refetcher, the auditor, the sweeper, the replayer, and the
/// reconciler.
pub const SPARE_CONNECTIONS: u32 = 6;

/// How a worker runs. Not `Debug`: the URLs may hold passwords.
#[derive(Clone)]
pub struct WorkerConfig {
    /// What every role needs.
    pub common: Common,
    /// `DATABASE_URL`.
    pub database_url: String,
    /// `TOLLGATE_WORKER_ADMIN_ADDR`.
    pub admin_addr: SocketAddr,
    /// `TOLLGATE_WORKER_CONCURRENCY`.
    pub concurrency: u32,
    /// `STRIPE_API_KEY`, `TOLLGATE_STRIPE_API_URL`.
    pub stripe: Option<stripe_api::Settings>,
    /// `TOLLGATE_POLICY_*`.
    pub policy: Policy,
    /// `TOLLGATE_CREDITS_LOW`.
    pub credits_low: i64,
    /// `TOLLGATE_RECONCILE` and what belongs to it.
    pub reconcile: ReconcileSettings,
    /// `TOLLGATE_WORKER_SWEEP_SECONDS`.
    pub sweep_every: Duration,
}

impl WorkerConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(env);
        let common = Common::read(&mut reader);
        let database_url = database_url(&mut reader);
        let policy = policy::read(&mut reader);
        let stripe = stripe_api::read_settings(&mut reader);
        let sweep_seconds = reader.number(SWEEP_SECONDS, SWEEP_EVERY.as_secs(), 1, SWEEP_MAX);
        let config = Self {
            common,
            database_url,
            stripe,
            policy,
            credits_low: policy::credits_low(&mut reader),
            reconcile: ReconcileSettings::read(&mut reader),
            sweep_every: Duration::from_secs(sweep_seconds),
            admin_addr: reader.or(
                "TOLLGATE_WORKER_ADMIN_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 9081)),
            ),
            concurrency: u32::try_from(reader.number(CONCURRENCY, 4, 1, 64)).unwrap_or(1),
        };
        reader.refuse_unknown("TOLLGATE_WORKER_", &[ADMIN_ADDR, CONCURRENCY, SWEEP_SECONDS]);
        reader.finish(config)
    }

    /// Most database connections this process takes.
    #[must_use]
    pub fn connections_max(&self) -> u32 {
        self.concurrency + SPARE_CONNECTIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_all_at_once() {
        let env: Env = [
            ("REDIS_URL", "localhost"),
            ("DATABASE_URL", "bar"),
            ("TOLLGATE_WORKER_CONCURENCY", "8"),
            ("TOLLGATE_WORKER_ADMIN_ADDR", "here"),
            ("TOLLGATE_POLICY_EXPIRE_GRACE_SECOND", "1"),
            ("TOLLGATE_CREDITS_LOWEST", "1"),
        ]
        .into_iter()
        .collect();
        let Err(ConfigError(problems)) = WorkerConfig::from_env(&env) else {
            panic!("six problems")
        };
        assert_eq!(problems.len(), 6, "{problems:?}");
        assert!(
            problems[2].contains("did you mean TOLLGATE_POLICY_EXPIRE_GRACE_SECONDS"),
            "{problems:?}"
        );
        assert!(
            problems[5].contains("did you mean TOLLGATE_WORKER_CONCURRENCY"),
            "{problems:?}"
        );
    }
}
