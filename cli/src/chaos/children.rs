//! ingest and the workers as processes that are killed, stopped, replaced and watched: what they log, how much memory
//! they have, and whether one ends that nobody ended.

use std::collections::BTreeMap;
#[cfg(feature = "planted-bugs")]
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde::Serialize;
use shared::clock::Clock;
use stack::{Process, Signal};

use crate::own;

/// Longest a role may take to be ready. A debug build on a busy machine needs a few seconds.
pub(super) const READY_LIMIT: Duration = Duration::from_secs(60);

/// A role that is kept running.
pub(super) struct Child {
    pub name: String,
    role: &'static str,
    env: BTreeMap<&'static str, String>,
    admin: String,
    log: PathBuf,
    process: Option<Process>,
    seen: Seen,
    /// When what was measured last was measured, and how many lines there were.
    last: (Instant, usize),
}

/// What a role was like in one second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Unix milliseconds.
    pub at_ms: i64,
    pub log_lines: usize,
    pub memory_kib: u64,
}

/// What a role was like, all its processes together.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Seen {
    pub name: String,
    /// Processes there have been.
    pub started: u32,
    /// What was measured, each second.
    #[serde(skip)]
    pub moments: Vec<Moment>,
    /// How those ended that nobody ended.
    pub ended_by_itself: Vec<String>,
    pub log_lines: usize,
    /// Lines in the busiest second.
    pub log_lines_per_second_max: usize,
    /// Of a process that had just begun.
    pub memory_first_kib: u64,
    pub memory_max_kib: u64,
}

impl Child {
    /// Prepares one; nothing runs yet.
    pub(super) fn new(
        name: &str,
        role: &'static str,
        env: BTreeMap<&'static str, String>,
        admin: String,
        log: PathBuf,
    ) -> Self {
        let seen = Seen {
            name: name.to_owned(),
            ..Seen::default()
        };
        let last = (Instant::now(), 0);
        Self {
            name: name.to_owned(),
            role,
            env,
            admin,
            log,
            process: None,
            seen,
            last,
        }
    }

    pub(super) fn start(&mut self) -> std::io::Result<()> {
        let mut command = own::command(&self.log)?;
        command.arg(self.role).env_clear().envs(&self.env);
        self.process = Some(Process::spawn(command, Signal::KILL)?);
        self.seen.started += 1;
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    pub(super) fn signal(&mut self, signal: Signal) -> std::io::Result<()> {
        self.process
            .as_mut()
            .map_or(Ok(()), |process| process.signal(signal))
    }

    /// Changes a setting for the next process; nothing is none.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn set(&mut self, name: &'static str, value: Option<String>) {
        match value {
            Some(value) => self.env.insert(name, value),
            None => self.env.remove(name),
        };
    }

    /// Whether a setting is there.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn has(&self, name: &str) -> bool {
        self.env.contains_key(name)
    }

    /// kill -9, at once.
    pub(super) fn kill(&mut self) -> std::io::Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// SIGTERM. The process is the caller's from now on, to be waited for.
    pub(super) fn tell_to_end(&mut self) -> std::io::Result<Option<Process>> {
        let Some(mut process) = self.process.take() else {
            return Ok(None);
        };
        process.signal(Signal::TERM)?;
        Ok(Some(process))
    }

    /// Keeps that one ended as it should not.
    pub(super) fn note_bad_end(&mut self, how: String) {
        self.seen.ended_by_itself.push(how);
    }

    /// Where it says whether it is ready, and what it counts.
    pub(super) fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Notices an end that nobody made, and starts it again as any supervisor would.
    pub(super) fn look(&mut self) -> std::io::Result<()> {
        let ended = match &mut self.process {
            Some(process) => process.exited()?,
            None => None,
        };
        if let Some(status) = ended {
            if !is_planted(status) {
                self.seen.ended_by_itself.push(status.to_string());
            }
            self.start()?;
        }
        self.measure();
        Ok(())
    }

    fn measure(&mut self) {
        let lines =
            std::fs::read(&self.log).map_or(0, |log| log.iter().filter(|byte| **byte == b'\n').count());
        let memory_kib = own::memory_kib(self.pid(), "VmRSS");
        let (since, before) = self.last;
        if since.elapsed() >= Duration::from_secs(1) {
            let per_second =
                (lines.saturating_sub(before) as f64 / since.elapsed().as_secs_f64()).ceil() as usize;
            self.seen.log_lines_per_second_max = self.seen.log_lines_per_second_max.max(per_second);
            self.last = (Instant::now(), lines);
            self.seen.moments.push(Moment {
                at_ms: Clock::system().unix_ms(),
                log_lines: per_second,
                memory_kib: memory_kib.unwrap_or(0),
            });
        }
        self.seen.log_lines = lines;
        let Some(kib) = memory_kib else {
            return;
        };
        if self.seen.memory_first_kib == 0 {
            self.seen.memory_first_kib = kib;
        }
        self.seen.memory_max_kib = self.seen.memory_max_kib.max(kib);
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.clone()
    }
}

/// Whether a process ended because of an event that was sent to do just that.
fn is_planted(status: ExitStatus) -> bool {
    #[cfg(feature = "planted-bugs")]
    return status.signal() == Some(Signal::ABORT.as_raw())
        || status.code() == Some(shared::lifecycle::EXIT_BROKEN);
    #[cfg(not(feature = "planted-bugs"))]
    {
        let _ = status;
        false
    }
}
