//! A private Redis.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::dir::Home;
use crate::disk::Disk;
use crate::error::Attempt;
use crate::find::{self, Program, Sources, Wanted};
use crate::progress::{Progress, Reporter};
use crate::server::{self, Launch, Password, Server};
use crate::talk::talk;
use crate::{Software, StackError, leftovers};

/// From start to the first PONG; a large append-only file in a data directory takes its time.
const START_LIMIT: Duration = Duration::from_secs(60);
/// From SIGTERM to the end; it may have to sync.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Where Redis keeps its append-only file, below its directory.
const APPEND_ONLY_DIR: &str = "appendonlydir";
/// For one PING over the loopback.
const PING_LIMIT: Duration = Duration::from_millis(500);

/// When Redis syncs its append-only file to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// Once a second: a power cut costs up to two seconds of confirmed writes.
    #[default]
    EverySecond,
    /// Before a write is confirmed.
    Always,
}

impl Fsync {
    fn as_config(self) -> &'static str {
        match self {
            Self::EverySecond => "everysec",
            Self::Always => "always",
        }
    }
}

/// How to run Redis. Always with an append-only file and `noeviction`, as the queue demands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedisOptions {
    /// When it syncs.
    pub fsync: Fsync,
    /// More arguments, such as `["--maxmemory", "8mb"]`. They come last and so win.
    pub extra_args: Vec<String>,
    /// Bytes of a disk of its own, which can be filled up; see [`crate::no_disk`].
    pub disk: Option<u64>,
}

/// A running Redis that can be ended, paused and started again. Dropping it ends it.
#[derive(Debug)]
pub struct RedisServer {
    server: Server,
    port: u16,
    password: Password,
    program: Program,
    options: RedisOptions,
    dir: PathBuf,
    disk: Option<Disk>,
    home: Arc<Home>,
}

impl RedisServer {
    /// Starts one in a temporary directory of its own.
    ///
    /// # Errors
    ///
    /// When no Redis can be found or fetched, or it does not answer within a minute.
    pub fn start(options: RedisOptions) -> Result<Self, StackError> {
        let home = Arc::new(Home::open(None)?);
        Self::start_in(home, options, &Sources::default(), &Reporter::default())
    }

    pub(crate) fn start_in(
        home: Arc<Home>,
        options: RedisOptions,
        sources: &Sources,
        reporter: &Reporter,
    ) -> Result<Self, StackError> {
        let wanted = Wanted {
            software: Software::Redis,
            major: None,
            user: home.user(),
        };
        let program = find::locate(&wanted, sources, reporter)?;
        reporter.tell(Progress::starting(Software::Redis, &program));
        let dir = home.private_dir(Software::Redis.slug())?;
        let disk = home.disk(&dir, options.disk)?;
        let password = Password::generate()?;
        // In a file, because everyone can read a command line.
        let config = dir.join("redis.conf");
        server::write_secret(&config, &format!("requirepass {}\n", password.reveal()))?;
        home.hand_over(&config)?;

        let start = |port| {
            launch(&dir).start(command(&home, &program, &options, port), |_| {
                answers(port, &password)
            })
        };
        let (port, server) = launch(&dir).start_on_free_port(start)?;
        reporter.tell(Progress::Ready {
            software: Software::Redis,
            port,
        });
        Ok(Self {
            server,
            port,
            password,
            program,
            options,
            dir,
            disk,
            home,
        })
    }

    /// `redis://:password@127.0.0.1:port/0`; the same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", self.password.reveal(), self.port)
    }

    /// The port on 127.0.0.1; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of the default user; the same after a restart.
    #[must_use]
    pub fn password(&self) -> &str {
        self.password.reveal()
    }

    /// The process, running or not.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Whether the process runs, paused or not.
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    /// Ends it by SIGKILL, as a crash would, and returns when it is gone.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn kill(&mut self) -> Result<(), StackError> {
        self.server.kill()
    }

    /// Asks it to stop and waits up to ten seconds.
    ///
    /// # Errors
    ///
    /// When it had to be killed in the end.
    pub fn stop(&mut self) -> Result<(), StackError> {
        self.server.stop(Signal::TERM, STOP_LIMIT)
    }

    /// Starts it again with the same data on the same port, after stopping it if it still runs.
    ///
    /// # Errors
    ///
    /// When it does not stop or start, or someone has taken its port.
    pub fn restart(&mut self) -> Result<(), StackError> {
        self.stop()?;
        let command = command(&self.home, &self.program, &self.options, self.port);
        let launch = launch(&self.dir);
        let started = launch.start(command, |_| answers(self.port, &self.password))?;
        self.server = started.ok_or_else(|| launch.ports_taken(1))?;
        Ok(())
    }

    /// Starts it again on the same port with nothing in it, as after the loss of its disk. What it had is deleted.
    ///
    /// # Errors
    ///
    /// When it does not end or start, or its files cannot be removed.
    pub fn restart_empty(&mut self) -> Result<(), StackError> {
        self.kill()?;
        let files = self.dir.join(APPEND_ONLY_DIR);
        if files.exists() {
            std::fs::remove_dir_all(&files).to("remove", &files)?;
        }
        self.restart()
    }

    /// Sends commands one after another over a connection of their own, and returns what each was answered: its texts
    /// and numbers, those inside of lists one after another.
    ///
    /// # Errors
    ///
    /// When it does not answer, or answers one of them with an error.
    pub fn ask(&self, commands: &[&[&str]]) -> std::io::Result<Vec<Vec<String>>> {
        talk(self.port, self.password(), commands)
    }

    /// Fills up its disk, or gives back the room there was.
    ///
    /// # Errors
    ///
    /// When it has no disk of its own, or the operating system refuses.
    pub fn fill_disk(&self, is_full: bool) -> Result<(), StackError> {
        self.disk.as_ref().ok_or(StackError::NoDisk)?.fill(is_full)
    }

    /// Stops its clock (SIGSTOP): it accepts connections and answers nothing.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn pause(&mut self) -> Result<(), StackError> {
        self.server.pause()
    }

    /// Lets a paused one go on.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn resume(&mut self) -> Result<(), StackError> {
        self.server.resume()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let ended = if self.home.kept() {
            self.stop()
        } else {
            self.kill()
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "ending Redis");
        }
    }
}

fn launch(dir: &std::path::Path) -> Launch {
    Launch {
        software: Software::Redis,
        log: dir.join("redis.log"),
        // What Redis has confirmed it has handed to the kernel, so killing it loses nothing, and nobody has to wait.
        death: Signal::KILL,
        limit: START_LIMIT,
    }
}

fn command(home: &Home, program: &Program, options: &RedisOptions, port: u16) -> Command {
    let dir = home.path().join(Software::Redis.slug());
    let mut command = program.command();
    command.current_dir(&dir).arg(dir.join("redis.conf"));
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--protected-mode",
        "yes",
    ]);
    command.args([
        "--daemonize",
        "no",
        "--save",
        "",
        "--maxmemory-policy",
        "noeviction",
    ]);
    command.args(["--appendonly", "yes", "--appendfsync", options.fsync.as_config()]);
    // The title replaces the command line, by which a leftover is recognised.
    command.args(["--set-proc-title", "no"]);
    command
        .arg("--dir")
        .arg(&dir)
        .arg("--pidfile")
        .arg(home.path().join(leftovers::REDIS_PID));
    command.args(&options.extra_args);
    if let Some(user) = home.user() {
        user.apply(&mut command);
    }
    command
}

/// Whether the Redis with our password answers: another program on that port would not know it.
fn answers(port: u16, password: &Password) -> bool {
    let ping = || -> std::io::Result<bool> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, PING_LIMIT)?;
        stream.set_read_timeout(Some(PING_LIMIT))?;
        stream.write_all(format!("AUTH {}\r\nPING\r\nQUIT\r\n", password.reveal()).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("+OK\r\n+PONG\r\n"))
    };
    ping().unwrap_or(false)
}
