//! Who talks to whom by way of which proxy, and with which settings.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;

use shared::queue::Durability;
use stack::{Proxy, Stack};

use super::children::Child;
use super::faults::Way;
use super::world::{PREFIX, SECRET, local};
use crate::own::free_address;

/// Connections ingest serves at once: few, so that they can be used up.
const CONNECTIONS_MAX: u32 = 512;
/// Events in Redis above which ingest takes no more: few, so that there can be more.
const BACKLOG_MAX: u32 = 5_000;

/// How the roles are run.
#[derive(Debug, Clone)]
pub(super) struct Roles {
    pub workers: usize,
    /// Whether Redis has a replica that has to confirm.
    pub with_replica: bool,
    /// Whether servers have disks of their own.
    pub with_disks: bool,
    /// How many events a busy customer has.
    pub busy_events: usize,
    /// Deliveries of the load a second.
    pub rate: f64,
    /// What ingest demands of Redis.
    pub durability: Durability,
    /// The name of a planted bug.
    pub bug: Option<String>,
}

/// The proxies, and where ingest listens behind its own.
pub(super) struct Wiring {
    pub proxies: BTreeMap<Way, Proxy>,
    pub ingest: SocketAddr,
}

type Settings = BTreeMap<&'static str, String>;

impl Wiring {
    pub(super) fn new(stack: &Stack) -> Result<Self, Box<dyn Error>> {
        let redis = local(stack.redis().ok_or("no Redis")?.port());
        let postgres = local(stack.postgres().ok_or("no Postgres")?.port());
        let ingest = free_address()?;
        let targets = [
            (Way::Sender, ingest),
            (Way::IngestRedis, redis),
            (Way::WorkerRedis, redis),
            (Way::WorkerPostgres, postgres),
        ];
        let mut proxies = BTreeMap::new();
        for (way, target) in targets {
            proxies.insert(way, Proxy::start(target)?);
        }
        Ok(Self { proxies, ingest })
    }

    /// ingest, and then the workers; nothing runs yet.
    pub(super) fn children(&self, stack: &Stack, roles: &Roles) -> Result<Vec<Child>, Box<dyn Error>> {
        let logs = stack.dir().join("logs");
        std::fs::create_dir_all(&logs)?;
        let admin = free_address()?.to_string();
        let settings = self.ingest(stack, roles, &admin)?;
        let mut children = vec![Child::new(
            "ingest",
            "ingest",
            settings,
            admin,
            logs.join("ingest.log"),
        )];
        for number in 1..=roles.workers {
            let admin = free_address()?.to_string();
            let settings = self.worker(stack, roles, &admin)?;
            let log = logs.join(format!("worker-{number}.log"));
            children.push(Child::new(
                &format!("worker {number}"),
                "worker",
                settings,
                admin,
                log,
            ));
        }
        Ok(children)
    }

    fn ingest(&self, stack: &Stack, roles: &Roles, admin: &str) -> Result<Settings, Box<dyn Error>> {
        let mut settings = self.common(stack, roles, Way::IngestRedis)?;
        settings.extend([
            ("STRIPE_WEBHOOK_SECRET", SECRET.to_owned()),
            ("TOLLGATE_INGEST_ADDR", self.ingest.to_string()),
            ("TOLLGATE_INGEST_ADMIN_ADDR", admin.to_owned()),
            ("TOLLGATE_REDIS_DURABILITY", roles.durability.to_string()),
            (
                "TOLLGATE_REDIS_REPLICAS",
                u8::from(roles.with_replica).to_string(),
            ),
            ("TOLLGATE_ENDPOINT_DEFAULT_LIVEMODE", "false".to_owned()),
            ("TOLLGATE_ENDPOINT_DEFAULT_ACCOUNTS", "any".to_owned()),
            ("TOLLGATE_INGEST_CONNECTIONS_MAX", CONNECTIONS_MAX.to_string()),
            ("TOLLGATE_BACKLOG_MAX", BACKLOG_MAX.to_string()),
        ]);
        Ok(settings)
    }

    fn worker(&self, stack: &Stack, roles: &Roles, admin: &str) -> Result<Settings, Box<dyn Error>> {
        let postgres = stack.postgres().ok_or("no Postgres")?;
        let (behind, before) = (
            postgres.port(),
            self.proxies[&Way::WorkerPostgres].address().port(),
        );
        let url = postgres
            .url()
            .replace(&format!(":{behind}/"), &format!(":{before}/"));
        let mut settings = self.common(stack, roles, Way::WorkerRedis)?;
        settings.extend([
            ("DATABASE_URL", url),
            ("TOLLGATE_WORKER_ADMIN_ADDR", admin.to_owned()),
        ]);
        Ok(settings)
    }

    fn common(&self, stack: &Stack, roles: &Roles, way: Way) -> Result<Settings, Box<dyn Error>> {
        let password = stack.redis().ok_or("no Redis")?.password();
        let redis_url = format!("redis://:{password}@{}/0", self.proxies[&way].address());
        let mut settings = Settings::from([
            ("REDIS_URL", redis_url),
            ("TOLLGATE_REDIS_PREFIX", PREFIX.to_owned()),
        ]);
        settings.extend(planted(stack, roles));
        Ok(settings)
    }
}

/// What makes mistakes.
#[cfg(feature = "planted-bugs")]
fn planted(stack: &Stack, roles: &Roles) -> Settings {
    use shared::planted::{PLANTED_BUG, PLANTED_CLOCK};
    let clock = clock_file(stack).display().to_string();
    Settings::from([
        (PLANTED_BUG, roles.bug.clone().unwrap_or_default()),
        (PLANTED_CLOCK, clock),
    ])
}

#[cfg(not(feature = "planted-bugs"))]
fn planted(_: &Stack, _: &Roles) -> Settings {
    Settings::new()
}

/// By how much the roles' clocks are wrong.
#[cfg(feature = "planted-bugs")]
pub(super) fn clock_file(stack: &Stack) -> std::path::PathBuf {
    stack.dir().join("clock")
}
