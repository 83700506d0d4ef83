//! Just enough of two clients, and a process to kill.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use stack::{Options, PostgresServer, RedisServer, Signal, Stack};

/// How long something that should happen at once may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
/// A live Redis answers in well under a millisecond; on a busy machine this is still plenty.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const DATA_DIR: &str = "HOLD_DATA_DIR";
const REPORT: &str = "holding";

/// Waits until `state` holds; false when it does not in time.
pub(crate) fn settled(state: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !state() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

/// A temporary directory that root's servers can enter too.
pub(crate) fn passable_dir() -> tempfile::TempDir {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o711))
        .tempdir()
        .expect("a directory")
}

/// Whether a process runs; a dead one that nobody has collected does not.
pub(crate) fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Sends a signal.
pub(crate) fn signal(signal: Signal, pid: u32) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    rustix::process::kill_process(pid, signal).expect("it runs");
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("a running process");
    list.split_whitespace()
        .map(|child| child.parse().expect("a number"))
        .collect()
}

/// What Redis answers to an inline command, its lines joined and without the protocol's decoration.
pub(crate) fn ask_redis(redis: &RedisServer, command: &str) -> String {
    try_redis(redis, command).expect("an answer")
}

/// The same; `None` when it does not answer.
pub(crate) fn try_redis(redis: &RedisServer, command: &str) -> Option<String> {
    let answer = send(
        redis,
        &format!("AUTH {}\r\n{command}\r\nQUIT\r\n", redis.password()),
    )?;
    let lines = answer.lines().filter(|line| !line.starts_with(['*', '$']));
    let lines: Vec<&str> = lines.map(|line| line.trim_start_matches('+')).collect();
    // Without the answers to AUTH and QUIT.
    Some(lines[1..lines.len() - 1].join(" "))
}

/// What Redis answers to someone who does not know the password.
pub(crate) fn redis_without_password(redis: &RedisServer, command: &str) -> String {
    send(redis, &format!("{command}\r\nQUIT\r\n")).expect("an answer")
}

fn send(redis: &RedisServer, commands: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).expect("a timeout");
    stream.write_all(commands.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// What psql prints for a statement.
pub(crate) fn query(postgres: &PostgresServer, sql: &str) -> String {
    let output = postgres
        .tool("psql")
        .args([&postgres.url(), "-XAtqc", sql])
        .output()
        .expect("psql");
    assert!(
        output.status.success(),
        "{sql}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Another process with a stack of its own.
pub(crate) struct Holder {
    child: Child,
    pub(crate) redis_pid: u32,
    pub(crate) postgres_pid: u32,
    pub(crate) dir: PathBuf,
}

impl Holder {
    /// Its temporary directory is in `base`, where no other test's sweep cleans up behind it. With a `data_dir`
    /// it has none.
    pub(crate) fn start(base: &Path, data_dir: Option<&Path>) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--exact",
                "owner::hold_a_stack_until_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("TMPDIR", base)
            .envs(data_dir.map(|dir| (DATA_DIR, dir)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program runs");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let report = lines
            .map(|line| line.expect("text"))
            .find_map(|line| {
                line.split_once(REPORT)
                    .map(|(_, report)| report.trim().to_owned())
            })
            .expect("a report");
        let mut words = report.split(' ');
        let mut word = || words.next().expect("three words");
        let redis_pid = word().parse().expect("a number");
        let postgres_pid = word().parse().expect("a number");
        Self {
            child,
            redis_pid,
            postgres_pid,
            dir: PathBuf::from(word()),
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

/// The other process.
#[expect(clippy::print_stdout, reason = "the holder reports to its parent on stdout")]
pub(crate) fn hold() {
    let data_dir = std::env::var_os(DATA_DIR).map(PathBuf::from);
    let stack = Stack::start(Options {
        data_dir,
        ..Options::throwaway()
    })
    .expect("a stack");
    let (redis, postgres) = (
        stack.redis().expect("asked for"),
        stack.postgres().expect("asked for"),
    );
    println!(
        "{REPORT} {} {} {}",
        redis.pid(),
        postgres.pid(),
        stack.dir().display()
    );
    // Ends when the parent is gone without having killed us.
    std::io::stdin().read_to_end(&mut Vec::new()).expect("readable");
}
