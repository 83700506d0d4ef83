//! ingest, the workers and the API as processes of their own, restarted when they die, gone when `dev` is gone.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shared::config::Env;
use stack::{Process, Signal};
use tokio::task::JoinHandle;

use super::ops::OpsLogin;
use super::services::Services;
use super::{Options, progress};
use crate::http;
use crate::own::free_address;

/// How often children are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Pause before a child that died is started again; grows with each death up to the maximum.
const RESTART_DELAY: Duration = Duration::from_millis(200);
/// See [`RESTART_DELAY`].
const RESTART_DELAY_MAX: Duration = Duration::from_secs(5);
/// Longest a child may take to drain.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Lines of a child's log shown when it does not get ready.
const LOG_LINES: usize = 15;

/// A role does not get ready.
#[derive(Debug, thiserror::Error)]
#[error("{role} is not ready: {problem}\n{log}")]
pub(super) struct NotReady {
    role: String,
    problem: String,
    log: String,
}

/// All children.
pub(super) struct Processes {
    /// The whole address to POST to.
    pub ingest_url: String,
    /// Base address of ingest's admin listener.
    pub admin_url: String,
    /// Base address of the billing API.
    pub api_url: String,
    /// ingest, then the workers, then the API.
    children: Vec<Arc<Child>>,
}

/// A role that is kept running.
struct Child {
    name: String,
    admin_url: String,
    log: PathBuf,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    state: Mutex<State>,
}

struct State {
    process: Process,
    deaths: u32,
    restart_at: Option<Instant>,
}

impl Processes {
    /// Starts one ingest, the workers asked for, and the API, which `sells` as these settings say.
    pub(super) fn start(
        options: &Options,
        env: &Env,
        services: &Services,
        sells: &[(&'static str, String)],
    ) -> std::io::Result<Self> {
        let ingest_addr = match env.get("TOLLGATE_INGEST_ADDR") {
            Some(addr) => addr.to_owned(),
            None => free_address()?.to_string(),
        };
        let admin = free_address()?.to_string();
        let mut children = vec![Child::start("ingest", &admin, services, {
            let settings = ingest_settings(env, services, &ingest_addr, &admin);
            move |command| ingest_command(command, &settings)
        })?];
        for number in 1..=options.workers {
            let admin = free_address()?.to_string();
            let settings = [
                ("DATABASE_URL", services.database_url.clone()),
                ("REDIS_URL", services.redis_url.clone()),
                ("TOLLGATE_WORKER_ADMIN_ADDR", admin.clone()),
                ("TOLLGATE_REDIS_PREFIX", services.prefix.clone()),
            ];
            let name = format!("worker {number}");
            children.push(Child::start(&name, &admin, services, move |command| {
                command.arg("worker").envs(settings.clone());
            })?);
        }
        let api_addr = match env.get("TOLLGATE_API_ADDR") {
            Some(addr) => addr.to_owned(),
            None => free_address()?.to_string(),
        };
        let admin = free_address()?.to_string();
        children.push(Child::start("api", &admin, services, {
            let mut settings = api_settings(services, &api_addr, &admin);
            settings.extend_from_slice(sells);
            move |command| {
                command
                    .arg("api")
                    .envs(settings.iter().map(|(name, value)| (name, value)));
            }
        })?);
        Ok(Self {
            api_url: format!("http://{api_addr}"),
            ingest_url: format!("http://{ingest_addr}/webhooks/stripe"),
            admin_url: children[0].admin_url.clone(),
            children: children.into_iter().map(Arc::new).collect(),
        })
    }

    /// Waits until every role says that it is ready.
    pub(super) async fn wait_until_ready(&self, limit: Duration) -> Result<(), NotReady> {
        let deadline = Instant::now() + limit;
        for child in &self.children {
            let left = deadline.saturating_duration_since(Instant::now());
            let ready = http::wait_until_ready(&child.admin_url, left).await;
            ready.map_err(|problem| NotReady {
                role: child.name.clone(),
                problem,
                log: last_lines(&child.log),
            })?;
        }
        Ok(())
    }

    /// Starts children again that die, until aborted.
    pub(super) fn supervise(&self) -> JoinHandle<()> {
        let children = self.children.clone();
        tokio::spawn(async move {
            loop {
                for child in &children {
                    if let Err(error) = child.look() {
                        progress::say(&format!("{}: cannot be started again: {error}", child.name));
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
    }

    /// Asks all children to stop, and waits. What does not stop in time is killed.
    pub(super) async fn stop(&self) {
        for child in &self.children {
            child.ask_to_stop();
        }
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        for child in &self.children {
            while child.is_running() && Instant::now() < deadline {
                tokio::time::sleep(LOOK_EVERY / 4).await;
            }
            child.end();
        }
    }

    /// Base address of the API's admin listener.
    pub(super) fn api_admin_url(&self) -> &str {
        &self.children[self.children.len() - 1].admin_url
    }

    /// Base addresses of the workers' admin listeners.
    pub(super) fn worker_admin_urls(&self) -> impl Iterator<Item = &str> {
        self.workers().map(|child| child.admin_url.as_str())
    }

    fn workers(&self) -> impl Iterator<Item = &Child> {
        self.children[1..self.children.len() - 1].iter().map(Arc::as_ref)
    }

    /// For those who want to kill it.
    pub(super) fn ingest_pid(&self) -> u32 {
        self.children[0].state().process.id()
    }

    /// For those who want to kill one.
    pub(super) fn worker_pids(&self) -> Vec<u32> {
        self.workers().map(|child| child.state().process.id()).collect()
    }
}

impl Child {
    fn start(
        name: &str,
        admin_address: &str,
        services: &Services,
        adapt: impl Fn(&mut Command) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let program = std::env::current_exe()?;
        let log = services.log_dir.join(format!("{}.log", name.replace(' ', "-")));
        let log_to = log.clone();
        let command = Box::new(move || {
            let mut command = Command::new(&program);
            adapt(&mut command);
            if let Ok(file) = std::fs::File::options().create(true).append(true).open(&log_to) {
                command.stderr(file);
            }
            command
                .stdin(std::process::Stdio::null())
                .stdout(std::process::Stdio::null());
            command
        });
        // Killed at once when `dev` is killed: Redis and Postgres go at the same moment, so there is
        // nothing to drain into.
        let process = Process::spawn(command(), Signal::KILL)?;
        Ok(Self {
            name: name.to_owned(),
            admin_url: format!("http://{admin_address}"),
            log,
            command,
            state: Mutex::new(State {
                process,
                deaths: 0,
                restart_at: None,
            }),
        })
    }

    /// Notices a death, and starts the child again when its pause is over.
    fn look(&self) -> std::io::Result<()> {
        let mut state = self.state();
        let now = Instant::now();
        match state.restart_at {
            Some(at) if now >= at => {
                state.process = Process::spawn((self.command)(), Signal::KILL)?;
                state.restart_at = None;
                progress::say(&format!(
                    "{}: started again as process {}",
                    self.name,
                    state.process.id()
                ));
            }
            Some(_) => {}
            None => {
                if let Some(status) = state.process.exited()? {
                    let delay = (RESTART_DELAY * 2_u32.saturating_pow(state.deaths)).min(RESTART_DELAY_MAX);
                    state.deaths += 1;
                    state.restart_at = Some(now + delay);
                    let log = self.log.display();
                    progress::say(&format!("{}: {}; its log is {log}", self.name, in_words(status)));
                }
            }
        }
        Ok(())
    }

    fn ask_to_stop(&self) {
        if let Err(error) = self.state().process.signal(Signal::TERM) {
            progress::say(&format!("{}: cannot be stopped: {error}", self.name));
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.state().process.exited(), Ok(None))
    }

    fn end(&self) {
        if let Err(error) = self.state().process.kill() {
            progress::say(&format!("{}: cannot be killed: {error}", self.name));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// ingest gets what it needs and not what it must not know: neither the database nor Stripe's API key.
fn ingest_command(command: &mut Command, settings: &[(&'static str, String)]) {
    command
        .arg("ingest")
        .env_remove("DATABASE_URL")
        .env_remove("DATABASE_URL_FILE")
        .env_remove("STRIPE_SECRET_KEY");
    command.envs(settings.iter().map(|(name, value)| (name, value)));
}

fn ingest_settings(
    env: &Env,
    services: &Services,
    address: &str,
    admin_address: &str,
) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("REDIS_URL", services.redis_url.clone()),
        ("STRIPE_WEBHOOK_SECRET", services.secrets.clone()),
        ("TOLLGATE_REDIS_PREFIX", services.prefix.clone()),
        ("TOLLGATE_INGEST_ADDR", address.to_owned()),
        ("TOLLGATE_INGEST_ADMIN_ADDR", admin_address.to_owned()),
    ];
    let mut default = |name: &'static str, value: String| {
        if env.get(name).is_none() {
            settings.push((name, value));
        }
    };
    default("TOLLGATE_REDIS_DURABILITY", services.durability.to_string());
    // The simulator plays Stripe in test mode; live events at this endpoint are kept and change nothing.
    default("TOLLGATE_ENDPOINT_DEFAULT_LIVEMODE", "false".to_owned());
    settings
}

fn api_settings(services: &Services, address: &str, admin_address: &str) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("DATABASE_URL", services.database_url.clone()),
        ("REDIS_URL", services.redis_url.clone()),
        ("TOLLGATE_REDIS_PREFIX", services.prefix.clone()),
        ("TOLLGATE_API_ADDR", address.to_owned()),
        ("TOLLGATE_API_ADMIN_ADDR", admin_address.to_owned()),
    ];
    if let Some(tokens) = &services.tokens {
        settings.extend(tokens.settings());
    }
    settings.extend(services.ops.iter().flat_map(OpsLogin::settings));
    settings
}

fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
