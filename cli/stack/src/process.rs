//! Child processes that do not outlive this one.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How often a child is asked whether it is ready or gone.
pub(crate) const POLL: Duration = Duration::from_millis(3);
/// How much of a log is shown in an error.
const TAIL_LINES: usize = 20;

type Job = (Command, Sender<io::Result<Child>>);

/// A running child, in a process group of its own so that Ctrl-C in a terminal reaches only us: we decide in
/// which order things stop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Pid,
}

impl Process {
    /// Starts `command`. When this process dies, however it dies, the child gets `death`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(mut command: Command, death: Signal) -> io::Result<Self> {
        die_with_parent(&mut command, death);
        Self::spawn_surviving(command)
    }

    /// Starts `command`, which outlives this process and has to end by itself.
    pub(crate) fn spawn_surviving(mut command: Command) -> io::Result<Self> {
        command.process_group(0);
        let child = spawn_from_parked_thread(command)?;
        let pid = Pid::from_child(&child);
        Ok(Self { child, pid })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once it has.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends `signal`, unless the child has exited and its number may be someone else's.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.exited()?.is_some() {
            return Ok(());
        }
        Ok(rustix::process::kill_process(self.pid, signal)?)
    }

    /// Waits for the end; `None` when it did not come within `limit`.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.exited()?;
            if status.is_some() || Instant::now() >= deadline {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
    }

    /// Ends the child and, with its group, what it started.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        if self.exited()?.is_none() {
            rustix::process::kill_process_group(self.pid, Signal::KILL)?;
            self.child.wait()?;
        }
        Ok(())
    }
}

/// Runs `command` to its end and returns what it wrote, both streams together.
///
/// A command that takes longer than `limit` is killed and reported as `TimedOut`.
pub(crate) fn run(command: Command, limit: Duration) -> io::Result<(ExitStatus, String)> {
    run_with_input(command, "", limit)
}

/// The same for a command that reads `input`.
pub(crate) fn run_with_input(
    mut command: Command,
    input: &str,
    limit: Duration,
) -> io::Result<(ExitStatus, String)> {
    // Files, not pipes: nobody has to feed or drain them while the command runs.
    let mut output = tempfile::tempfile()?;
    let mut stdin = tempfile::tempfile()?;
    stdin.write_all(input.as_bytes())?;
    stdin.seek(SeekFrom::Start(0))?;
    command
        .stdin(stdin)
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?);
    let mut process = Process::spawn(command, Signal::KILL)?;
    let Some(status) = process.wait(limit)? else {
        process.kill()?;
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("still running after {limit:?}"),
        ));
    };
    output.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes)?;
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

/// The last lines of a text.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Spawns from a thread that lives as long as the process.
///
/// The kernel delivers the parent-death signal when the *thread* that forked ends, so a child spawned from a
/// test's thread or from a pool's worker would die with that thread.
fn spawn_from_parked_thread(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts processes is gone");
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        // Should the thread not start, the queue is dropped with it and every send says so.
        thread::Builder::new()
            .name("stack-spawner".to_owned())
            .spawn(move || {
                for (mut command, answer) in queue {
                    // Whoever asked waits for the answer, so there is always someone to take it.
                    answer.send(command.spawn()).ok();
                }
            })
            .ok();
        jobs
    });
    let (answer, child) = mpsc::channel();
    spawner.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "no safe API runs code between fork and exec, where the death signal is set"
)]
fn die_with_parent(command: &mut Command, death: Signal) {
    let parent = rustix::process::getpid();
    let orphaned = move || -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(death))?;
        // The parent may have died before the line above; then no signal will ever come.
        if rustix::process::getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    };
    // SAFETY: between fork and exec only async-signal-safe things may happen. The closure makes two system calls
    // (prctl, getppid) without libc's locks, allocates nothing, and captures two integers by value.
    unsafe {
        command.pre_exec(orphaned);
    }
}

/// Other systems have no parent-death signal. There the guard process of the directory ends the servers: see
/// `dir`.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command, _death: Signal) {}
