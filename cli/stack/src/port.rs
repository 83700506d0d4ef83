//! A port on 127.0.0.1 that nobody listens on.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// How often a server is started on another port because someone took the first one in the meantime.
pub(crate) const PORT_ATTEMPTS: u32 = 8;

const LOWEST: u16 = 15_000;
/// Used where the kernel does not say where its range of ephemeral ports begins.
const USUAL_EPHEMERAL_START: u16 = 32_768;
const EPHEMERAL_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const PROBES: u32 = 64;

/// Picks a free port.
///
/// It lies below the ephemeral range, for two reasons. A server that is killed and restarted wants its port back,
/// and there nobody's outgoing connection can have been given it. And a client that keeps reconnecting to a dead
/// server inside that range sooner or later is given the server's port as its own and connects to itself.
///
/// # Errors
/// When none can be found.
pub fn free() -> io::Result<u16> {
    let span = u64::from(ephemeral_start().saturating_sub(LOWEST));
    for attempt in 0..PROBES {
        if span == 0 {
            break;
        }
        // RandomState is seeded per process and per instance: enough to keep two stacks apart.
        let offset = RandomState::new().hash_one(attempt) % span;
        let port = LOWEST + u16::try_from(offset).unwrap_or_default();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn ephemeral_start() -> u16 {
    fs::read_to_string(EPHEMERAL_RANGE)
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(USUAL_EPHEMERAL_START)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_free_and_not_ephemeral() {
        let port = free().expect("a free port");
        assert!(port >= LOWEST && port < ephemeral_start());
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("still free");
    }
}
