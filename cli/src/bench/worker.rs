//! A worker alone on a full stream, against raw Postgres.

use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::queue::CHUNK_ENTRIES_MAX;
use store::Store;
use store::yardstick::Yardstick;

use super::cpu::{Cpu, Meter};
use super::days::prelude;
use super::load::{self, Entry, Mix};
use super::report::Unit::PerSecond;
use super::rig::{Level, Rig};
use super::roles::Role;
use super::{Bench, Outcome, stream};

/// The part's name.
pub(super) const PART: &str = "worker";
/// Connections that write raw batches: as many as a worker has chunks at a time.
const CONNECTIONS: usize = 4;
/// How often the stream is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Longest it may take to empty the stream.
const LIMIT: Duration = Duration::from_secs(3_600);
/// Events that are done before the clock starts: connections, prepared statements, cold tables.
pub(super) const WARM_UP: usize = 1_024;

/// Measures all rounds.
pub(super) fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    for (mix, name, count) in [
        (Mix::Simple, "simple projections", bench.scale.simple_events),
        (Mix::Money, "full money effects", bench.scale.money_events),
    ] {
        let filling = Filling::new(bench.rig, &mix.bodies(bench.seed, count))?;
        for round in 0..bench.scale.runs {
            bench.say(&format!("{PART}, {name}"), round);
            bench.rig.drop_databases()?;
            for level in Level::BOTH {
                let figure = format!("{name}: tollgate, {}", level.name());
                if !bench.wants(&figure) {
                    continue;
                }
                let database = bench.rig.fresh_database()?;
                let drained = drain(bench.rig, &database, &filling, level, Tables::Young)?;
                bench
                    .report
                    .add_with_cpu(PART, &figure, PerSecond, drained.rate, drained.cpu);
                let raw = format!("{name}: raw Postgres batches");
                if level == Level::Everysec && bench.wants(&raw) {
                    raw_batches(bench, &database, &raw, filling.entries.len())?;
                }
            }
        }
    }
    Ok(())
}

/// How a worker emptied the stream.
pub(super) struct Drained {
    /// Events a second, from after the warm-up to the last effect.
    pub rate: f64,
    pub cpu: Cpu,
    /// The worker's, bytes.
    pub memory_peak: Option<f64>,
    /// Bytes Postgres wrote ahead for each event.
    pub wal_bytes: f64,
    /// Whole pages among them.
    pub wal_pages: f64,
}

/// What a stream is filled with.
pub(super) struct Filling {
    entries: Vec<Entry>,
    /// How many of them are done before the clock starts.
    warm_up: usize,
}

impl Filling {
    pub(super) fn new(rig: &Rig, bodies: &[Bytes]) -> Outcome<Self> {
        let mut all = prelude(bodies);
        let warm_up = all.len() + WARM_UP.min(bodies.len() / 10);
        all.extend_from_slice(bodies);
        let entries = load::entries(&all, &rig.secret)?;
        Ok(Self { entries, warm_up })
    }

    /// With other events before the clock starts.
    pub(super) fn after(rig: &Rig, before: &[Bytes], bodies: &[Bytes]) -> Outcome<Self> {
        let mut all = [prelude(before), before.to_vec(), prelude(bodies)].concat();
        let warm_up = all.len();
        all.extend_from_slice(bodies);
        let entries = load::entries(&all, &rig.secret)?;
        Ok(Self { entries, warm_up })
    }
}

/// Fills the stream, lets one worker empty it, and waits until all effects are there.
pub(super) fn drain(
    rig: &Rig,
    database: &str,
    filling: &Filling,
    level: Level,
    tables: Tables,
) -> Outcome<Drained> {
    let mut raw = rig.clear_redis(Level::Everysec)?;
    stream::fill(&mut raw, &filling.entries, stream::WINDOW, stream::Into::Shards)?;
    stream::set_level(&mut raw, level)?;
    drain_filled(rig, database, filling.entries.len() - filling.warm_up, tables)
}

/// What Postgres knows of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tables {
    /// That they are empty, which they are no longer after the warm-up.
    Young,
    /// How large they are. Looking again would take longer than emptying the stream.
    Grown,
}

/// The same with a stream that is full already. The clock starts when no more than `measured` entries are left.
pub(super) fn drain_filled(rig: &Rig, database: &str, measured: usize, tables: Tables) -> Outcome<Drained> {
    let mut raw = rig.raw()?;
    let store = rig.store(database)?;
    rig.runtime.block_on(store.checkpoint())?;
    let deadline = Instant::now() + LIMIT;
    let (mut role, _) = Role::worker(rig, database)?;
    let mut left = stream::length(&mut raw)?;
    while left > measured as u64 {
        role.look(deadline, "it takes no events")?;
        left = stream::length(&mut raw)?;
    }
    // Plans made for empty tables would be measured otherwise, which nobody has for longer than a minute.
    if tables == Tables::Young {
        rig.runtime.block_on(store.analyze())?;
    }
    left = stream::length(&mut raw)?;
    let before = rig.runtime.block_on(store.written_ahead())?;
    let meter = Meter::start(&rig.watched(&[role.watched()]));
    let (began, events) = (Instant::now(), left as f64);
    while stream::length(&mut raw)? > 0 {
        std::thread::sleep(LOOK_EVERY);
        if Instant::now() > deadline {
            role.look(deadline, "it does not get done")?;
        }
    }
    wait_for_effects(rig, &store, deadline)?;
    let (took, cpu, memory_peak) = (began.elapsed(), meter.per_1000(events), role.memory_peak());
    // Its sessions tell what they wrote when they end.
    role.stop()?;
    let after = rig.runtime.block_on(store.written_ahead())?;
    let drained = Drained {
        rate: events / took.as_secs_f64(),
        cpu,
        memory_peak,
        wal_bytes: (after.bytes - before.bytes) as f64 / events,
        wal_pages: (after.full_pages - before.full_pages) as f64 / events,
    };
    let parked = rig.runtime.block_on(store.parked_count())?;
    if parked > 0 {
        return Err(format!("{parked} events were parked: these are no events to measure with").into());
    }
    rig.runtime.block_on(store.close());
    Ok(drained)
}

/// Waits until nothing is left to be reckoned.
pub(super) fn wait_for_effects(rig: &Rig, store: &Store, deadline: Instant) -> Outcome<()> {
    while rig.runtime.block_on(store.waiting())?.marks > 0 {
        if Instant::now() > deadline {
            return Err("the worker does not finish reckoning".into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// The rows the worker has left, written once more by nothing but inserts.
fn raw_batches(bench: &mut Bench<'_>, database: &str, figure: &str, events: usize) -> Outcome<()> {
    let rig = bench.rig;
    let store = rig.store(database)?;
    let (took, cpu) = rig.runtime.block_on(async {
        let batches = events.div_ceil(CHUNK_ENTRIES_MAX);
        let yardstick = Yardstick::learn(&store, batches).await?;
        store.checkpoint().await?;
        let meter = Meter::start(&rig.watched(&[]));
        let took = yardstick.replay(&store, CONNECTIONS).await?;
        Outcome::Ok((took.as_secs_f64(), meter.per_1000(events as f64)))
    })?;
    rig.runtime.block_on(store.close());
    bench
        .report
        .add_with_cpu(PART, figure, PerSecond, events as f64 / took, cpu);
    Ok(())
}
