//! A private Postgres.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::dir::Home;
use crate::disk::Disk;
use crate::error::Attempt;
use crate::find::{self, Program, Sources, Wanted};
use crate::process::{last_lines, run_with_input};
use crate::progress::{Progress, Reporter};
use crate::server::{self, Launch, Password, Server};
use crate::{Software, StackError, leftovers};

/// From start to `ready`; recovery of a large data directory after a crash takes its time.
const START_LIMIT: Duration = Duration::from_secs(120);
/// From the signal to the end; a checkpoint on a slow disk takes its time.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// For each program that prepares a cluster. Usually under a second.
const PREPARE_LIMIT: Duration = Duration::from_secs(120);
/// The role that owns everything, and the database of that name.
const NAME: &str = "tollgate";
const PASSWORD_FILE: &str = "password";
/// The line of `postmaster.pid` that says whether connections are accepted, counted from 0.
const STATUS_LINE: usize = 7;
/// Sorts by code point, knows UTF-8. Only glibc and musl are sure to have it.
const LOCALE: &str = if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" };
const UNSAFE_AND_QUICK: [&str; 3] = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

/// What a power cut may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Nothing that was committed.
    #[default]
    Durable,
    /// Everything; a crash of Postgres alone still costs at most the last commits. For tests.
    Throwaway,
}

/// How to run Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// What a power cut may cost.
    pub durability: Durability,
    /// `max_connections`; each costs some 400 kB of shared memory and nothing else until it is used.
    pub max_connections: u32,
    /// More settings, as `name=value`. They come last and so win.
    pub settings: Vec<String>,
    /// Bytes of a disk of its own, which can be filled up; see [`crate::no_disk`].
    pub disk: Option<u64>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            max_connections: 100,
            settings: Vec::new(),
            disk: None,
        }
    }
}

/// A running Postgres that can be ended, paused and started again. Dropping it ends it.
#[derive(Debug)]
pub struct PostgresServer {
    server: Server,
    port: u16,
    password: Password,
    disk: Option<Disk>,
    cluster: Cluster,
}

/// What is needed to start the server once more.
#[derive(Debug)]
struct Cluster {
    program: Program,
    options: PostgresOptions,
    /// Holds `data`, the password and the log.
    dir: PathBuf,
    home: Arc<Home>,
}

impl PostgresServer {
    /// Starts one in a temporary directory of its own.
    ///
    /// # Errors
    ///
    /// When no Postgres can be found or fetched, or it does not answer within two minutes.
    pub fn start(options: PostgresOptions) -> Result<Self, StackError> {
        let home = Arc::new(Home::open(None)?);
        Self::start_in(home, options, &Sources::default(), &Reporter::default())
    }

    pub(crate) fn start_in(
        home: Arc<Home>,
        options: PostgresOptions,
        sources: &Sources,
        reporter: &Reporter,
    ) -> Result<Self, StackError> {
        let dir = home.private_dir(Software::Postgres.slug())?;
        let disk = home.disk(&dir, options.disk)?;
        let written_by = fs::read_to_string(dir.join("data/PG_VERSION")).ok();
        let major = written_by.and_then(|version| version.trim().parse().ok());
        let wanted = Wanted {
            software: Software::Postgres,
            major,
            user: home.user(),
        };
        let program = find::locate(&wanted, sources, reporter)?;
        let cluster = Cluster {
            program,
            options,
            dir,
            home,
        };
        if major.is_none() {
            reporter.tell(Progress::CreatingCluster);
            cluster.create()?;
        }
        let password = Password::read(&cluster.dir.join(PASSWORD_FILE))?;
        reporter.tell(Progress::starting(Software::Postgres, &cluster.program));
        let (port, server) = cluster.launch().start_on_free_port(|port| cluster.start(port))?;
        reporter.tell(Progress::Ready {
            software: Software::Postgres,
            port,
        });
        Ok(Self {
            server,
            port,
            password,
            disk,
            cluster,
        })
    }

    /// `postgres://tollgate:password@127.0.0.1:port/tollgate`; the same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(NAME)
    }

    /// The URL of the `postgres` database, from which others can be created and dropped.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url_of("postgres")
    }

    fn url_of(&self, database: &str) -> String {
        format!(
            "postgres://{NAME}:{}@127.0.0.1:{}/{database}",
            self.password.reveal(),
            self.port
        )
    }

    /// The port on 127.0.0.1; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster, running or not.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// A program of the same version, such as `psql` or `pg_dump`, ready to get its arguments. Which ones there
    /// are depends on where this Postgres came from.
    #[must_use]
    pub fn tool(&self, name: &str) -> Command {
        self.cluster.program.sibling(name).command()
    }

    /// Whether the postmaster runs, paused or not.
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    /// Ends all its processes by SIGKILL, as a crash would, and returns when they are gone.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn kill(&mut self) -> Result<(), StackError> {
        self.server.kill()
    }

    /// Stops it as an administrator would (fast shutdown: open transactions are rolled back) and waits up to half
    /// a minute.
    ///
    /// # Errors
    ///
    /// When it had to be killed in the end.
    pub fn stop(&mut self) -> Result<(), StackError> {
        self.server.stop(Signal::INT, STOP_LIMIT)
    }

    /// Starts it again with the same data on the same port, after stopping it if it still runs.
    ///
    /// # Errors
    ///
    /// When it does not stop or start, or someone has taken its port.
    pub fn restart(&mut self) -> Result<(), StackError> {
        self.stop()?;
        let started = self.cluster.start(self.port)?;
        self.server = started.ok_or_else(|| self.cluster.launch().ports_taken(1))?;
        Ok(())
    }

    /// Fills up its disk, or gives back the room there was.
    ///
    /// # Errors
    ///
    /// When it has no disk of its own, or the operating system refuses.
    pub fn fill_disk(&self, is_full: bool) -> Result<(), StackError> {
        self.disk.as_ref().ok_or(StackError::NoDisk)?.fill(is_full)
    }

    /// Stops the clock of all its processes (SIGSTOP): connections stay open and nothing is answered.
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

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let ended = if self.cluster.home.kept() {
            self.stop()
        } else {
            self.discard()
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "ending Postgres");
        }
    }
}

impl PostgresServer {
    /// Ends it without a checkpoint, which nobody will read, but frees its System V shared memory: the kernel
    /// has few segments and keeps those of a killed Postgres until it is started once more.
    fn discard(&mut self) -> Result<(), StackError> {
        self.server.stop(Signal::QUIT, STOP_LIMIT)?;
        if !self.cluster.home.path().join(leftovers::POSTMASTER_PID).exists() {
            return Ok(());
        }
        self.cluster
            .single_user(&self.cluster.dir.join("data"), "", "freeing shared memory")
    }
}

impl Cluster {
    /// Makes the cluster and its database beside their final place, so that `data` is complete or absent.
    fn create(&self) -> Result<(), StackError> {
        let (unfinished, data) = (self.dir.join("data.new"), self.dir.join("data"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).to("remove", &unfinished)?;
        }
        let password_file = self.dir.join(PASSWORD_FILE);
        server::write_secret(&password_file, Password::generate()?.reveal())?;
        self.home.hand_over(&password_file)?;

        let mut initdb = self.command("initdb");
        initdb
            .arg("--pgdata")
            .arg(&unfinished)
            .arg("--pwfile")
            .arg(&password_file);
        initdb.args([
            "--username",
            NAME,
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
        ]);
        initdb.args(["--locale", LOCALE, "--no-sync", "--no-instructions"]);
        prepare(initdb, "", "creating a Postgres cluster (initdb)")?;

        // Without a client, and before anyone can connect.
        self.single_user(
            &unfinished,
            &format!("CREATE DATABASE {NAME};\n"),
            "creating the database",
        )?;

        if self.home.kept() {
            let mut sync = self.command("initdb");
            sync.arg("--pgdata").arg(&unfinished).arg("--sync-only");
            prepare(sync, "", "writing the cluster to disk (initdb --sync-only)")?;
        }
        fs::rename(&unfinished, &data).to("finish", &data)
    }

    /// Runs statements in a Postgres without network and without a client.
    fn single_user(&self, data: &Path, statements: &str, doing: &'static str) -> Result<(), StackError> {
        let mut single = self.command("postgres");
        single
            .arg("--single")
            .arg("-D")
            .arg(data)
            .args(["-c", "exit_on_error=on"]);
        single
            .args(UNSAFE_AND_QUICK.iter().flat_map(|setting| ["-c", setting]))
            .arg("postgres");
        prepare(single, statements, doing)
    }

    /// `None`: the port was taken.
    fn start(&self, port: u16) -> Result<Option<Server>, StackError> {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.dir.join("data"));
        let (port, connections) = (
            format!("port={port}"),
            format!("max_connections={}", self.options.max_connections),
        );
        // No Unix socket: its path may be 107 bytes long, and temporary directories come close.
        let mut settings = vec![
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            &port,
            &connections,
        ];
        // Fetched ones come without LLVM, and short statements gain nothing by it.
        settings.extend(["jit=off", "logging_collector=off", "log_line_prefix=%m [%p] "]);
        if self.options.durability == Durability::Throwaway {
            settings.extend(UNSAFE_AND_QUICK);
            // In the data directory instead of /dev/shm, where a killed one would leave it.
            settings.push("dynamic_shared_memory_type=mmap");
        }
        settings.extend(self.options.settings.iter().map(String::as_str));
        command.args(settings.into_iter().flat_map(|setting| ["-c", setting]));
        let status = self.home.path().join(leftovers::POSTMASTER_PID);
        self.launch().start(command, |pid| is_ready(&status, pid))
    }

    fn launch(&self) -> Launch {
        Launch {
            software: Software::Postgres,
            log: self.dir.join("postgres.log"),
            // Fast shutdown; its children follow it.
            death: Signal::INT,
            limit: START_LIMIT,
        }
    }

    fn command(&self, name: &str) -> Command {
        let mut command = self.program.sibling(name).command();
        // Postgres insists on a current directory that it may enter.
        command.current_dir(&self.dir);
        if let Some(user) = self.home.user() {
            user.apply(&mut command);
        }
        command
    }
}

fn prepare(command: Command, input: &str, doing: &'static str) -> Result<(), StackError> {
    let failed = |status: String, output: &str| StackError::Tool {
        doing,
        status,
        output: last_lines(output),
    };
    match run_with_input(command, input, PREPARE_LIMIT) {
        Ok((status, _)) if status.success() => Ok(()),
        Ok((status, output)) => Err(failed(status.to_string(), &output)),
        Err(error) => Err(failed(error.to_string(), "")),
    }
}

/// Whether the file was written by this very process and says so.
fn is_ready(postmaster_pid: &Path, pid: u32) -> bool {
    let text = fs::read_to_string(postmaster_pid).unwrap_or_default();
    let mut lines = text.lines();
    let ours = lines.next().is_some_and(|line| line.trim() == pid.to_string());
    ours && lines
        .nth(STATUS_LINE - 1)
        .is_some_and(|status| status.trim() == "ready")
}
