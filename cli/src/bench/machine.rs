//! What the figures were measured on and with: without it they say nothing.

use std::fs;

use serde::Serialize;

use super::Outcome;
use super::resp::Raw;

/// What there is, in MiB; 0 when the kernel does not say.
pub(super) fn memory_mib() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: Option<u64> =
        value_of(&meminfo, "MemTotal").and_then(|text| text.trim_end_matches("kB").trim().parse().ok());
    kib.unwrap_or(0) / 1024
}

/// The header.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub kernel: String,
    /// Processes that wanted to run, averaged over the minute before. Ours were not among them.
    pub load_before: f64,
    pub redis: String,
    pub postgres: String,
    pub tollgate: &'static str,
    pub profile: &'static str,
}

impl Machine {
    /// `load_before` has to be asked for first of all.
    pub(super) fn look(load_before: f64, redis: &mut Raw, postgres: String) -> Outcome<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Ok(Self {
            cpu: value_of(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_gib: memory_mib() / 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            load_before,
            redis: redis.info("server", "redis_version")?,
            postgres,
            tollgate: env!("CARGO_PKG_VERSION"),
            profile: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
        })
    }

    /// What makes every figure of this run doubtful.
    pub(super) fn warnings(&self) -> Vec<String> {
        let debug = (self.profile == "debug").then(|| {
            "DEBUG BUILD: these figures say nothing about Tollgate; use `cargo run --release`".to_owned()
        });
        // Half a core taken by others is a quarter of a small machine.
        let busy = (self.load_before > 0.5).then(|| {
            format!(
                "the machine was busy before the run (load {:.2} on {} cores): trust ratios and CPU time, not rates",
                self.load_before, self.cores
            )
        });
        debug.into_iter().chain(busy).collect()
    }

    pub(super) fn lines(&self) -> String {
        format!(
            "  machine   {}, {} cores, {} GiB, load before {:.2}\n  kernel    {}\n  software  Redis {}, Postgres {}, \
             Tollgate {} ({} build)",
            self.cpu,
            self.cores,
            self.memory_gib,
            self.load_before,
            self.kernel,
            self.redis,
            self.postgres,
            self.tollgate,
            self.profile
        )
    }
}

/// The machine's load over the last minute.
pub(super) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(0.0)
}

/// `name : value`, as `/proc` has it.
fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            cpu: "a CPU".to_owned(),
            cores: 2,
            memory_gib: 8,
            kernel: "6.1".to_owned(),
            load_before: 0.1,
            redis: "7.0.15".to_owned(),
            postgres: "15.18".to_owned(),
            tollgate: "0.1.0",
            profile: "release",
        }
    }

    #[test]
    fn values_are_found_by_name() {
        assert_eq!(
            value_of("processor\t: 0\nmodel name\t: EPYC\n", "model name"),
            Some("EPYC")
        );
        assert_eq!(value_of("a: b", "model name"), None);
    }

    #[test]
    fn a_debug_build_and_a_busy_machine_are_said_loudly() {
        assert_eq!(machine().warnings(), [] as [String; 0]);
        let doubtful = Machine {
            profile: "debug",
            load_before: 3.0,
            ..machine()
        };
        let warnings = doubtful.warnings();
        assert!(warnings[0].starts_with("DEBUG BUILD"), "{warnings:?}");
        assert!(warnings[1].contains("busy"), "{warnings:?}");
        assert!(
            machine()
                .lines()
                .contains("Redis 7.0.15, Postgres 15.18, Tollgate 0.1.0 (release build)")
        );
    }
}
