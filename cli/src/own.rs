//! This program again, as processes of their own: what `dev`, `bench` and `chaos` start and watch.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// This program, silent but for what it logs, which is added to `log`.
pub(crate) fn command(log: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    let log = File::options().create(true).append(true).open(log)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Ok(command)
}

/// A port of this machine nobody listens on right now.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], stack::free_port()?)))
}

/// Memory of a process, KiB, by the kernel's word for it: `VmRSS` for now, `VmHWM` for the most there was.
pub(crate) fn memory_kib(pid: u32, word: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = |line: &str| {
        line.strip_prefix(word)?
            .strip_prefix(':')?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse()
            .ok()
    };
    status.lines().find_map(value)
}
