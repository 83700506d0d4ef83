//! Private servers, and a clean slate for each measurement.

use std::cell::Cell;
use std::time::{Duration, Instant};

use shared::queue::{GROUP, Keys};
use shared::signature::Secret;
use stack::{PostgresOptions, RedisOptions, Stack};
use store::{Store, yardstick};
use tokio::runtime::Runtime;

use super::Outcome;
use super::cpu::Watched;
use super::load::Entry;
use super::resp::Raw;

/// First word of the Redis keys.
pub(super) const PREFIX: &str = "bench";
/// For looking, and for writing raw rows.
const CONNECTIONS_MAX: u32 = 6;
/// Commands sent before their answers are read.
pub(super) const WINDOW: usize = 64;
/// Longest Redis may take to begin a new append-only file.
const REWRITE_LIMIT: Duration = Duration::from_secs(60);
/// Settings that differ from what `tollgate dev` has. The first two keep a round from paying for the one before, the
/// third makes room as any real installation would, the fourth is how commits get a time.
pub(super) const REDIS_SETTINGS: [&str; 2] = ["--auto-aof-rewrite-percentage", "0"];
pub(super) const POSTGRES_SETTINGS: [&str; 3] = [
    "max_wal_size=8GB",
    "shared_buffers=512MB",
    "track_commit_timestamp=on",
];

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
    databases: Cell<u32>,
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
            stack,
        };
        let admin = rig.admin_url()?;
        rig.runtime.block_on(async {
            yardstick::create_database(&admin, "template_bench", None).await?;
            let store = Store::new(&with_database(&admin, "template_bench"), "tollgate-bench", 1)?;
            store.migrate().await?;
            // A template must have no connections.
            store.close().await;
            Outcome::Ok(())
        })?;
        Ok(rig)
    }

    /// What to start.
    pub(super) fn options() -> stack::Options {
        stack::Options {
            redis: Some(RedisOptions {
                extra_args: REDIS_SETTINGS.map(str::to_owned).to_vec(),
                ..RedisOptions::default()
            }),
            postgres: Some(PostgresOptions {
                settings: POSTGRES_SETTINGS.map(str::to_owned).to_vec(),
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
        {
            if Instant::now() > deadline {
                return Err("Redis does not finish a new append-only file".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        set_level(&mut raw, level)?;
        Ok(raw)
    }

    /// A migrated, empty database, in place of the last one. Returns its address.
    pub(super) fn fresh_database(&self) -> Outcome<String> {
        let admin = self.admin_url()?;
        let name = |number: u32| format!("bench_{number}");
        let last = self.databases.get();
        self.databases.set(last + 1);
        self.runtime.block_on(async {
            yardstick::drop_database(&admin, &name(last)).await?;
            yardstick::create_database(&admin, &name(last + 1), Some("template_bench")).await
        })?;
        Ok(with_database(&admin, &name(last + 1)))
    }

    /// For looking at a database.
    pub(super) fn store(&self, database_url: &str) -> Outcome<Store> {
        let _runtime = self.runtime.enter();
        Ok(Store::new(database_url, "tollgate-bench", CONNECTIONS_MAX)?)
    }

    /// The stream.
    pub(super) fn stream() -> String {
        Keys::new(PREFIX, 0).events
    }
}

/// From now on Redis syncs when `level` says.
pub(super) fn set_level(raw: &mut Raw, level: Level) -> Outcome<()> {
    raw.call(&[b"CONFIG", b"SET", b"appendfsync", level.name().as_bytes()])?;
    Ok(())
}

/// Adds entries to the stream, `at_once` and as many under way. Returns how long it took.
pub(super) fn fill(raw: &mut Raw, entries: &[Entry], at_once: usize) -> Outcome<Duration> {
    let stream = Rig::stream();
    let began = Instant::now();
    let mut awaited = 0;
    for part in entries.chunks(at_once) {
        for entry in part {
            raw.push(&[
                b"XADD",
                stream.as_bytes(),
                b"*",
                b"v",
                b"1",
                b"meta",
                &entry.meta,
                b"body",
                &entry.body,
            ]);
        }
        raw.flush()?;
        for _ in 0..awaited {
            raw.reply()?;
        }
        awaited = part.len();
    }
    for _ in 0..awaited {
        raw.reply()?;
    }
    Ok(began.elapsed())
}

/// Makes the group that workers read as.
pub(super) fn make_group(raw: &mut Raw) -> Outcome<()> {
    let stream = Rig::stream();
    raw.call(&[
        b"XGROUP",
        b"CREATE",
        stream.as_bytes(),
        GROUP.as_bytes(),
        b"0",
        b"MKSTREAM",
    ])?;
    Ok(())
}

/// Entries in the stream: waiting and in flight.
pub(super) fn length(raw: &mut Raw) -> Outcome<u64> {
    let reply = raw.call(&[b"XLEN", Rig::stream().as_bytes()])?;
    Ok(u64::try_from(reply.int()).unwrap_or(0))
}

/// The same server's other database.
fn with_database(url: &str, database: &str) -> String {
    let base = url.rsplit_once('/').map_or(url, |(base, _)| base);
    format!("{base}/{database}")
}
