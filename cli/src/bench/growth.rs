//! What an event costs as tables grow. The tables grow as they do in life, by a worker that is given events, so it
//! takes its time: 10 million events are an hour and some 30 GB. One row of CSV for each point, as soon as it is there.

use super::cpu::Cpu;
use super::load::Mix;
use super::report::Unit::{CpuSeconds, PerSecond};
use super::rig::Level;
use super::{Bench, Outcome, worker};

/// The part's name.
pub(super) const PART: &str = "growth";
/// The last point's cost divided by the first one's.
pub(super) const RATIO: &str = "cost per event, largest / smallest";
/// Events measured at each point.
const SAMPLE: usize = 10_000;
/// Most events made and given to the worker at a time between points.
const SLICE: usize = 50_000;
/// Who is counted: everybody but the generator.
const COUNTED: [&str; 3] = ["worker", "redis", "postgres"];
const CSV: &str = "stored,events_per_s,worker_cpu_s_per_1000,redis_cpu_s_per_1000,postgres_cpu_s_per_1000";

/// Measures once, up to `events` stored.
pub(super) fn run(bench: &mut Bench<'_>, events: usize) -> Outcome<()> {
    let database = bench.rig.fresh_database()?;
    let (mut stored, mut seed) = (0, bench.seed);
    let mut costs = Vec::new();
    let mut csv = vec![CSV.to_owned()];
    bench.say_text(CSV);
    for point in points(events) {
        while stored < point {
            let count = SLICE.min(point - stored);
            (stored, seed) = (stored + count, seed + 1);
            give(bench, &database, seed, count)?;
        }
        seed += 1;
        let sample = give(bench, &database, seed, SAMPLE)?;
        let line = line(stored, &sample);
        bench.say_text(&line);
        csv.push(line);
        let figure = format!("with {stored} stored");
        let cost = cost(&sample.cpu);
        bench
            .report
            .add_with_cpu(PART, &figure, PerSecond, sample.rate, sample.cpu);
        bench
            .report
            .add(PART, &format!("{figure}: CPU of all"), CpuSeconds, cost);
        costs.push(cost);
        stored += SAMPLE;
    }
    if let [first, .., last] = costs[..] {
        bench
            .report
            .add(PART, RATIO, super::report::Unit::Ratio, last / first);
    }
    bench.csv = csv;
    Ok(())
}

fn give(bench: &Bench<'_>, database: &str, seed: u64, count: usize) -> Outcome<worker::Drained> {
    let filling = worker::Filling::new(bench.rig, &Mix::Money.bodies(seed, count))?;
    worker::drain(bench.rig, database, &filling, Level::Everysec)
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

fn line(stored: usize, sample: &worker::Drained) -> String {
    let cpu = COUNTED.map(|name| format!("{:.5}", sample.cpu.get(name).copied().unwrap_or(0.0)));
    format!("{stored},{:.0},{}", sample.rate, cpu.join(","))
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
        assert_eq!(cost(&cpu), 0.35);
        let sample = worker::Drained {
            rate: 4_321.4,
            cpu,
            memory_peak: None,
        };
        assert_eq!(line(10_000, &sample), "10000,4321,0.10000,0.00000,0.25000");
        assert_eq!(CSV.split(',').count(), 5);
    }
}
