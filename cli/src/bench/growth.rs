//! What an event costs as tables grow. A worker stores the first events; from then on what it stored is copied by
//! Postgres under other ids, which takes minutes where a worker would take an hour. At each point a worker is given new
//! events and measured. One row of CSV for each point, as soon as it is there.

use store::Store;
use store::yardstick::Original;

use super::cpu::Cpu;
use super::load::Mix;
use super::report::Unit::{CpuSeconds, PerSecond};
use super::rig::Level;
use super::stats::spread;
use super::{Bench, Outcome, worker};

/// The part's name.
pub(super) const PART: &str = "growth";
/// The last point's cost divided by the first one's.
pub(super) const RATIO: &str = "cost per event, largest / smallest";
/// Events of one measurement.
const SAMPLE: usize = 10_000;
/// Measurements at each point, of which the median counts.
const SAMPLES: u64 = 3;
/// Most events made and given to the worker at a time between points.
const SLICE: usize = 50_000;
/// Events that are stored by a worker. Beyond that, they are copied.
const BY_WORKER: usize = 100_000;
/// Who is counted: everybody but the generator.
pub(super) const COUNTED: [&str; 3] = ["worker", "redis", "postgres"];
/// The columns of the curve.
pub(super) const CSV: &str =
    "stored,events_per_s,worker_cpu_s_per_1000,redis_cpu_s_per_1000,postgres_cpu_s_per_1000";

/// Measures up to `events` stored.
pub(super) fn run(bench: &mut Bench<'_>, events: usize) -> Outcome<()> {
    let mut site = Site::new(bench)?;
    let mut costs = Vec::new();
    bench.say_text(CSV);
    bench.curve.clear();
    for point in points(events) {
        site.grow(bench, point)?;
        let stored = site.stored;
        let mut samples = Vec::new();
        for _ in 0..SAMPLES {
            samples.push(site.give(bench, SAMPLE)?);
        }
        let sample = median(samples).ok_or("nothing was measured")?;
        let point = Point::of(stored, &sample);
        bench.say_text(&point.csv());
        let figure = format!("with {stored} stored");
        let cost = point.cost();
        bench.curve.push(point);
        bench
            .report
            .add_with_cpu(PART, &figure, PerSecond, sample.rate, sample.cpu);
        bench
            .report
            .add(PART, &format!("{figure}: CPU of all"), CpuSeconds, cost);
        costs.push(cost);
    }
    if let [first, .., last] = costs[..] {
        bench
            .report
            .add(PART, RATIO, super::report::Unit::Ratio, last / first);
    }
    Ok(())
}

/// A database that grows.
struct Site {
    database: String,
    store: Store,
    stored: usize,
    /// No two deliveries of events have the same.
    seed: u64,
    original: Option<Original>,
}

impl Site {
    fn new(bench: &Bench<'_>) -> Outcome<Self> {
        let database = bench.rig.fresh_database()?;
        Ok(Self {
            store: bench.rig.store(&database)?,
            database,
            stored: 0,
            seed: bench.seed,
            original: None,
        })
    }

    /// Until so many events are stored, or a few more.
    fn grow(&mut self, bench: &Bench<'_>, point: usize) -> Outcome<()> {
        while self.stored < point.min(BY_WORKER) {
            self.give(bench, SLICE.min(point - self.stored))?;
        }
        while self.stored < point {
            let runtime = &bench.rig.runtime;
            let original = match &mut self.original {
                Some(original) => original,
                none => none.insert(runtime.block_on(Original::take(&self.store))?),
            };
            runtime.block_on(original.copy(&self.store))?;
            self.stored += usize::try_from(original.events())?;
            bench.say_text(&format!("{PART}: {} of {point} events stored", self.stored));
        }
        Ok(bench.rig.runtime.block_on(self.store.vacuum())?)
    }

    /// Lets a worker store new events.
    fn give(&mut self, bench: &Bench<'_>, count: usize) -> Outcome<worker::Drained> {
        self.seed += 1;
        self.stored += count;
        let filling = worker::Filling::new(bench.rig, &Mix::Money.bodies(self.seed, count))?;
        let tables = worker::Tables::Grown;
        worker::drain(bench.rig, &self.database, &filling, Level::Everysec, tables)
    }
}

/// The measurement whose cost is in the middle.
fn median(mut samples: Vec<worker::Drained>) -> Option<worker::Drained> {
    let middle = spread(&samples.iter().map(|it| cost(&it.cpu)).collect::<Vec<_>>())?.median;
    let nearest = samples
        .iter()
        .map(|it| (cost(&it.cpu) - middle).abs())
        .enumerate()
        .min_by(|(_, a), (_, b)| a.total_cmp(b))?
        .0;
    Some(samples.swap_remove(nearest))
}

/// 10 thousand, and ever ten times as many; the end is a point, too.
fn points(events: usize) -> Vec<usize> {
    let tens = std::iter::successors(Some(10_000), |point| Some(point * 10));
    let mut points: Vec<usize> = tens.take_while(|point| *point < events).collect();
    points.push(events);
    points
}

fn cost(cpu: &Cpu) -> f64 {
    COUNTED.iter().filter_map(|name| cpu.get(name)).sum()
}

/// A point of the curve.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub stored: usize,
    pub rate: f64,
    /// CPU of each of [`COUNTED`], in seconds per 1000 events.
    pub cpu: [f64; 3],
}

impl Point {
    fn of(stored: usize, sample: &worker::Drained) -> Self {
        Self {
            stored,
            rate: sample.rate,
            cpu: COUNTED.map(|name| sample.cpu.get(name).copied().unwrap_or(0.0)),
        }
    }

    pub(super) fn cost(&self) -> f64 {
        self.cpu.iter().sum()
    }

    /// A line under [`CSV`].
    pub(super) fn csv(&self) -> String {
        let cpu = self.cpu.map(|seconds| format!("{seconds:.5}"));
        format!("{},{:.0},{}", self.stored, self.rate, cpu.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_powers_of_ten_and_the_end() {
        assert_eq!(points(10_000_000), [10_000, 100_000, 1_000_000, 10_000_000]);
        assert_eq!(points(250_000), [10_000, 100_000, 250_000]);
        assert_eq!(points(5_000), [5_000]);
    }

    #[test]
    fn a_point_is_a_line_and_has_a_cost() {
        let cpu = Cpu::from([("worker", 0.1), ("postgres", 0.25), ("load", 9.0)]);
        let sample = worker::Drained {
            rate: 4_321.4,
            cpu,
            memory_peak: None,
        };
        let point = Point::of(10_000, &sample);
        assert_eq!(point.cost(), 0.35);
        assert_eq!(point.csv(), "10000,4321,0.10000,0.00000,0.25000");
        assert_eq!(CSV.split(',').count(), 5);
    }
}
