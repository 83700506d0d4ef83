//! The stream, raw: filling it, and looking at it.

use std::time::{Duration, Instant};

use shared::queue::{GROUP, Keys};

use super::Outcome;
use super::load::Entry;
use super::resp::Raw;
use super::rig::{Level, PREFIX};

/// Commands sent before their answers are read.
pub(super) const WINDOW: usize = 64;

/// Its key.
pub(super) fn key() -> String {
    Keys::new(PREFIX, 0).events
}

/// From now on Redis syncs when `level` says.
pub(super) fn set_level(raw: &mut Raw, level: Level) -> Outcome<()> {
    raw.call(&[b"CONFIG", b"SET", b"appendfsync", level.name().as_bytes()])?;
    Ok(())
}

/// Adds entries to the stream, `at_once` and as many under way. Returns how long it took.
pub(super) fn fill(raw: &mut Raw, entries: &[Entry], at_once: usize) -> Outcome<Duration> {
    let stream = key();
    let began = Instant::now();
    let mut awaited = 0;
    for part in entries.chunks(at_once) {
        for entry in part {
            raw.push(&[
                b"XADD",
                stream.as_bytes(),
                b"*",
                b"v",
                b"1",
                b"meta",
                &entry.meta,
                b"body",
                &entry.body,
            ]);
        }
        raw.flush()?;
        for _ in 0..awaited {
            raw.reply()?;
        }
        awaited = part.len();
    }
    for _ in 0..awaited {
        raw.reply()?;
    }
    Ok(began.elapsed())
}

/// Makes the group that workers read as.
pub(super) fn make_group(raw: &mut Raw) -> Outcome<()> {
    let stream = key();
    raw.call(&[
        b"XGROUP",
        b"CREATE",
        stream.as_bytes(),
        GROUP.as_bytes(),
        b"0",
        b"MKSTREAM",
    ])?;
    Ok(())
}

/// Entries in the stream: waiting and in flight.
pub(super) fn length(raw: &mut Raw) -> Outcome<u64> {
    let reply = raw.call(&[b"XLEN", key().as_bytes()])?;
    Ok(u64::try_from(reply.int()).unwrap_or(0))
}
