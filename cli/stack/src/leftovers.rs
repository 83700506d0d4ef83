//! Servers that a dead owner left in its directory: those that hang or still shut down, and those of systems
//! without a parent-death signal.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::process::POLL;

/// How long a server may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Where Postgres writes its process number, below a home.
pub(crate) const POSTMASTER_PID: &str = "postgres/data/postmaster.pid";
/// Where Redis writes its process number, below a home.
pub(crate) const REDIS_PID: &str = "redis/redis.pid";

/// Ends the servers that run in `home`. Only call this while holding its lock.
pub(crate) fn end(home: &Path) {
    for (file, stop) in [(POSTMASTER_PID, Signal::INT), (REDIS_PID, Signal::TERM)] {
        let file = home.join(file);
        let Some(pid) = first_line(&file).and_then(|line| Pid::from_raw(line.parse().ok()?)) else {
            continue;
        };
        if !alive(pid) {
            continue;
        }
        if runs_in(pid, home) {
            tracing::debug!(
                pid = pid.as_raw_nonzero().get(),
                "ending a server whose owner is gone"
            );
            stop_or_kill(pid, stop);
        } else {
            // After a reboot the number belongs to someone else, and Postgres would take them for itself.
            fs::remove_file(&file).ok();
        }
    }
}

/// The children of a process, as far as the kernel tells.
pub(crate) fn children_of(pid: Pid) -> Vec<Pid> {
    let list = fs::read_to_string(proc_file(pid, &format!("task/{}/children", pid.as_raw_nonzero())));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .filter_map(|child| Pid::from_raw(child.parse().ok()?))
        .collect()
}

/// Kills what is left of `pids` and waits until none of them holds memory or files any more.
pub(crate) fn kill_all(pids: &[Pid]) {
    for &pid in pids {
        // It may have gone by itself.
        rustix::process::kill_process(pid, Signal::KILL).ok();
    }
    let deadline = Instant::now() + GRACE;
    while pids.iter().any(|&pid| alive(pid)) && Instant::now() < deadline {
        thread::sleep(POLL);
    }
}

fn stop_or_kill(pid: Pid, stop: Signal) {
    // Sending may fail: it may have gone by itself. What was paused has to run to be able to stop.
    rustix::process::kill_process(pid, stop).ok();
    for &paused in children_of(pid).iter().chain([&pid]) {
        rustix::process::kill_process(paused, Signal::CONT).ok();
    }
    let deadline = Instant::now() + GRACE;
    while alive(pid) {
        if Instant::now() >= deadline {
            kill_all(&[pid]);
            return;
        }
        thread::sleep(POLL);
    }
}

/// Whether the process runs. One that is dead and only waits to be collected does not.
fn alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(proc_file(pid, "stat"));
    match stat {
        // "pid (name) state ...", and the name may contain anything.
        Ok(stat) => stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])),
        Err(_) if cfg!(target_os = "linux") => false,
        Err(_) => rustix::process::test_kill_process(pid).is_ok(),
    }
}

/// Whether the command line of the process names `home`.
fn runs_in(pid: Pid, home: &Path) -> bool {
    let command_line = fs::read(proc_file(pid, "cmdline")).or_else(|_| {
        let pid = pid.as_raw_nonzero().to_string();
        std::process::Command::new("ps")
            .args(["-o", "command=", "-p", &pid])
            .output()
            .map(|output| output.stdout)
    });
    command_line.is_ok_and(|line| String::from_utf8_lossy(&line).contains(&*home.to_string_lossy()))
}

fn proc_file(pid: Pid, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{name}", pid.as_raw_nonzero()))
}

fn first_line(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.lines().next()?.trim().to_owned())
}
