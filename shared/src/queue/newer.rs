//! Entries of a layout that only a newer build can read. Whoever claims one moves it out of the way, as it is, and
//! whoever can read it brings it back: see docs/adr/0012.

use super::{CHUNK_ENTRIES_MAX, Claimed, GROUP, Keys, Link, QueueError, StreamId, scripts};
use crate::entry::{MalformedEntry, newest};

/// Entries moved in one step of Redis's, during which it does nothing else.
const STEP_ENTRIES_MAX: usize = CHUNK_ENTRIES_MAX;

/// Takes those of a newer layout out of `claimed`, and moves them out of the way.
pub(super) async fn leave(
    link: &mut Link,
    keys: &Keys,
    consumer: &str,
    claimed: Vec<Claimed>,
) -> Vec<Claimed> {
    let (newer, ours): (Vec<Claimed>, Vec<Claimed>) =
        claimed.into_iter().partition(|it| layout(it).is_some());
    for same in newer.chunk_by(|a, b| layout(a) == layout(b)) {
        let Some(layout) = layout(&same[0]) else { continue };
        let ids = same.iter().map(|claimed| claimed.id);
        match move_away(link, keys, consumer, layout, ids).await {
            Ok(moved) => {
                tracing::debug!(layout, moved, "left for a newer build");
                metrics::counter!("tollgate_worker_left_for_newer_total").increment(moved);
            }
            // They come again when their lease runs out.
            Err(error) => tracing::debug!(layout, "not left for a newer build: {error}"),
        }
    }
    ours
}

fn layout(claimed: &Claimed) -> Option<u32> {
    match claimed.entry {
        Err(MalformedEntry::Newer(layout)) => Some(layout),
        _ => None,
    }
}

async fn move_away(
    link: &mut Link,
    keys: &Keys,
    consumer: &str,
    layout: u32,
    ids: impl Iterator<Item = StreamId>,
) -> Result<u64, QueueError> {
    let mut call = scripts::LEAVE.prepare_invoke();
    call.key(&keys.events).key(&keys.newer).key(keys.newer_of(layout));
    call.arg(GROUP).arg(consumer).arg(layout);
    for id in ids {
        call.arg(id.in_stream());
    }
    Ok(call.invoke_async(link).await?)
}

/// Brings back what waited for a build like this one, in any of some shards. What is claimed by an older one that still
/// runs is moved away again, and brought back with the next call.
pub(super) async fn bring_back(link: &mut Link, shards: &[Keys]) -> Result<(), QueueError> {
    let mut pipe = redis::pipe();
    for keys in shards {
        pipe.cmd("SMEMBERS").arg(&keys.newer);
    }
    let layouts: Vec<Vec<u32>> = pipe.query_async(link).await?;
    for (keys, layouts) in shards.iter().zip(layouts) {
        for layout in layouts {
            bring_back_of(link, keys, layout).await?;
        }
    }
    Ok(())
}

async fn bring_back_of(link: &mut Link, keys: &Keys, layout: u32) -> Result<(), QueueError> {
    let mut is_more = layout <= newest();
    while is_more {
        let mut call = scripts::BRING_BACK.prepare_invoke();
        call.key(&keys.events).key(&keys.newer).key(keys.newer_of(layout));
        call.arg(layout).arg(STEP_ENTRIES_MAX);
        let moved: usize = call.invoke_async(link).await?;
        tracing::info!(layout, moved, "entries are back that waited for this build");
        is_more = moved == STEP_ENTRIES_MAX;
    }
    Ok(())
}

/// The layouts of which entries wait for a newer build.
pub(super) async fn layouts(link: &mut Link, keys: &Keys) -> Result<Vec<u32>, QueueError> {
    Ok(redis::cmd("SMEMBERS").arg(&keys.newer).query_async(link).await?)
}

/// How many entries of these layouts wait for a newer build.
pub(super) async fn count(link: &mut Link, keys: &Keys, layouts: &[u32]) -> Result<u64, QueueError> {
    let mut pipe = redis::pipe();
    for layout in layouts {
        pipe.cmd("XLEN").arg(keys.newer_of(*layout));
    }
    let counts: Vec<u64> = pipe.query_async(link).await?;
    Ok(counts.iter().sum())
}
