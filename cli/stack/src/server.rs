//! What Redis and Postgres have in common: being started, watched, paused and ended.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::error::Attempt;
use crate::process::{POLL, Process, last_lines};
use crate::{Software, StackError, leftovers, port};

/// What both servers write when someone listens on their port already.
const PORT_TAKEN: &str = "Address already in use";
/// Read from the end of a log.
const TAIL_BYTES: u64 = 8 * 1024;
/// 128 bits: nobody guesses it, and it needs no escaping in a URL.
const PASSWORD_BYTES: usize = 16;

/// How a server is started and how long it may take.
pub(crate) struct Launch {
    pub(crate) software: Software,
    pub(crate) log: PathBuf,
    /// Sent by the kernel when we die.
    pub(crate) death: Signal,
    pub(crate) limit: Duration,
}

/// A server that was started, and may have been killed since.
#[derive(Debug)]
pub(crate) struct Server {
    software: Software,
    process: Process,
}

impl Launch {
    /// Starts `command` and waits until `ready`. `None`: its port was taken.
    pub(crate) fn start(
        &self,
        mut command: Command,
        mut ready: impl FnMut(u32) -> bool,
    ) -> Result<Option<Server>, StackError> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .to("open", &self.log)?;
        let begin = log.metadata().to("read", &self.log)?.len();
        command.stdin(std::process::Stdio::null());
        command.stdout(log.try_clone().to("open", &self.log)?).stderr(log);
        let program = PathBuf::from(command.get_program());
        let mut process = Process::spawn(command, self.death).to("run", &program)?;
        let deadline = Instant::now() + self.limit;
        loop {
            if let Some(status) = process.exited().to("watch", &program)? {
                let written = read_from(&self.log, begin);
                if written.contains(PORT_TAKEN) {
                    return Ok(None);
                }
                return Err(self.failed(format!("it exited ({status})"), &written));
            }
            if ready(process.id()) {
                return Ok(Some(Server {
                    software: self.software,
                    process,
                }));
            }
            if Instant::now() >= deadline {
                process.kill().to("end", &program)?;
                let reason = format!("it did not answer within {:?}", self.limit);
                return Err(self.failed(reason, &read_from(&self.log, begin)));
            }
            thread::sleep(POLL);
        }
    }

    /// Tries one free port after another until nobody was quicker.
    pub(crate) fn start_on_free_port(
        &self,
        mut start: impl FnMut(u16) -> Result<Option<Server>, StackError>,
    ) -> Result<(u16, Server), StackError> {
        for _ in 0..port::PORT_ATTEMPTS {
            let port = port::free().to("find a free port on", Path::new("127.0.0.1"))?;
            if let Some(server) = start(port)? {
                return Ok((port, server));
            }
        }
        Err(self.ports_taken(port::PORT_ATTEMPTS))
    }

    pub(crate) fn ports_taken(&self, attempts: u32) -> StackError {
        StackError::PortsTaken {
            software: self.software,
            attempts,
        }
    }

    fn failed(&self, reason: String, written: &str) -> StackError {
        StackError::Start {
            software: self.software,
            reason,
            log: self.log.clone(),
            tail: last_lines(written),
        }
    }
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.process.exited(), Ok(None))
    }

    /// Ends the server and its children at once, as a power cut would, and returns when all are gone.
    pub(crate) fn kill(&mut self) -> Result<(), StackError> {
        let children = self.children();
        self.process.kill().to("kill", self.name())?;
        leftovers::kill_all(&children);
        Ok(())
    }

    /// Asks the server to stop, and kills it when it has not within `limit`.
    pub(crate) fn stop(&mut self, signal: Signal, limit: Duration) -> Result<(), StackError> {
        self.process.signal(signal).to("stop", self.name())?;
        self.resume()?;
        if self.process.wait(limit).to("wait for", self.name())?.is_some() {
            return Ok(());
        }
        self.kill()?;
        Err(StackError::Stop {
            software: self.software,
            pid: self.pid(),
            limit,
        })
    }

    /// Stops the clock of the server and its children: they keep their connections and say nothing.
    pub(crate) fn pause(&mut self) -> Result<(), StackError> {
        self.process.signal(Signal::STOP).to("pause", self.name())?;
        self.signal_children(Signal::STOP);
        Ok(())
    }

    pub(crate) fn resume(&mut self) -> Result<(), StackError> {
        self.signal_children(Signal::CONT);
        self.process.signal(Signal::CONT).to("resume", self.name())
    }

    fn signal_children(&mut self, signal: Signal) {
        for child in self.children() {
            // One that has gone in the meantime needs no signal.
            rustix::process::kill_process(child, signal).ok();
        }
    }

    fn children(&mut self) -> Vec<Pid> {
        if self.is_running() {
            leftovers::children_of(self.process.pid())
        } else {
            Vec::new()
        }
    }

    fn name(&self) -> &'static Path {
        Path::new(self.software.slug())
    }
}

/// Letters and digits that nobody else on this machine knows. 127.0.0.1 is open to every user of the machine, and
/// the owner of a Postgres may run programs through it.
#[derive(Clone)]
pub(crate) struct Password(String);

impl Password {
    pub(crate) fn generate() -> Result<Self, StackError> {
        let source = Path::new("/dev/urandom");
        let mut bytes = [0; PASSWORD_BYTES];
        File::open(source)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .to("read", source)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    pub(crate) fn read(path: &Path) -> Result<Self, StackError> {
        let text = std::fs::read_to_string(path).to("read", path)?;
        Ok(Self(text.trim().to_owned()))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write_secret(path: &Path, content: &str) -> Result<(), StackError> {
    let open = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path);
    open.and_then(|mut file| file.write_all(content.as_bytes()))
        .to("write", path)
}

/// What was written to a log since it had `begin` bytes, or its last part.
fn read_from(log: &Path, begin: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(begin.max(length.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(unreadable: {error})"))
}
