//! The streams, raw: filling them, and looking at them.

use std::time::{Duration, Instant};

use shared::queue::shards::{SHARDS_DEFAULT, said};
use shared::queue::{GROUP, Keys};

use super::Outcome;
use super::load::Entry;
use super::resp::Raw;
use super::rig::{Level, PREFIX};

/// Commands sent before their answers are read.
pub(super) const WINDOW: usize = 64;

/// Where entries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Into {
    /// All into the first: what can be had without any rule.
    One,
    /// Each into its own, as ingest does.
    Shards,
}

/// The key of the first, or only one.
pub(super) fn key() -> String {
    keys()[0].clone()
}

/// All keys, by shard.
fn keys() -> Vec<String> {
    (0..SHARDS_DEFAULT)
        .map(|shard| Keys::new(PREFIX, shard).events)
        .collect()
}

/// From now on Redis syncs when `level` says.
pub(super) fn set_level(raw: &mut Raw, level: Level) -> Outcome<()> {
    raw.call(&[b"CONFIG", b"SET", b"appendfsync", level.name().as_bytes()])?;
    Ok(())
}

/// Adds entries, `at_once` and as many under way. Returns how long it took.
pub(super) fn fill(raw: &mut Raw, entries: &[Entry], at_once: usize, into: Into) -> Outcome<Duration> {
    let keys = keys();
    if into == Into::Shards {
        say(raw)?;
    }
    let began = Instant::now();
    let mut awaited = 0;
    for part in entries.chunks(at_once) {
        for entry in part {
            let shard = if into == Into::One { 0 } else { entry.shard };
            let stream = &keys[usize::from(shard)];
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

/// Tells workers which shards there are, as ingest does.
fn say(raw: &mut Raw) -> Outcome<()> {
    let (key, shards) = (said(PREFIX), (0..SHARDS_DEFAULT).map(|shard| shard.to_string()));
    for shard in shards {
        raw.call(&[b"SADD", key.as_bytes(), shard.as_bytes()])?;
    }
    Ok(())
}

/// Makes the group that workers read as, in the first.
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

/// Entries in all of them: waiting and in flight.
pub(super) fn length(raw: &mut Raw) -> Outcome<u64> {
    let keys = keys();
    for key in &keys {
        raw.push(&[b"XLEN", key.as_bytes()]);
    }
    raw.flush()?;
    let mut length = 0;
    for _ in &keys {
        length += u64::try_from(raw.reply()?.int()).unwrap_or(0);
    }
    Ok(length)
}
