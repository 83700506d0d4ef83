//! Everything together at fixed rates: from acceptance by ingest to the commit in Postgres, as Postgres saw it; and
//! how soon a worker that has nothing to do takes up an event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::clock::Clock;

use super::cpu::Meter;
use super::days::prelude;
use super::generator;
use super::load::{self, Mix};
use super::report::Unit::Ms;
use super::rig::Level;
use super::roles::Role;
use super::stats::{quantile, sorted};
use super::worker::wait_for_effects;
use super::{Bench, Outcome, stream};

/// The part's name.
pub(super) const PART: &str = "end-to-end";
/// Events a second.
const RATES: [u32; 3] = [500, 1_000, 5_000];
/// The name of the figures of [`idle`].
const IDLE: &str = "idle pick-up";
/// Events a second of which each finds an idle worker.
const IDLE_RATE: f64 = 25.0;
/// Longest until the last event has had its effect.
const LIMIT: Duration = Duration::from_secs(120);
/// Events a second before the clock starts.
const WARM_UP_RATE: f64 = 1_000.0;
/// A generator that needs so much longer than it should has not kept the rate.
const LATE: f64 = 1.1;

/// Measures all rounds.
pub(super) fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    for round in 0..bench.scale.runs {
        bench.say(PART, round);
        bench.rig.drop_databases()?;
        for level in Level::BOTH {
            for rate in RATES {
                if bench.wants(&name(rate, level)) {
                    at_rate(bench, level, rate, round)?;
                }
            }
        }
        if bench.wants(IDLE) {
            idle(bench, round)?;
        }
    }
    Ok(())
}

fn name(rate: u32, level: Level) -> String {
    format!("{rate}/s, {}", level.name())
}

fn at_rate(bench: &mut Bench<'_>, level: Level, rate: u32, round: usize) -> Outcome<()> {
    let rig = bench.rig;
    let count = (f64::from(rate) * bench.scale.end_to_end.as_secs_f64()) as usize;
    let site = Site::start(bench, level)?;
    let bodies = Mix::Money.bodies(bench.seed + round as u64, count);
    site.warm_up(bench, round, &bodies)?;
    let requests = Arc::new(load::requests(&bodies, site.ingest.address, &rig.secret));
    let meter = Meter::start(&rig.watched(&[site.ingest.watched(), site.worker.watched()]));
    let since = Clock::system().unix_ms();
    let shot = generator::open(site.ingest.address, &requests, f64::from(rate))?;
    let figure = |what: &str| format!("{}, {what}", name(rate, level));
    site.wait_until_done(bench)?;
    let cpu = meter.per_1000(count as f64);
    if shot.accepted < count as u64 {
        bench.report.warn(format!(
            "{}: {} of {count} requests were refused",
            figure("all"),
            shot.refused
        ));
    }
    if shot.seconds > bench.scale.end_to_end.as_secs_f64() * LATE {
        bench.report.warn(format!(
            "{}: the rate was not kept ({:.1} s)",
            figure("all"),
            shot.seconds
        ));
    }
    let latencies = sorted(rig.runtime.block_on(site.store.commit_latencies_ms(since))?);
    for (q, what) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")] {
        let Some(ms) = quantile(&latencies, q) else {
            continue;
        };
        match what {
            "p50" => bench
                .report
                .add_with_cpu(PART, &figure(what), Ms, ms, cpu.clone()),
            _ => bench.report.add(PART, &figure(what), Ms, ms),
        }
    }
    site.stop(bench)
}

/// Acceptance until the worker writes the event's row: XADD, the waiting read that gets it, and a transaction's begin.
fn idle(bench: &mut Bench<'_>, round: usize) -> Outcome<()> {
    let site = Site::start(bench, Level::Everysec)?;
    site.warm_up(bench, round, &[])?;
    let bodies = Mix::Simple.bodies(bench.seed + 1 + round as u64, bench.scale.pick_ups);
    let requests = Arc::new(load::requests(&bodies, site.ingest.address, &bench.rig.secret));
    let since = Clock::system().unix_ms();
    generator::open(site.ingest.address, &requests, IDLE_RATE)?;
    site.wait_until_done(bench)?;
    let latencies = sorted(
        bench
            .rig
            .runtime
            .block_on(site.store.pick_up_latencies_ms(since))?,
    );
    for (q, what) in [(0.5, "p50"), (0.99, "p99")] {
        if let Some(ms) = quantile(&latencies, q) {
            bench.report.add(PART, &format!("{IDLE}, {what}"), Ms, ms);
        }
    }
    site.stop(bench)
}

/// One ingest, one worker, and an empty database.
struct Site {
    ingest: Role,
    worker: Role,
    store: store::Store,
}

impl Site {
    fn start(bench: &Bench<'_>, level: Level) -> Outcome<Self> {
        let rig = bench.rig;
        let database = rig.fresh_database()?;
        rig.clear_redis(level)?;
        let ingest = Role::ingest(rig)?;
        let (mut worker, admin) = Role::worker(rig, &database)?;
        worker.wait_until_ready(rig, admin)?;
        let store = rig.store(&database)?;
        Ok(Self {
            ingest,
            worker,
            store,
        })
    }

    /// Other events, so that connections are open, statements prepared, and caches warm. Half of them after `ANALYZE`:
    /// it makes Postgres plan all statements anew, for which the first events after it would wait.
    fn warm_up(&self, bench: &Bench<'_>, round: usize, before: &[Bytes]) -> Outcome<()> {
        let mut first = Mix::Money.bodies(!bench.seed - round as u64, bench.scale.warm_up_events);
        let second = first.split_off(first.len() / 2);
        first.extend(prelude(before));
        self.take(bench, &first)?;
        bench.rig.runtime.block_on(self.store.analyze())?;
        self.take(bench, &second)
    }

    /// Lets events come in and take effect.
    fn take(&self, bench: &Bench<'_>, bodies: &[Bytes]) -> Outcome<()> {
        let requests = Arc::new(load::requests(bodies, self.ingest.address, &bench.rig.secret));
        generator::open(self.ingest.address, &requests, WARM_UP_RATE)?;
        self.wait_until_done(bench)
    }

    fn wait_until_done(&self, bench: &Bench<'_>) -> Outcome<()> {
        let deadline = Instant::now() + LIMIT;
        let mut raw = bench.rig.raw()?;
        while stream::length(&mut raw)? > 0 {
            if Instant::now() > deadline {
                return Err("the worker does not get done".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        wait_for_effects(bench.rig, &self.store, deadline)
    }

    fn stop(self, bench: &Bench<'_>) -> Outcome<()> {
        bench.rig.runtime.block_on(self.store.close());
        self.ingest.stop()?;
        self.worker.stop()
    }
}
