//! What the system says of this process, read when somebody asks for the metrics. Written by hand, because seconds of
//! CPU are a counter with decimals, which the `metrics` facade does not have.

use std::fmt::Write;
use std::fs;

use crate::metric::Metric;

/// As Prometheus's own libraries name them; those that cannot be read are left out.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        "process_cpu_seconds_total",
        "User and system CPU time spent in seconds.",
        &[],
    ),
    Metric::gauge(
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
        &[],
    ),
    Metric::gauge(
        "process_virtual_memory_bytes",
        "Virtual memory size in bytes.",
        &[],
    ),
    Metric::gauge("process_open_fds", "Number of open file descriptors.", &[]),
    Metric::gauge(
        "process_max_fds",
        "Maximum number of open file descriptors; left out when there is none.",
        &[],
    ),
    Metric::gauge("process_threads", "Number of threads.", &[]),
    Metric::gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        &[],
    ),
];

/// Ticks in a second, as `/proc` counts them. The kernel shows this to programs whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// The metrics in Prometheus's text format.
pub(crate) fn render() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let stat = read("/proc/self/stat");
    // Minus the one that reads the directory.
    let files = fs::read_dir("/proc/self/fd").map(|dir| dir.count().saturating_sub(1));
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    let files = files.ok().map(|count| count as f64);
    let values = [
        cpu_seconds(&stat),
        of_status(&status, "VmRSS:").map(|kib| kib * 1024.0),
        of_status(&status, "VmSize:").map(|kib| kib * 1024.0),
        files,
        files_max(&read("/proc/self/limits")),
        of_status(&status, "Threads:"),
        start_time(&stat, &read("/proc/stat")),
    ];
    METRICS
        .iter()
        .zip(values)
        .filter_map(|(metric, value)| Some((metric, value?)))
        .fold(String::new(), |mut text, (metric, value)| {
            let (name, kind) = (metric.name, metric.kind.as_str());
            // Writing to a String cannot fail.
            writeln!(
                text,
                "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}\n",
                metric.help
            )
            .ok();
            text
        })
}

/// The number behind a word of `/proc/self/status`; memory is in KiB there.
fn of_status(status: &str, word: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A field of `/proc/self/stat`, counted from 1 as in proc(5). The second, the program's name, may hold anything.
fn of_stat(stat: &str, field: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(field - 3)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((of_stat(stat, 14)? + of_stat(stat, 15)?) / TICKS_PER_SECOND)
}

fn start_time(stat: &str, of_machine: &str) -> Option<f64> {
    let booted: f64 = of_status(of_machine, "btime ")?;
    Some(booted + of_stat(stat, 22)? / TICKS_PER_SECOND)
}

fn files_max(limits: &str) -> Option<f64> {
    of_status(limits, "Max open files")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 1000 20";

    #[test]
    fn what_the_system_says_is_read() {
        assert_eq!(cpu_seconds(STAT), Some(3.0));
        assert_eq!(
            start_time(STAT, "cpu 1\nbtime 1700000000\n"),
            Some(1_700_000_010.0)
        );
        assert_eq!(
            of_status("VmHWM:\t 9 kB\nVmRSS:\t    2048 kB\n", "VmRSS:"),
            Some(2048.0)
        );
        assert_eq!(
            files_max("Max open files            1024   4096  files\n"),
            Some(1024.0)
        );
        assert_eq!(
            files_max("Max open files            unlimited   unlimited  files\n"),
            None
        );
        assert_eq!((cpu_seconds(""), start_time("", "")), (None, None));
    }

    #[test]
    fn this_process_shows_all_of_them() {
        let text = render();
        for metric in METRICS {
            let has = text
                .lines()
                .any(|line| line.starts_with(&format!("{} ", metric.name)));
            assert!(has, "{}: {text}", metric.name);
        }
    }
}
