//! Ingest's settings.

mod endpoints;

use std::net::SocketAddr;
use std::time::Duration;

use shared::config::{Common, ConfigError, Env, Reader, Setting};
use shared::queue::shards::{SHARDS_DEFAULT, SHARDS_MAX};
use shared::queue::{Durability, ENQUEUE_TIMEOUT, GateLimits};

use crate::endpoint::Endpoint;

const ADDR: &str = "TOLLGATE_INGEST_ADDR";
const ADMIN_ADDR: &str = "TOLLGATE_INGEST_ADMIN_ADDR";
const CONNECTIONS_MAX: &str = "TOLLGATE_INGEST_CONNECTIONS_MAX";
const REDIS_DURABILITY: &str = "TOLLGATE_REDIS_DURABILITY";
const REDIS_REPLICAS: &str = "TOLLGATE_REDIS_REPLICAS";
/// Most replicas that may be demanded.
const REPLICAS_MAX: u64 = 16;
const BACKLOG_MAX: &str = "TOLLGATE_BACKLOG_MAX";
const QUEUE_SHARDS: &str = "TOLLGATE_QUEUE_SHARDS";

/// Names that begin like this are ours, so an unknown one is a mistake.
const OWN_PREFIX: &str = "TOLLGATE_INGEST_";

const BACKLOG_MAX_DEFAULT: u64 = 1_000_000;
const CONNECTIONS_MAX_DEFAULT: u64 = 1024;
const CONNECTIONS_MAX_LIMIT: u64 = 65_536;

/// Ingest's settings, for `--help` and the documentation; those of every role come on top.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "STRIPE_WEBHOOK_SECRET",
        default: "required, unless another endpoint has one",
        about: "signing secret (`whsec_...`) of the endpoint /webhooks/stripe; separate several by commas \
                while one is being rolled; or STRIPE_WEBHOOK_SECRET_FILE",
    },
    Setting {
        name: "TOLLGATE_ENDPOINT_<NAME>_SECRET",
        default: "none",
        about: "adds the endpoint /webhooks/stripe/<name> (lower case, `_` becomes `-`) with its own \
                secrets; or ..._SECRET_FILE",
    },
    Setting {
        name: "TOLLGATE_ENDPOINT_<NAME>_LIVEMODE",
        default: "both",
        about: "`true` or `false`: events of the other mode are kept and change nothing (DEFAULT is the \
                name of /webhooks/stripe, here and below)",
    },
    Setting {
        name: "TOLLGATE_ENDPOINT_<NAME>_ACCOUNTS",
        default: "platform",
        about: "whose events apply, separated by commas: `platform` (events without `account`), \
                `acct_...`, or `any`; others are kept and change nothing",
    },
    Setting {
        name: "TOLLGATE_ENDPOINT_<NAME>_TOKEN",
        default: "none",
        about: "makes the address /webhooks/stripe/<name>/<token> and every other one unknown; at least \
                22 characters; or ..._TOKEN_FILE",
    },
    Setting {
        name: ADDR,
        default: "0.0.0.0:8080",
        about: "where Stripe's requests arrive",
    },
    Setting {
        name: ADMIN_ADDR,
        default: "127.0.0.1:9080",
        about: "where /livez, /readyz and /metrics are; keep it private",
    },
    Setting {
        name: REDIS_DURABILITY,
        default: "everysec",
        about: "least durability of Redis that events are accepted with: `unsafe`, `everysec` or `always`",
    },
    Setting {
        name: REDIS_REPLICAS,
        default: "0",
        about: "replicas of Redis that must have an event, too, before it is answered (`WAIT`), 0 to 16",
    },
    Setting {
        name: BACKLOG_MAX,
        default: "1000000",
        about: "events in Redis above which Stripe is told to come back later",
    },
    Setting {
        name: QUEUE_SHARDS,
        default: "8",
        about: "parts of the queue, 1 to 64: all events of a customer are in one, and one worker at a time reads it, \
                so no more workers than that share the work; give all replicas of ingest the same",
    },
    Setting {
        name: CONNECTIONS_MAX,
        default: "1024",
        about: "open connections; when more come, each ends with its next answer, so that everybody gets one",
    },
];

/// Everything ingest needs to know.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// What every role has.
    pub common: Common,
    /// `TOLLGATE_INGEST_ADDR`; port 0 takes a free one.
    pub address: SocketAddr,
    /// `TOLLGATE_INGEST_ADMIN_ADDR`; port 0 takes a free one.
    pub admin_address: SocketAddr,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// How many shards the queue has.
    pub shards: u16,
    /// When to let Stripe keep the events.
    pub gate: GateLimits,
    /// Most open connections.
    pub connections_max: u32,
    /// Limits that no installation should need to change, and tests do.
    pub limits: Limits,
}

/// How long and how much a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the first byte of a request (or the opening of a connection) to the end of its headers.
    pub head: Duration,
    /// From the headers to the end of the body.
    pub body: Duration,
    /// An open connection without a request. Only senders whose event was verified get to wait at all.
    pub idle: Duration,
    /// After our last answer, while the client still sends or has not closed.
    pub linger: Duration,
    /// Bytes of request line and headers.
    pub head_bytes_max: usize,
    /// Bytes of bodies being received, over all connections.
    pub bodies_bytes_max: usize,
}

impl Limits {
    /// What runs in production.
    pub const PRODUCTION: Self = Self {
        head: Duration::from_secs(5),
        body: Duration::from_secs(10),
        // Longer than the 60 s after which the usual load balancers drop an idle connection: the side
        // that closes first must be the one that sends requests, or requests meet closed connections.
        idle: Duration::from_secs(75),
        linger: Duration::from_secs(2),
        // Stripe's headers are about 600 bytes; a proxy may double them.
        head_bytes_max: 16 * 1024,
        // 16 of the largest bodies, or twenty thousand usual ones.
        bodies_bytes_max: 64 * 1024 * 1024,
    };
}

/// From the end of the body to the answer. Nothing there waits but the one command to Redis, whose limit
/// is shorter, so no timer enforces this one; the gap is for a loaded machine.
const ANSWER: Duration = Duration::from_secs(5);
/// Below every supervisor's habit and `TOLLGATE_SHUTDOWN_SECONDS`' default.
const DRAIN: Duration = Duration::from_secs(25);

const _: () = assert!(
    ENQUEUE_TIMEOUT.as_secs() < ANSWER.as_secs(),
    "Redis is given up before Stripe gives us up"
);
const _: () = assert!(
    Limits::PRODUCTION.head.as_secs()
        + Limits::PRODUCTION.body.as_secs()
        + ANSWER.as_secs()
        + Limits::PRODUCTION.linger.as_secs()
        < DRAIN.as_secs(),
    "the slowest legal request ends before a stop runs out of time"
);

impl IngestConfig {
    /// Reads every setting.
    ///
    /// # Errors
    /// [`ConfigError`] with all that is wrong, at once.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(env);
        let config = Self {
            common: Common::read(&mut reader),
            address: reader.or(ADDR, SocketAddr::from(([0, 0, 0, 0], 8080))),
            admin_address: reader.or(ADMIN_ADDR, SocketAddr::from(([127, 0, 0, 1], 9080))),
            endpoints: endpoints::read(&mut reader),
            shards: shards(&mut reader),
            gate: GateLimits {
                durability: reader.or(REDIS_DURABILITY, Durability::Everysec),
                replicas: u32::try_from(reader.number(REDIS_REPLICAS, 0, 0, REPLICAS_MAX)).unwrap_or(0),
                backlog_max: reader.number(BACKLOG_MAX, BACKLOG_MAX_DEFAULT, 1, u64::MAX),
            },
            connections_max: connections(&mut reader),
            limits: Limits::PRODUCTION,
        };
        reader.refuse_unknown(OWN_PREFIX, &[ADDR, ADMIN_ADDR, CONNECTIONS_MAX]);
        reader.finish(config)
    }
}

fn connections(reader: &mut Reader<'_>) -> u32 {
    let number = reader.number(CONNECTIONS_MAX, CONNECTIONS_MAX_DEFAULT, 1, CONNECTIONS_MAX_LIMIT);
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn shards(reader: &mut Reader<'_>) -> u16 {
    let number = reader.number(QUEUE_SHARDS, u64::from(SHARDS_DEFAULT), 1, u64::from(SHARDS_MAX));
    u16::try_from(number).unwrap_or(SHARDS_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn env() -> Env {
        [
            ("REDIS_URL", "redis://localhost"),
            ("STRIPE_WEBHOOK_SECRET", "whsec_a"),
        ]
        .into_iter()
        .collect()
    }

    pub(super) fn problems(env: &Env) -> Vec<String> {
        IngestConfig::from_env(env).expect_err("problems").0
    }

    #[test]
    fn two_settings_are_enough() {
        let config = IngestConfig::from_env(&env()).expect("usable");
        assert_eq!(config.address.port(), 8080);
        assert!(config.admin_address.ip().is_loopback());
        assert_eq!(config.gate.durability, Durability::Everysec);
        assert_eq!(config.connections_max, 1024);
        assert_eq!(config.endpoints.len(), 1);
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let env: Env = [
            ("TOLLGATE_INGEST_ADDR", "here"),
            ("TOLLGATE_INGEST_CONNECTIONS_MAX", "0"),
            ("TOLLGATE_REDIS_DURABILITY", "sometimes"),
            ("TOLLGATE_INGEST_ADMIN_ADR", "127.0.0.1:1"),
        ]
        .into_iter()
        .collect();
        let problems = problems(&env);
        assert_eq!(problems.len(), 6, "{problems:#?}");
        let last = problems.last().expect("one");
        assert!(last.contains("did you mean TOLLGATE_INGEST_ADMIN_ADDR"), "{last}");
    }

    #[test]
    fn the_table_lists_what_is_read_with_its_default() {
        let default = |name: &str| {
            SETTINGS
                .iter()
                .find(|setting| setting.name == name)
                .map(|setting| setting.default)
        };
        let config = IngestConfig::from_env(&env()).expect("usable");
        assert_eq!(default(ADDR), Some(config.address.to_string().as_str()));
        assert_eq!(
            default(ADMIN_ADDR),
            Some(config.admin_address.to_string().as_str())
        );
        assert_eq!(
            default(BACKLOG_MAX),
            Some(config.gate.backlog_max.to_string().as_str())
        );
        assert_eq!(default(QUEUE_SHARDS), Some(config.shards.to_string().as_str()));
        assert_eq!(
            default(CONNECTIONS_MAX),
            Some(config.connections_max.to_string().as_str())
        );
        assert_eq!(
            default(REDIS_DURABILITY),
            Some(config.gate.durability.to_string().as_str())
        );
    }
}
