//! A small disk for one server, for those who want to see it full: a file system in memory, mounted where the server
//! keeps its data.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::StackError;
use crate::error::Attempt;

/// Tries to make it as small as what is on it.
const TRIES: u32 = 50;

/// A file system of its own. Dropping it unmounts it, with everything on it.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
    bytes: u64,
}

/// Why no server can have a disk of its own here; `None` when one can.
#[must_use]
pub fn no_disk() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can mount a file system".to_owned());
    }
    // In a namespace that ends with the command, so that nothing is left of the attempt.
    let mut attempt = Command::new("unshare");
    attempt.args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    match run(&mut attempt) {
        Ok(()) => None,
        Err(error) => Some(format!("no file system can be mounted here: {error}")),
    }
}

impl Disk {
    /// Mounts one of so many bytes at `dir`.
    pub(crate) fn mount(dir: &Path, bytes: u64) -> Result<Self, StackError> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]);
        run(mount.arg(dir)).to("mount a file system at", dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            bytes,
        })
    }

    /// Leaves no room beside what is there, or gives back what there was.
    pub(crate) fn fill(&self, is_full: bool) -> Result<(), StackError> {
        let mut tries = 0;
        loop {
            // Who uses it goes on writing while it is being filled.
            let bytes = if is_full { self.used()? } else { self.bytes };
            let mut mount = Command::new("mount");
            mount.args(["-o", &format!("remount,size={bytes}")]);
            tries += 1;
            match run(mount.arg(&self.dir)) {
                Err(_) if is_full && tries < TRIES => {}
                result => return result.to("fill", &self.dir),
            }
        }
    }

    fn used(&self) -> Result<u64, StackError> {
        let stat = rustix::fs::statvfs(&self.dir).map_err(io::Error::from);
        let stat = stat.to("look at", &self.dir)?;
        Ok((stat.f_blocks - stat.f_bfree) * stat.f_frsize)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there closes it soon.
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(&self.dir)) {
            tracing::warn!(%error, "unmounting {}", self.dir.display());
        }
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}
