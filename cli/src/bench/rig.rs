//! Private servers, and a clean slate for each measurement.

use std::cell::Cell;
use std::time::{Duration, Instant};

use shared::signature::Secret;
use stack::{PostgresOptions, RedisOptions, Stack};
use store::{Store, yardstick};
use tokio::runtime::Runtime;

use super::cpu::Watched;
use super::resp::Raw;
use super::stream::set_level;
use super::{Outcome, machine};

/// What all databases are copied from.
const TEMPLATE: &str = "bench_template";
/// First word of the Redis keys.
pub(super) const PREFIX: &str = "bench";
/// For looking, and for writing raw rows.
const CONNECTIONS_MAX: u32 = 6;
/// Longest Redis may take to begin a new append-only file.
const REWRITE_LIMIT: Duration = Duration::from_secs(60);
/// Keeps a round from paying for the one before.
pub(super) const REDIS_SETTINGS: [&str; 2] = ["--auto-aof-rewrite-percentage", "0"];
/// Postgres's shared buffers unless tables grow: more than all of them take.
const BUFFERS_MIB: u64 = 512;

/// Settings of Postgres that differ from what `tollgate dev` has. The first keeps a round from paying for the one before,
/// the second is how commits get a time. Where tables grow beyond all measure, shared buffers are what Postgres's
/// documentation advises, a quarter of the memory.
pub(super) fn postgres_settings(do_tables_grow: bool) -> Vec<String> {
    let quarter = machine::memory_mib() / 4;
    let buffers = if do_tables_grow {
        quarter.max(BUFFERS_MIB)
    } else {
        BUFFERS_MIB
    };
    vec![
        "max_wal_size=8GB".to_owned(),
        "track_commit_timestamp=on".to_owned(),
        format!("shared_buffers={buffers}MB"),
    ]
}

/// When Redis syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Everysec,
    Always,
}

impl Level {
    pub(super) const BOTH: [Self; 2] = [Self::Everysec, Self::Always];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Everysec => "everysec",
            Self::Always => "always",
        }
    }
}

/// Everything that is started once.
pub(super) struct Rig {
    pub runtime: Runtime,
    pub secret: Secret,
    /// The number of the last database made, and of the last one removed.
    databases: Cell<u32>,
    dropped: Cell<u32>,
    // Last, so that everything above is gone before the servers stop.
    pub stack: Stack,
}

impl Rig {
    /// Starts Redis and Postgres, and migrates the database that all others are copied from.
    pub(super) fn start(stack: Stack) -> Outcome<Self> {
        let rig = Self {
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?,
            secret: Secret::new("whsec_bench")?,
            databases: Cell::new(0),
            dropped: Cell::new(0),
            stack,
        };
        let admin = rig.admin_url()?;
        rig.runtime.block_on(async {
            yardstick::create_database(&admin, TEMPLATE, None).await?;
            let store = Store::new(&with_database(&admin, TEMPLATE), "tollgate-bench", 1)?;
            store.migrate().await?;
            // A template must have no connections.
            store.close().await;
            Outcome::Ok(())
        })?;
        Ok(rig)
    }

    /// What to start.
    pub(super) fn options(postgres_settings: Vec<String>) -> stack::Options {
        stack::Options {
            redis: Some(RedisOptions {
                extra_args: REDIS_SETTINGS.map(str::to_owned).to_vec(),
                ..RedisOptions::default()
            }),
            postgres: Some(PostgresOptions {
                settings: postgres_settings,
                ..PostgresOptions::default()
            }),
            ..stack::Options::durable()
        }
    }

    pub(super) fn redis_url(&self) -> Outcome<String> {
        Ok(self.stack.redis_url().ok_or("no Redis")?)
    }

    fn admin_url(&self) -> Outcome<String> {
        Ok(self.stack.admin_url().ok_or("no Postgres")?)
    }

    /// A raw connection to Redis.
    pub(super) fn raw(&self) -> Outcome<Raw> {
        let redis = self.stack.redis().ok_or("no Redis")?;
        Ok(Raw::connect(redis.port(), redis.password())?)
    }

    /// The servers and this process, beside `ours`.
    pub(super) fn watched(&self, ours: &[Watched]) -> Vec<Watched> {
        let redis = self.stack.redis().map(|it| ("redis", it.pid(), false));
        let postgres = self.stack.postgres().map(|it| ("postgres", it.pid(), true));
        let load = ("load", std::process::id(), false);
        let servers = redis.into_iter().chain(postgres).chain([load]);
        let servers = servers.map(|(name, pid, with_children)| Watched {
            name,
            pid,
            with_children,
        });
        ours.iter().copied().chain(servers).collect()
    }

    /// An empty Redis with a new append-only file, which syncs when `level` says.
    pub(super) fn clear_redis(&self, level: Level) -> Outcome<Raw> {
        let mut raw = self.raw()?;
        set_level(&mut raw, Level::Everysec)?;
        raw.call(&[b"FLUSHALL", b"SYNC"])?;
        raw.call(&[b"BGREWRITEAOF"])?;
        let deadline = Instant::now() + REWRITE_LIMIT;
        while raw.info("persistence", "aof_rewrite_in_progress")? != "0"
            || raw.info("persistence", "aof_rewrite_scheduled")? != "0"
            || raw.info("persistence", "aof_pending_bio_fsync")? != "0"
        {
            if Instant::now() > deadline {
                return Err("Redis does not finish a new append-only file".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        set_level(&mut raw, level)?;
        Ok(raw)
    }

    /// A migrated, empty database. Returns its address.
    pub(super) fn fresh_database(&self) -> Outcome<String> {
        let admin = self.admin_url()?;
        self.databases.set(self.databases.get() + 1);
        let name = database(self.databases.get());
        let made = yardstick::create_database(&admin, &name, Some(TEMPLATE));
        self.runtime.block_on(made)?;
        Ok(with_database(&admin, &name))
    }

    /// Removes those of earlier rounds. Not one at a time: each waits until all of Postgres is written to disk.
    pub(super) fn drop_databases(&self) -> Outcome<()> {
        let admin = self.admin_url()?;
        self.runtime.block_on(async {
            for number in self.dropped.get() + 1..=self.databases.get() {
                yardstick::drop_database(&admin, &database(number)).await?;
            }
            Outcome::Ok(())
        })?;
        self.dropped.set(self.databases.get());
        Ok(())
    }

    /// How often Redis had to hold writes back since it was started, because the disk was not done with the last
    /// sync of `everysec`.
    pub(super) fn delayed_syncs(&self) -> Outcome<u64> {
        Ok(self.raw()?.info("persistence", "aof_delayed_fsync")?.parse()?)
    }

    /// For looking at a database.
    pub(super) fn store(&self, database_url: &str) -> Outcome<Store> {
        let _runtime = self.runtime.enter();
        Ok(Store::new(database_url, "tollgate-bench", CONNECTIONS_MAX)?)
    }
}

fn database(number: u32) -> String {
    format!("bench_{number}")
}

/// The same server's other database.
fn with_database(url: &str, database: &str) -> String {
    let base = url.rsplit_once('/').map_or(url, |(base, _)| base);
    format!("{base}/{database}")
}
