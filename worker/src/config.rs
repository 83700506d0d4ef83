//! The worker's settings.

use std::net::SocketAddr;

use domain::{NegativeBalance, PastDue, Policy, Upgrade};
use shared::config::{Common, ConfigError, Env, Reader, Setting};

const ADMIN_ADDR: &str = "TOLLGATE_WORKER_ADMIN_ADDR";
const CONCURRENCY: &str = "TOLLGATE_WORKER_CONCURRENCY";
const API_KEY: &str = "STRIPE_API_KEY";
const API_URL: &str = "TOLLGATE_STRIPE_API_URL";
const POLICY_PAST_DUE: &str = "TOLLGATE_POLICY_PAST_DUE";
const POLICY_UPGRADE: &str = "TOLLGATE_POLICY_UPGRADE_CREDITS";
const POLICY_NEGATIVE: &str = "TOLLGATE_POLICY_NEGATIVE_BALANCE";

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
        name: API_KEY,
        default: "none",
        about: "key of Stripe's API, best a restricted one that may only read (rk_...); or STRIPE_API_KEY_FILE. \
                Without one, what events cannot tell stays open and is said to be",
    },
    Setting {
        name: API_URL,
        default: "https://api.stripe.com",
        about: "where Stripe's API is; for stand-ins",
    },
    Setting {
        name: POLICY_PAST_DUE,
        default: "grace",
        about: "whether a past_due subscription still entitles: `grace` or `stop`",
    },
    Setting {
        name: POLICY_UPGRADE,
        default: "proration",
        about: "credits for a change of plan within a period: `proration` (in proportion to the money) or `nothing`",
    },
    Setting {
        name: POLICY_NEGATIVE,
        default: "block",
        about: "a balance below zero after a refund: `block` the use of credits, or `tolerate` it for who is entitled",
    },
];

/// What is wrong with a `DATABASE_URL` that does not parse. Without the parser's words: they may repeat the password.
pub const BAD_DATABASE_URL: &str =
    "DATABASE_URL: not an URL such as postgres://user:password@host:5432/database";

/// Reads `DATABASE_URL`, which must be there.
pub fn database_url(reader: &mut Reader<'_>) -> String {
    let url = reader.required_secret("DATABASE_URL");
    if !url.is_empty() && !store::is_url(&url) {
        reader.problem(BAD_DATABASE_URL);
    }
    url
}

/// Reads how Stripe's API is reached, when it is.
fn stripe(reader: &mut Reader<'_>) -> Option<stripe_api::Settings> {
    let base_url = reader.or(API_URL, stripe_api::BASE_URL.to_owned());
    let key = reader.secret(API_KEY)?;
    match stripe_api::SecretKey::new(&key) {
        Ok(key) => Some(stripe_api::Settings {
            base_url,
            ..stripe_api::Settings::new(key)
        }),
        Err(error) => {
            reader.problem(format!("{API_KEY}: {error}"));
            None
        }
    }
}

/// Reads what an installation chose where Stripe leaves a choice.
pub fn policy(reader: &mut Reader<'_>) -> Policy {
    let policy = Policy {
        past_due: reader.choice(
            POLICY_PAST_DUE,
            &[("grace", PastDue::Grace), ("stop", PastDue::Stop)],
        ),
        upgrade: reader.choice(
            POLICY_UPGRADE,
            &[("proration", Upgrade::Proration), ("nothing", Upgrade::Nothing)],
        ),
        negative_balance: reader.choice(
            POLICY_NEGATIVE,
            &[
                ("block", NegativeBalance::Block),
                ("tolerate", NegativeBalance::Tolerate),
            ],
        ),
    };
    reader.refuse_unknown(
        "TOLLGATE_POLICY_",
        &[POLICY_PAST_DUE, POLICY_UPGRADE, POLICY_NEGATIVE],
    );
    policy
}

/// Connections beside those of the chunks: for the reckoner, the refetcher, and for checking the schema.
const SPARE_CONNECTIONS: u32 = 4;

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
        let policy = policy(&mut reader);
        let stripe = stripe(&mut reader);
        let config = Self {
            common,
            database_url,
            stripe,
            policy,
            admin_addr: reader.or(
                "TOLLGATE_WORKER_ADMIN_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 9081)),
            ),
            concurrency: u32::try_from(reader.number(CONCURRENCY, 4, 1, 64)).unwrap_or(1),
        };
        reader.refuse_unknown("TOLLGATE_WORKER_", &[ADMIN_ADDR, CONCURRENCY]);
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
        ]
        .into_iter()
        .collect();
        let Err(ConfigError(problems)) = WorkerConfig::from_env(&env) else {
            panic!("four problems")
        };
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(
            problems[3].contains("did you mean TOLLGATE_WORKER_CONCURRENCY"),
            "{problems:?}"
        );
    }
}
