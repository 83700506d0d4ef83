//! Ingest, saturated and at fixed rates, against servers that do less and against raw XADD.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::baseline::Work;
use super::cpu::Meter;
use super::generator::{self, Shot};
use super::load::{self, Mix};
use super::report::Unit::{Ms, PerSecond};
use super::rig::{Level, Rig};
use super::roles::Role;
use super::stats::{quantile, spread};
use super::{Bench, Outcome, stream};

/// The part's name.
pub(super) const PART: &str = "ingest";
/// Different requests; sent again and again, because ingest does not ask whether it has seen one.
const REQUESTS: usize = 2_000;
/// Requests a second in the open loop.
const RATES: [(u32, Level); 3] = [
    (1_000, Level::Everysec),
    (5_000, Level::Everysec),
    (1_000, Level::Always),
];
/// Times a file is synced for one sample, and what is appended each time.
const SYNCS: usize = 40;
const SYNC_BYTES: usize = 4096;

/// Measures all rounds.
pub(super) fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let rig = bench.rig;
    let servers = Servers {
        nothing: Role::baseline(rig, Work::Nothing)?,
        hmac: Role::baseline(rig, Work::Hmac)?,
        ingest: Role::ingest(rig)?,
    };
    for round in 0..bench.scale.runs {
        bench.say(PART, round);
        saturated(bench, &servers)?;
        fixed_rates(bench, &servers)?;
    }
    Ok(())
}

struct Servers {
    nothing: Role,
    hmac: Role,
    ingest: Role,
}

fn saturated(bench: &mut Bench<'_>, servers: &Servers) -> Outcome<()> {
    bench.rig.clear_redis(Level::Everysec)?;
    closed(bench, &servers.nothing, "saturated: no work")?;
    closed(bench, &servers.hmac, "saturated: HMAC only")?;
    for level in Level::BOTH {
        let mut raw = bench.rig.clear_redis(level)?;
        let entries = load::entries(
            &Mix::Simple.bodies(bench.seed, bench.scale.raw_entries(level)),
            &bench.rig.secret,
        )?;
        let meter = Meter::start(&bench.rig.watched(&[]));
        let took = stream::fill(&mut raw, &entries, stream::WINDOW / 2, stream::Into::One)?.as_secs_f64();
        let cpu = meter.per_1000(entries.len() as f64);
        let rate = entries.len() as f64 / took;
        bench
            .report
            .add_with_cpu(PART, &format!("raw XADD, {}", level.name()), PerSecond, rate, cpu);
        bench.rig.clear_redis(level)?;
        closed(
            bench,
            &servers.ingest,
            &format!("saturated: tollgate, {}", level.name()),
        )?;
    }
    let fsync = fsync_ms(bench.rig)?;
    bench.report.add(PART, "one fsync", Ms, fsync);
    Ok(())
}

fn closed(bench: &mut Bench<'_>, role: &Role, figure: &str) -> Outcome<()> {
    let bodies = Mix::Simple.bodies(bench.seed, REQUESTS);
    let requests = Arc::new(load::requests(&bodies, role.address, &bench.rig.secret));
    // The first requests of a process pay for what the others use.
    generator::closed(role.address, &requests, bench.scale.warm_up)?;
    let meter = Meter::start(&bench.rig.watched(&[role.watched()]));
    let shot = generator::closed(role.address, &requests, bench.scale.closed)?;
    let cpu = meter.per_1000(shot.accepted as f64);
    check(bench, figure, &shot);
    bench
        .report
        .add_with_cpu(PART, figure, PerSecond, shot.accepted as f64 / shot.seconds, cpu);
    Ok(())
}

fn fixed_rates(bench: &mut Bench<'_>, servers: &Servers) -> Outcome<()> {
    open(bench, &servers.hmac, 5_000, "HMAC only")?;
    for (rate, level) in RATES {
        bench.rig.clear_redis(level)?;
        open(
            bench,
            &servers.ingest,
            rate,
            &format!("tollgate, {}", level.name()),
        )?;
    }
    Ok(())
}

fn open(bench: &mut Bench<'_>, role: &Role, rate: u32, who: &str) -> Outcome<()> {
    let count = (f64::from(rate) * bench.scale.open.as_secs_f64()) as usize;
    let bodies = Mix::Simple.bodies(bench.seed, count);
    let requests = Arc::new(load::requests(&bodies, role.address, &bench.rig.secret));
    generator::closed(role.address, &requests, bench.scale.warm_up)?;
    let meter = Meter::start(&bench.rig.watched(&[role.watched()]));
    let shot = generator::open(role.address, &requests, f64::from(rate))?;
    let cpu = meter.per_1000(shot.accepted as f64);
    let figure = |what: &str| format!("at {rate}/s: {who}, {what}");
    check(bench, &figure("all"), &shot);
    for (q, what) in [(0.5, "p50"), (0.99, "p99")] {
        let Some(ms) = quantile(&shot.latencies_ms, q) else {
            continue;
        };
        if what == "p50" {
            bench
                .report
                .add_with_cpu(PART, &figure(what), Ms, ms, cpu.clone());
        } else {
            bench.report.add(PART, &figure(what), Ms, ms);
        }
    }
    Ok(())
}

fn check(bench: &mut Bench<'_>, figure: &str, shot: &Shot) {
    if shot.refused > 0 {
        let text = format!(
            "{figure}: {} of {} requests were refused",
            shot.refused,
            shot.refused + shot.accepted
        );
        bench.report.warn(text);
    }
}

/// The median of some, of a file that grows where Redis's does.
pub(super) fn fsync_ms(rig: &Rig) -> Outcome<f64> {
    let path = rig.stack.dir().join("fsync.tmp");
    let mut file = File::create(&path)?;
    let mut samples = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&[b'x'; SYNC_BYTES])?;
        let began = Instant::now();
        file.sync_data()?;
        samples.push(Duration::as_secs_f64(&began.elapsed()) * 1000.0);
    }
    std::fs::remove_file(path)?;
    Ok(spread(&samples).map_or(0.0, |it| it.median))
}
