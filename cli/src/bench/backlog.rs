//! A long outage of the workers: how large Redis gets, whether it still takes events as fast, and how a worker gets
//! it all done. One round; it takes minutes.

use std::time::Duration;

use super::load::{self, Mix};
use super::report::Unit::{Bytes, PerSecond};
use super::rig::Level;
use super::{Bench, Outcome, stream, worker};

/// The part's name.
pub(super) const PART: &str = "backlog";
/// Events made and added at a time.
const SLICE: usize = 20_000;

/// Measures once.
pub(super) fn run(bench: &mut Bench<'_>, events: usize) -> Outcome<()> {
    let rig = bench.rig;
    bench.say_text(&format!("{PART}: adding {events} events"));
    let database = rig.fresh_database()?;
    let mut raw = rig.clear_redis(Level::Everysec)?;
    let empty = memory(&mut raw)?;
    let (mut added, mut took, mut last) = (0, Duration::ZERO, 0.0);
    while added < events {
        let count = SLICE.min(events - added);
        let bodies = Mix::Simple.bodies(bench.seed + (added / SLICE) as u64, count);
        let entries = load::entries(&bodies, &rig.secret)?;
        let slice = stream::fill(&mut raw, &entries, stream::WINDOW / 2, stream::Into::Shards)?;
        last = count as f64 / slice.as_secs_f64();
        if added == 0 {
            bench
                .report
                .add(PART, "raw XADD into an empty stream", PerSecond, last);
        }
        took += slice;
        added += count;
    }
    let figure = format!("raw XADD behind {added} events");
    bench.report.add(PART, &figure, PerSecond, last);
    bench.report.add(
        PART,
        "raw XADD, all of them",
        PerSecond,
        added as f64 / took.as_secs_f64(),
    );
    let full = memory(&mut raw)?;
    bench.report.add(
        PART,
        "memory of Redis, for each event",
        Bytes,
        (full - empty) / added as f64,
    );
    bench.say_text(&format!("{PART}: a worker empties it"));
    let drained = worker::drain_filled(
        rig,
        &database,
        added - worker::WARM_UP.min(added / 10),
        worker::Tables::Young,
    )?;
    bench.report.add_with_cpu(
        PART,
        "drained by one worker",
        PerSecond,
        drained.rate,
        drained.cpu,
    );
    if let Some(bytes) = drained.memory_peak {
        bench
            .report
            .add(PART, "largest memory of the worker", Bytes, bytes);
    }
    Ok(())
}

fn memory(raw: &mut super::resp::Raw) -> Outcome<f64> {
    Ok(raw.info("memory", "used_memory")?.parse()?)
}
