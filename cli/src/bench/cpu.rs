//! CPU time of processes, from `/proc/PID/stat`: the scheduler's own books, so nothing has to be switched on, and
//! what runs beside us on the machine does not count.

use std::collections::BTreeMap;
use std::fs;

/// The unit of `/proc/PID/stat` is USER_HZ, which the kernel's ABI fixes at 100 on every architecture we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of CPU per 1000 events, by process.
pub(super) type Cpu = BTreeMap<&'static str, f64>;

/// A process to watch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched {
    pub name: &'static str,
    pub pid: u32,
    /// Whether its children count: a Postgres is one process for each connection.
    pub with_children: bool,
}

/// Counts from its start.
pub(super) struct Meter {
    watched: Vec<Watched>,
    start: Vec<f64>,
}

impl Meter {
    pub(super) fn start(watched: &[Watched]) -> Self {
        let everyone = everyone();
        Self {
            watched: watched.to_vec(),
            start: watched.iter().map(|it| seconds_of(it, &everyone)).collect(),
        }
    }

    /// What each has used since the start, divided among `events`.
    pub(super) fn per_1000(&self, events: f64) -> Cpu {
        let everyone = everyone();
        let used = |(it, start): (&Watched, &f64)| {
            let seconds = seconds_of(it, &everyone) - start;
            (it.name, seconds.max(0.0) / events.max(1.0) * 1000.0)
        };
        self.watched.iter().zip(&self.start).map(used).collect()
    }
}

/// What the kernel says about one process.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stat {
    parent: u32,
    own: f64,
    /// Of children that have ended.
    ended: f64,
}

fn seconds_of(it: &Watched, everyone: &BTreeMap<u32, Stat>) -> f64 {
    let own = everyone.get(&it.pid).map_or(0.0, |stat| {
        stat.own + if it.with_children { stat.ended } else { 0.0 }
    });
    let children = everyone
        .values()
        .filter(|stat| it.with_children && stat.parent == it.pid);
    own + children.map(|stat| stat.own + stat.ended).sum::<f64>()
}

fn everyone() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let stats = pids.filter_map(|pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parse(&text)?))
    });
    stats.collect()
}

/// See proc(5). The name, in parentheses, may contain anything.
fn parse(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // The first field after the name is the third of all.
    let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
    let seconds = |number| field(number).map(|ticks| f64::from(ticks) / TICKS_PER_SECOND);
    Some(Stat {
        parent: field(4)?,
        own: seconds(14)? + seconds(15)?,
        ended: seconds(16)? + seconds(17)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(pid: u32, with_children: bool) -> Watched {
        Watched {
            name: "us",
            pid,
            with_children,
        }
    }

    #[test]
    fn a_line_of_proc_is_read() {
        let line = "42 (post) gres: x) S 7 42 42 0 -1 4194560 900 0 0 0 150 50 20 5 20 0 1 0 100 1 2";
        let expected = Stat {
            parent: 7,
            own: 2.0,
            ended: 0.25,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("42 (short) S 7"), None);
    }

    #[test]
    fn children_count_for_their_parent() {
        let stat = |parent, own, ended| Stat { parent, own, ended };
        let everyone = BTreeMap::from([
            (1, stat(0, 8.0, 8.0)),
            (7, stat(1, 1.0, 0.5)),
            (8, stat(7, 2.0, 0.0)),
            (9, stat(7, 4.0, 0.25)),
        ]);
        let seconds = |pid, with_children| seconds_of(&watched(pid, with_children), &everyone);
        assert_eq!(seconds(7, true), 7.75);
        assert_eq!(seconds(7, false), 1.0);
        assert_eq!(seconds(99, true), 0.0);
    }

    #[test]
    fn a_meter_sees_this_process_work() {
        let meter = Meter::start(&[watched(std::process::id(), false)]);
        assert!(meter.per_1000(1000.0)["us"] >= 0.0);
    }
}
