//! What an event costs as tables grow. A worker stores the first events; from then on what it stored is copied by
//! Postgres under other ids, which takes minutes where a worker would take an hour. At each point a worker is given new
//! events and measured. One row of CSV for each point, as soon as it is there.
//!
//! What is measured goes on with what is stored, as in life: an event is about a customer or a subscription that came
//! long ago, and lies anywhere among the others, or about something new, whose id comes after all others, because ids
//! begin with the time.

use std::collections::VecDeque;

use bytes::Bytes;
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
/// Events that come before a measurement, of new customers; and of a measurement of tables that are small.
const SAMPLE: usize = 10_000;
/// Measurements of tables that are small, of which the median counts; or so many times the events in one.
const SAMPLES: usize = 3;
/// Events that are stored by a worker, at least. Beyond that, they are copied.
const BY_WORKER: usize = 100_000;
/// Who is counted: everybody but the generator.
pub(super) const COUNTED: [&str; 3] = ["worker", "redis", "postgres"];
/// The columns of the curve.
pub(super) const CSV: &str = "stored,events_per_s,worker_cpu_s_per_1000,redis_cpu_s_per_1000,postgres_cpu_s_per_1000,wal_bytes_per_event,wal_full_pages_per_event";

/// Measures up to `events` stored.
pub(super) fn run(bench: &mut Bench<'_>, events: usize) -> Outcome<()> {
    bench.say_text(CSV);
    bench.curve.clear();
    let points = points(events);
    let (first, later) = points.split_first().ok_or("nothing to store")?;
    let mut seed = bench.seed;
    let sample = at_first(bench, *first, &mut seed)?;
    show(bench, *first, &sample);
    let mut site = Site::new(bench, seed)?;
    for point in later {
        site.grow(bench, *point, later.len())?;
        let stored = site.stored;
        let sample = site.measure(bench)?;
        show(bench, stored, &sample);
    }
    let costs: Vec<f64> = bench.curve.iter().map(Point::cost).collect();
    if let [first, .., last] = costs[..] {
        bench
            .report
            .add(PART, RATIO, super::report::Unit::Ratio, last / first);
    }
    Ok(())
}

fn show(bench: &mut Bench<'_>, stored: usize, sample: &worker::Drained) {
    let point = Point::of(stored, sample);
    bench.say_text(&point.csv());
    let figure = format!("with {stored} stored");
    let report = &mut bench.report;
    report.add_with_cpu(PART, &figure, PerSecond, sample.rate, sample.cpu.clone());
    report.add(PART, &format!("{figure}: CPU of all"), CpuSeconds, point.cost());
    bench.curve.push(point);
}

/// The first point, in a database of its own each time: a measurement would make it much larger.
fn at_first(bench: &Bench<'_>, stored: usize, seed: &mut u64) -> Outcome<worker::Drained> {
    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        let mut site = Site::new(bench, *seed)?;
        site.store_half(bench, stored)?;
        bench.rig.runtime.block_on(site.store.vacuum())?;
        samples.push(site.sample(bench, stored / 10, 1)?);
        *seed = site.close(bench)?;
    }
    Ok(median(samples).ok_or("nothing was measured")?)
}

/// What some customers did until some day, and afterwards.
struct Half {
    early: Vec<Bytes>,
    late: Vec<Bytes>,
}

impl Half {
    /// Each of so many events, of customers that nobody else has.
    fn of(seed: &mut u64, events: usize) -> Self {
        *seed += 1;
        let mut early = Mix::Money.bodies(*seed, 2 * events);
        let late = early.split_off(early.len() / 2);
        Self { early, late }
    }
}

/// A database that grows.
struct Site {
    database: String,
    store: Store,
    stored: usize,
    seed: u64,
    /// What is still to come of customers who are there.
    late: VecDeque<Vec<Bytes>>,
    original: Option<Original>,
}

impl Site {
    fn new(bench: &Bench<'_>, seed: u64) -> Outcome<Self> {
        let database = bench.rig.fresh_database()?;
        Ok(Self {
            store: bench.rig.store(&database)?,
            database,
            stored: 0,
            seed,
            late: VecDeque::new(),
            original: None,
        })
    }

    /// Until so many events are stored, or a few more, with what `points` measurements need.
    fn grow(&mut self, bench: &Bench<'_>, point: usize, points: usize) -> Outcome<()> {
        let is_enough = |it: &Self| it.stored >= point.min(BY_WORKER) && it.late.len() >= SAMPLES * points;
        while self.original.is_none() && !is_enough(self) {
            self.store_half(bench, SAMPLE)?;
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

    /// Stores what new customers do at first.
    fn store_half(&mut self, bench: &Bench<'_>, events: usize) -> Outcome<()> {
        let half = Half::of(&mut self.seed, events);
        let filling = worker::Filling::new(bench.rig, &half.early)?;
        self.give(bench, &filling, half.early.len())?;
        self.late.push_back(half.late);
        Ok(())
    }

    /// One worker for all: a session pays once for each page that it shares with others, some 0.3 s for half a gigabyte, and
    /// in life it is days old.
    fn measure(&mut self, bench: &Bench<'_>) -> Outcome<worker::Drained> {
        self.sample(bench, SAMPLE, SAMPLES)
    }

    /// `before` events of new customers, which warm everything up, and then it goes on with some who were there, so many
    /// times what was kept of each.
    fn sample(&mut self, bench: &Bench<'_>, before: usize, times: usize) -> Outcome<worker::Drained> {
        let times = times.min(self.late.len());
        let late: Vec<Bytes> = self.late.drain(..times).flatten().collect();
        if late.is_empty() {
            return Err("nobody is left to go on with".into());
        }
        let new = Half::of(&mut self.seed, before).early;
        let filling = worker::Filling::after(bench.rig, &new, &late)?;
        self.give(bench, &filling, new.len() + late.len())
    }

    /// Ends it, and gives back where seeds are.
    fn close(self, bench: &Bench<'_>) -> Outcome<u64> {
        bench.rig.runtime.block_on(self.store.close());
        bench.rig.drop_databases()?;
        Ok(self.seed)
    }

    /// Lets a worker store events.
    fn give(
        &mut self,
        bench: &Bench<'_>,
        filling: &worker::Filling,
        events: usize,
    ) -> Outcome<worker::Drained> {
        self.stored += events;
        worker::drain(
            bench.rig,
            &self.database,
            filling,
            Level::Everysec,
            worker::Tables::Grown,
        )
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
    /// Bytes that Postgres writes ahead for an event, and how many whole pages are among them.
    pub wal: [f64; 2],
}

impl Point {
    fn of(stored: usize, sample: &worker::Drained) -> Self {
        Self {
            stored,
            rate: sample.rate,
            cpu: COUNTED.map(|name| sample.cpu.get(name).copied().unwrap_or(0.0)),
            wal: [sample.wal_bytes, sample.wal_pages],
        }
    }

    pub(super) fn cost(&self) -> f64 {
        self.cpu.iter().sum()
    }

    /// A line under [`CSV`].
    pub(super) fn csv(&self) -> String {
        let cpu = self.cpu.map(|seconds| format!("{seconds:.5}"));
        let [bytes, pages] = self.wal;
        format!(
            "{},{:.0},{},{bytes:.0},{pages:.2}",
            self.stored,
            self.rate,
            cpu.join(",")
        )
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
            wal_bytes: 20_000.4,
            wal_pages: 1.5,
        };
        let point = Point::of(10_000, &sample);
        assert_eq!(point.cost(), 0.35);
        assert_eq!(point.csv(), "10000,4321,0.10000,0.00000,0.25000,20000,1.50");
        assert_eq!(CSV.split(',').count(), 7);
    }
}
