//! A private Redis and a private Postgres for one process and its tests.
//!
//! `tollgate dev` and every integration test need both servers, and neither may ask the user to install or
//! configure anything. So this crate finds the two on the machine, or fetches them into a cache without
//! installing them, starts them on free ports of 127.0.0.1 in a directory of their own, and makes sure that they
//! are gone when the process that asked for them is gone, even by `kill -9`.
//!
//! ```no_run
//! let stack = stack::Stack::start(stack::Options::throwaway())?;
//! println!("{:?} {:?}", stack.redis_url(), stack.database_url());
//! # Ok::<(), stack::StackError>(())
//! ```
//!
//! What already listens on 5432 or 6379 is never touched. Servers never run as root: root runs them
//! as `postgres` or `nobody`. Everything here blocks; call it from a plain thread or `spawn_blocking`.

mod chromium;
mod dir;
mod disk;
mod error;
mod fetch;
mod find;
mod leftovers;
mod port;
mod postgres;
mod process;
mod progress;
mod prometheus;
mod proxy;
mod redis;
mod server;
mod talk;
mod user;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use chromium::Chromium;
pub use disk::no_disk;
pub use error::{Software, StackError};
pub use find::Sources;
pub use port::free as free_port;
pub use postgres::{Durability, PostgresOptions, PostgresServer};
pub use process::Process;
pub use progress::{Progress, Reporter};
pub use prometheus::Prometheus;
pub use proxy::{Proxy, Tap, Verdict};
pub use redis::{Fsync, RedisOptions, RedisServer};
pub use rustix::process::Signal;

use dir::Home;

/// What to start, from where, and how durable it has to be.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `None`: no Redis, because the user brought one.
    pub redis: Option<RedisOptions>,
    /// `None`: no Postgres, because the user brought one.
    pub postgres: Option<PostgresOptions>,
    /// Keep the data here between runs. `None`: a temporary directory that is removed at the end.
    pub data_dir: Option<PathBuf>,
    /// Where the programs may come from.
    pub sources: Sources,
    /// Told about every step, because fetching takes seconds.
    pub reporter: Reporter,
}

impl Options {
    /// Both servers, as durable as Tollgate claims to be: every write is synced to disk before it is confirmed.
    #[must_use]
    pub fn durable() -> Self {
        Self {
            redis: Some(RedisOptions {
                fsync: Fsync::Always,
                ..RedisOptions::default()
            }),
            postgres: Some(PostgresOptions {
                durability: Durability::Durable,
                ..PostgresOptions::default()
            }),
            ..Self::default()
        }
    }

    /// Both servers for tests: quick, and worth nothing after a power cut.
    #[must_use]
    pub fn throwaway() -> Self {
        Self {
            redis: Some(RedisOptions::default()),
            postgres: Some(PostgresOptions {
                durability: Durability::Throwaway,
                // Many tests share it, and some of them are crowds.
                max_connections: 200,
                ..PostgresOptions::default()
            }),
            ..Self::default()
        }
    }

    /// Starts no Redis.
    #[must_use]
    pub fn without_redis(self) -> Self {
        Self { redis: None, ..self }
    }

    /// Starts no Postgres.
    #[must_use]
    pub fn without_postgres(self) -> Self {
        Self {
            postgres: None,
            ..self
        }
    }

    /// Keeps the data in `dir`, which is created when it is missing.
    #[must_use]
    pub fn with_data_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: Some(dir.into()),
            ..self
        }
    }

    /// Calls `report` with every step, from whichever thread makes it.
    #[must_use]
    pub fn on_progress(self, report: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self {
            reporter: Reporter::new(report),
            ..self
        }
    }
}

/// The running servers. Dropping it stops them and removes their temporary directory.
#[derive(Debug)]
pub struct Stack {
    redis: Option<RedisServer>,
    postgres: Option<PostgresServer>,
    home: Arc<Home>,
}

impl Stack {
    /// Starts what `options` asks for, both at the same time, and returns when both answer.
    ///
    /// # Errors
    ///
    /// Whatever keeps a server from answering. The message says what to do about it.
    pub fn start(options: Options) -> Result<Self, StackError> {
        let Options {
            redis,
            postgres,
            data_dir,
            sources,
            reporter,
        } = options;
        let home = Arc::new(Home::open(data_dir.as_deref())?);
        let (redis, postgres) = std::thread::scope(|scope| {
            let redis_start = redis.map(|redis| {
                let (home, sources, reporter) = (Arc::clone(&home), &sources, &reporter);
                scope.spawn(move || RedisServer::start_in(home, redis, sources, reporter))
            });
            let postgres = postgres
                .map(|postgres| PostgresServer::start_in(Arc::clone(&home), postgres, &sources, &reporter))
                .transpose();
            let redis = redis_start.map(|start| match start.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            (redis.transpose(), postgres)
        });
        Ok(Self {
            redis: redis?,
            postgres: postgres?,
            home,
        })
    }

    /// `redis://:password@127.0.0.1:port/0`, or `None` when no Redis was asked for.
    #[must_use]
    pub fn redis_url(&self) -> Option<String> {
        self.redis.as_ref().map(RedisServer::url)
    }

    /// `postgres://tollgate:password@127.0.0.1:port/tollgate`, or `None` when no Postgres was asked for.
    #[must_use]
    pub fn database_url(&self) -> Option<String> {
        self.postgres.as_ref().map(PostgresServer::url)
    }

    /// The same server's `postgres` database, from which others can be created and dropped.
    #[must_use]
    pub fn admin_url(&self) -> Option<String> {
        self.postgres.as_ref().map(PostgresServer::admin_url)
    }

    /// The Redis, to look at.
    #[must_use]
    pub fn redis(&self) -> Option<&RedisServer> {
        self.redis.as_ref()
    }

    /// The Redis, to kill, pause or restart.
    #[must_use]
    pub fn redis_mut(&mut self) -> Option<&mut RedisServer> {
        self.redis.as_mut()
    }

    /// The Postgres, to look at.
    #[must_use]
    pub fn postgres(&self) -> Option<&PostgresServer> {
        self.postgres.as_ref()
    }

    /// The Postgres, to kill, pause or restart.
    #[must_use]
    pub fn postgres_mut(&mut self) -> Option<&mut PostgresServer> {
        self.postgres.as_mut()
    }

    /// Where data and logs are: `redis/` and `postgres/` below it, each with its log.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.home.path()
    }
}

/// One throwaway stack for this whole process, started by whoever asks first.
///
/// For integration tests: the many tests of one binary share it, each in a database and under a key prefix of its
/// own. Nobody may stop or kill its servers; a test that needs to starts its own [`RedisServer`] or
/// [`PostgresServer`]. It disappears with the process, its directory too.
///
/// # Errors
///
/// The error of the first start, to everyone who asks.
pub fn shared() -> Result<&'static Stack, &'static StackError> {
    static SHARED: OnceLock<Result<Stack, StackError>> = OnceLock::new();
    SHARED.get_or_init(|| Stack::start(Options::throwaway())).as_ref()
}
