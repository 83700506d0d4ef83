//! Our own processes, as they run everywhere: this program with another first word, and a clean environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stack::{Process, Signal};

use super::Outcome;
use super::api::requests;
use super::baseline::Work;
use super::cpu::Watched;
use super::rig::{PREFIX, Rig};
use crate::http;
use crate::own::{self, free_address};

/// Longest a process may take to get ready, and to stop.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is asked.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Inherited; everything else is set here, so that a run does not depend on who starts it.
const INHERITED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];

/// A running process. Killed when dropped.
pub(super) struct Role {
    name: &'static str,
    process: Process,
    /// Where requests go, for those that take any.
    pub address: SocketAddr,
    log: PathBuf,
}

impl Role {
    /// Starts ingest and waits until it accepts events.
    pub(super) fn ingest(rig: &Rig) -> Outcome<Self> {
        let (address, admin) = (free_address()?, free_address()?);
        let settings = [
            ("REDIS_URL", rig.redis_url()?),
            ("STRIPE_WEBHOOK_SECRET", rig.secret.expose().to_owned()),
            ("TOLLGATE_REDIS_PREFIX", PREFIX.to_owned()),
            ("TOLLGATE_INGEST_ADDR", address.to_string()),
            ("TOLLGATE_INGEST_ADMIN_ADDR", admin.to_string()),
            // The generator plays Stripe in test mode; live events would be kept and change nothing.
            ("TOLLGATE_ENDPOINT_DEFAULT_LIVEMODE", "false".to_owned()),
        ];
        let mut role = Self::spawn("ingest", &["ingest"], &settings, rig.stack.dir(), address)?;
        role.wait_until_ready(rig, admin)?;
        Ok(role)
    }

    /// Starts a worker and does not wait: it takes events as soon as it is there.
    pub(super) fn worker(rig: &Rig, database_url: &str) -> Outcome<(Self, SocketAddr)> {
        let admin = free_address()?;
        let settings = [
            ("REDIS_URL", rig.redis_url()?),
            ("DATABASE_URL", database_url.to_owned()),
            ("TOLLGATE_REDIS_PREFIX", PREFIX.to_owned()),
            ("TOLLGATE_WORKER_ADMIN_ADDR", admin.to_string()),
        ];
        let role = Self::spawn("worker", &["worker"], &settings, rig.stack.dir(), admin)?;
        Ok((role, admin))
    }

    /// Starts an API that sells through the Stripe at `stripe_url`, and waits until it is ready.
    pub(super) fn api(rig: &Rig, database_url: &str, stripe_url: &str) -> Outcome<(Self, SocketAddr)> {
        let (address, admin) = (free_address()?, free_address()?);
        let shop = "http://localhost/shop".to_owned();
        let settings = [
            ("REDIS_URL", rig.redis_url()?),
            ("DATABASE_URL", database_url.to_owned()),
            ("TOLLGATE_REDIS_PREFIX", PREFIX.to_owned()),
            ("TOLLGATE_API_ADDR", address.to_string()),
            ("TOLLGATE_API_ADMIN_ADDR", admin.to_string()),
            ("TOLLGATE_API_JWT_SECRET", requests::SECRET.to_owned()),
            ("TOLLGATE_API_JWT_ISSUER", requests::ISSUER.to_owned()),
            ("TOLLGATE_API_JWT_AUDIENCE", requests::AUDIENCE.to_owned()),
            ("STRIPE_API_KEY", requests::API_KEY.to_owned()),
            ("TOLLGATE_STRIPE_API_URL", stripe_url.to_owned()),
            ("TOLLGATE_API_SUCCESS_URL", shop.clone()),
            ("TOLLGATE_API_CANCEL_URL", shop),
        ];
        let mut role = Self::spawn("api", &["api"], &settings, rig.stack.dir(), address)?;
        role.wait_until_ready(rig, admin)?;
        Ok((role, admin))
    }

    /// Starts a server that does less than ingest.
    pub(super) fn baseline(rig: &Rig, work: Work) -> Outcome<Self> {
        let address = free_address()?;
        let word = match work {
            Work::Nothing => "nothing",
            Work::Hmac => "hmac",
        };
        let listen = address.to_string();
        let settings = [("STRIPE_WEBHOOK_SECRET", rig.secret.expose().to_owned())];
        let args = ["bench", "--serve", word, "--listen", &listen];
        // Under the name of what it stands for.
        let mut role = Self::spawn("ingest", &args, &settings, rig.stack.dir(), address)?;
        let deadline = Instant::now() + LIMIT;
        while std::net::TcpStream::connect(address).is_err() {
            role.look(deadline, "nobody listens")?;
        }
        Ok(role)
    }

    /// Waits until it says that it is ready.
    pub(super) fn wait_until_ready(&mut self, rig: &Rig, admin: SocketAddr) -> Outcome<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match rig.runtime.block_on(http::ready(&format!("http://{admin}"))) {
                Ok(()) => return Ok(()),
                Err(problem) => self.look(deadline, &problem)?,
            }
        }
    }

    /// An error when it has ended, or time is up. Waits a moment.
    pub(super) fn look(&mut self, deadline: Instant, problem: &str) -> Outcome<()> {
        let has_ended = self.process.exited()?.is_some();
        if has_ended || Instant::now() > deadline {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(5).collect();
            let why = if has_ended { "it has ended" } else { problem };
            return Err(format!("{}: {why}\n{}", self.name, lines.join("\n")).into());
        }
        std::thread::sleep(LOOK_EVERY);
        Ok(())
    }

    pub(super) fn watched(&self) -> Watched {
        Watched {
            name: self.name,
            pid: self.process.id(),
            with_children: false,
        }
    }

    /// Its largest resident memory so far, bytes.
    pub(super) fn memory_peak(&self) -> Option<f64> {
        own::memory_kib(self.process.id(), "VmHWM").map(|kib| kib as f64 * 1024.0)
    }

    /// Lets it finish what it does.
    pub(super) fn stop(mut self) -> Outcome<()> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(LIMIT)?;
        Ok(())
    }

    fn spawn(
        name: &'static str,
        args: &[&str],
        settings: &[(&str, String)],
        dir: &Path,
        address: SocketAddr,
    ) -> Outcome<Self> {
        let log = dir.join(format!("{name}.log"));
        let mut command = own::command(&log)?;
        command.args(args).env_clear();
        command.envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((*name, std::env::var_os(name)?))),
        );
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        Ok(Self {
            name,
            process: Process::spawn(command, Signal::KILL)?,
            address,
            log,
        })
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill() {
            tracing::warn!(%error, "ending {}", self.name);
        }
    }
}
