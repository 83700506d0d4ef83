//! What is broken: private servers, the roles as processes, and a proxy between each two of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::clock::Clock;
use shared::queue::Keys;
use shared::queue::shards::SHARDS_DEFAULT;
use shared::signature::Secret;
use stack::{Fsync, Proxy, RedisOptions, RedisServer, Stack};
use store::{Store, Tx};
use tokio::sync::watch;

use super::children::{Child, READY_LIMIT, Seen};
use super::faults::Way;
use super::load::Addresses;
use super::wiring::{Roles, Wiring};
use crate::http;

/// First word of the Redis keys.
pub(super) const PREFIX: &str = "tollgate";
/// What the simulator signs with. Everything here is private and gone in a minute.
pub(super) const SECRET: &str = "whsec_chaos";
/// Connections for looking, and for what an administrator does.
const CONNECTIONS_MAX: u32 = 2;
/// Connections Postgres allows: few, so that they can be used up.
const POSTGRES_CONNECTIONS_MAX: u32 = 60;
/// Disks, when they have to be small: more than a run of some minutes writes.
const REDIS_DISK_BYTES: u64 = 1024 * 1024 * 1024;
/// See [`REDIS_DISK_BYTES`]; the write-ahead log alone may take 1 GiB.
const POSTGRES_DISK_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// How often processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// All of it. Dropped, it is gone.
pub(super) struct World {
    pub store: Store,
    pub children: Arc<Mutex<Vec<Child>>>,
    pub proxies: BTreeMap<Way, Proxy>,
    /// The worker whose clock stands still.
    pub stopped: Option<usize>,
    /// Held so that nobody else has them.
    pub connections: Vec<Tx>,
    pub replica: Option<RedisServer>,
    /// Whether the replica is the master now.
    pub is_failed_over: bool,
    /// How often each event was in Redis when somebody emptied it.
    pub gap: BTreeMap<String, usize>,
    /// Events that were sent beside the load, and what has to become of them.
    pub apart: BTreeMap<String, &'static str>,
    /// Whether everything is sent again and again.
    pub surge: watch::Sender<bool>,
    /// How many events a busy customer has.
    pub busy_events: usize,
    /// Deliveries of the load a second.
    pub rate: f64,
    /// Where ingest listens.
    pub ingest: SocketAddr,
    pub clock: Clock,
    // Last, so that everything above is dropped before the servers stop.
    pub stack: Stack,
}

/// The replica: as durable as its master.
fn durable(with_disk: bool) -> RedisOptions {
    RedisOptions {
        fsync: Fsync::Always,
        disk: with_disk.then_some(REDIS_DISK_BYTES),
        ..RedisOptions::default()
    }
}

/// The servers: as durable as Tollgate claims to be. With disks of their own, which are in memory, a sync costs nothing.
pub(super) fn servers(data_dir: Option<&Path>, with_disks: bool) -> stack::Options {
    let mut options = stack::Options::durable();
    options.data_dir = data_dir.map(Path::to_owned);
    if let Some(redis) = &mut options.redis {
        redis.disk = with_disks.then_some(REDIS_DISK_BYTES);
    }
    if let Some(postgres) = &mut options.postgres {
        postgres.max_connections = POSTGRES_CONNECTIONS_MAX;
        postgres.disk = with_disks.then_some(POSTGRES_DISK_BYTES);
    }
    options
}

impl World {
    /// Starts everything, and waits until it is ready. Needs a runtime.
    pub(super) async fn start(stack: Stack, roles: &Roles) -> Result<Self, Box<dyn std::error::Error>> {
        let url = stack.database_url().ok_or("no Postgres")?;
        let store = Store::new(&url, "tollgate-chaos", CONNECTIONS_MAX)?;
        store.migrate().await?;
        #[cfg(feature = "planted-bugs")]
        if roles.bug.as_deref() == Some("check-then-insert") {
            store.drop_inbox_key().await?;
        }
        let wiring = Wiring::new(&stack)?;
        let children = wiring.children(&stack, roles)?;
        let mut world = Self {
            store,
            children: Arc::new(Mutex::new(children)),
            proxies: wiring.proxies,
            stopped: None,
            connections: Vec::new(),
            replica: roles
                .with_replica
                .then(|| RedisServer::start(durable(roles.with_disks)))
                .transpose()?,
            is_failed_over: false,
            gap: BTreeMap::new(),
            apart: BTreeMap::new(),
            surge: watch::Sender::new(false),
            busy_events: roles.busy_events,
            rate: roles.rate,
            ingest: wiring.ingest,
            clock: Clock::system(),
            stack,
        };
        world.join_replica()?;
        let admins: Vec<String> = world.children().iter().map(Child::admin_url).collect();
        for child in world.children().iter_mut() {
            child.start()?;
        }
        for admin in admins {
            http::wait_until_ready(&admin, READY_LIMIT).await?;
        }
        Ok(world)
    }

    /// Where the load goes.
    pub(super) fn addresses(&self) -> Addresses {
        let url = |address: SocketAddr| format!("http://{address}{}", ingest::PATH);
        Addresses {
            url: url(self.proxies[&Way::Sender].address()),
            direct_url: url(self.ingest),
            secret: Self::secret(),
            surge: self.surge.subscribe(),
        }
    }

    /// By how much the clocks of ingest and the workers are wrong.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn clock_file(&self) -> std::path::PathBuf {
        super::wiring::clock_file(&self.stack)
    }

    pub(super) fn secret() -> Secret {
        Secret::new(SECRET).expect("a secret")
    }

    /// Those of all shards, by number.
    pub(super) fn keys() -> impl Iterator<Item = (u16, Keys)> {
        (0..SHARDS_DEFAULT).map(|shard| (shard, Keys::new(PREFIX, shard)))
    }

    pub(super) fn children(&self) -> MutexGuard<'_, Vec<Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redis, whichever is the one now.
    pub(super) fn master(&mut self) -> Result<&mut RedisServer, String> {
        let replica = self.replica.as_mut().filter(|_| self.is_failed_over);
        replica
            .or(self.stack.redis_mut())
            .ok_or_else(|| "no Redis".to_owned())
    }

    /// How to reach it without any proxy.
    pub(super) fn redis_url(&mut self) -> Result<String, String> {
        Ok(self.master()?.url())
    }

    /// Both have both passwords, and whoever is not the master follows it. To be said again after a restart.
    pub(super) fn join_replica(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let (Some(replica), Some(first)) = (&self.replica, self.stack.redis()) else {
            return Ok(());
        };
        let password = first.password();
        for server in [first, replica] {
            let added = format!(">{password}");
            server.ask(&[
                &["ACL", "SETUSER", "default", &added],
                &["CONFIG", "SET", "masterauth", password],
                // It waits for more replicas that could share a copy, of which there are none.
                &["CONFIG", "SET", "repl-diskless-sync-delay", "0"],
            ])?;
        }
        let (master, follower) = if self.is_failed_over {
            (replica, first)
        } else {
            (first, replica)
        };
        master.ask(&[&["REPLICAOF", "NO", "ONE"]])?;
        follower.ask(&[&["REPLICAOF", "127.0.0.1", &master.port().to_string()]])?;
        Ok(())
    }

    /// Looks after the processes, until aborted.
    pub(super) fn watch(&self) -> tokio::task::JoinHandle<()> {
        let children = Arc::clone(&self.children);
        tokio::spawn(async move {
            loop {
                for child in children.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
                    if let Err(error) = child.look() {
                        eprintln!("tollgate: {}: {error}", child.name);
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
    }

    /// What the roles were like.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.children().iter().map(Child::seen).collect()
    }
}

pub(super) fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
