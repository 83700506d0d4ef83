//! Real `tollgate` processes. None outlives its test: each is killed when dropped, and by the kernel when the
//! test's own process dies.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use shared::config::Env;
use stack::{Process, Signal};
use tempfile::TempDir;

use super::http;
use super::leaks;
use super::wait_within;

/// Longest a command that does one thing may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// Longest a role may take to listen. A debug build on a busy machine needs a second.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A `tollgate` process. What it writes goes to files, so that nobody has to drain pipes.
pub struct Tollgate {
    process: Process,
    output: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Tollgate {
    /// Starts it with exactly this environment.
    pub fn start(args: &[&str], env: &Env) -> Self {
        let output = tempfile::tempdir().expect("a directory");
        let file = |name| File::create(output.path().join(name)).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(args).env_clear();
        command.envs(env.names("").filter_map(|name| Some((name, env.get(name)?))));
        command
            .stdin(std::process::Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        let process = Process::spawn(command, Signal::KILL).expect("it starts");
        Self { process, output }
    }

    /// Runs it to its end.
    pub async fn run(args: &[&str], env: &Env) -> Ended {
        let mut process = Self::start(args, env);
        let code = process.end_within(COMMAND_LIMIT).await;
        Ended {
            code,
            stdout: process.stdout(),
            stderr: process.stderr(),
        }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).expect("signalled");
    }

    /// Waits for its end, which must come in time. The status, unless a signal ended it.
    pub async fn end_within(&mut self, limit: Duration) -> Option<i32> {
        let mut status = None;
        wait_within(limit, async || {
            status = self.process.exited().expect("an answer");
            status.is_some()
        })
        .await;
        let log = self.stderr();
        status
            .unwrap_or_else(|| panic!("still running after {limit:?}: {log}"))
            .code()
    }

    /// SIGTERM; returns the status.
    pub async fn terminate(mut self, limit: Duration) -> Option<i32> {
        self.signal(Signal::TERM);
        self.end_within(limit).await
    }

    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// The first line on stdout, which is JSON, as soon as it is there.
    pub async fn first_line(&mut self, limit: Duration) -> Value {
        let mut line = None;
        wait_within(limit, async || {
            line = self.stdout().split_once('\n').map(|(line, _)| line.to_owned());
            line.is_some() || self.process.exited().expect("an answer").is_some()
        })
        .await;
        let line = line.unwrap_or_else(|| panic!("no line on stdout: {}", self.stderr()));
        serde_json::from_str(&line).expect("JSON")
    }

    /// A member of the log line with this message, as soon as it is there.
    pub async fn logged(&mut self, message: &str, member: &str) -> String {
        let mut value = None;
        wait_within(START_LIMIT, async || {
            let log = self.stderr();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
            value = lines
                .find(|line: &Value| line["message"] == message)
                .and_then(|line| Some(line[member].as_str()?.to_owned()));
            value.is_some() || self.process.exited().expect("an answer").is_some()
        })
        .await;
        value.unwrap_or_else(|| panic!("{message}: {}", self.stderr()))
    }

    /// Base address of its admin listener.
    pub async fn admin_url(&mut self) -> String {
        format!("http://{}", self.logged("listening", "admin_address").await)
    }

    /// Waits until it says that it is ready; returns the base address of its admin listener.
    pub async fn ready(&mut self) -> String {
        let url = self.admin_url().await;
        http::wait_for_status(&format!("{url}/readyz"), 200).await;
        url
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.output.path().join(name)).expect("readable")
    }
}

impl Drop for Tollgate {
    fn drop(&mut self) {
        // Already gone, unless the test failed. A stopped process dies of it, too.
        self.process.kill().ok();
        if !std::thread::panicking() {
            let log = self.stderr();
            let leak = leaks::first_in(&log);
            assert!(leak.is_none(), "this may be in no log: {leak:?}");
        }
    }
}

/// A process of the system: its number, and when it started, because numbers are used again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub pid: u32,
    started: u64,
    pub name: String,
}

/// The processes that run now, by their parents; dead ones that nobody has collected left out.
fn running() -> BTreeMap<u32, Vec<Seen>> {
    let mut by_parent: BTreeMap<u32, Vec<Seen>> = BTreeMap::new();
    for file in fs::read_dir("/proc").expect("Linux").flatten() {
        let pid = file.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some((parent, seen)) = pid.and_then(look_at) {
            by_parent.entry(parent).or_default().push(seen);
        }
    }
    by_parent
}

fn look_at(pid: u32) -> Option<(u32, Seen)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = after.split(' ').collect();
    // State, parent, ... and as the 20th of them the start time: proc(5).
    let alive = !["Z", "X"].contains(fields.first()?);
    let seen = Seen {
        pid,
        started: fields.get(19)?.parse().ok()?,
        name: before.split_once('(')?.1.to_owned(),
    };
    alive.then_some((fields.get(1)?.parse().ok()?, seen))
}

/// Everything that `pid` started, and what that started.
pub fn descendants(pid: u32) -> Vec<Seen> {
    let by_parent = running();
    let mut found: Vec<Seen> = by_parent.get(&pid).cloned().unwrap_or_default();
    let mut next = 0;
    while next < found.len() {
        let children = by_parent.get(&found[next].pid).cloned().unwrap_or_default();
        found.extend(children);
        next += 1;
    }
    found
}

/// Those that still run.
pub fn still_running(seen: &[Seen]) -> Vec<Seen> {
    let same = |one: &&Seen| look_at(one.pid).is_some_and(|(_, now)| now == **one);
    seen.iter().filter(same).cloned().collect()
}

/// A directory that root's servers can enter, too.
pub fn passable_dir() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o711))
        .tempdir()
        .expect("a directory")
}

/// What is in a directory.
pub fn listing(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory");
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Milliseconds since then, for a report.
pub fn say_took(what: &str, since: Instant) {
    eprintln!("{what}: {} ms", since.elapsed().as_millis());
}
