//! What was measured: rows with samples, what follows from several of them, and whether it is what we aim at. Pure.

use serde::Serialize;

use super::cpu::Cpu;
use super::stats::{Spread, ratios, spread};

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Unit {
    #[serde(rename = "events/s")]
    PerSecond,
    #[serde(rename = "ms")]
    Ms,
    #[serde(rename = "ratio")]
    Ratio,
    #[serde(rename = "cpu-s/1000")]
    CpuSeconds,
    #[serde(rename = "bytes")]
    Bytes,
    #[serde(rename = "s")]
    Seconds,
}

/// Where to get.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub(super) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// One figure, with a sample for each round.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub part: &'static str,
    pub figure: String,
    pub unit: Unit,
    pub samples: Vec<f64>,
    /// By process, one for each sample that has any.
    pub cpu: Vec<Cpu>,
    pub goal: Option<Goal>,
}

impl Row {
    pub(super) fn spread(&self) -> Option<Spread> {
        spread(&self.samples)
    }

    /// The median of a process.
    pub(super) fn cpu_of(&self, process: &str) -> Option<f64> {
        let samples: Vec<f64> = self
            .cpu
            .iter()
            .filter_map(|cpu| cpu.get(process).copied())
            .collect();
        spread(&samples).map(|it| it.median)
    }

    /// `None` without a goal or without a sample.
    pub(super) fn is_met(&self) -> Option<bool> {
        Some(self.goal?.is_met(self.spread()?.median))
    }
}

/// A figure that follows from others of its part.
pub(super) enum Derived {
    /// One figure divided by another.
    Ratio(&'static str, &'static str),
    /// CPU time of some processes, added up, of a figure.
    Cpu(&'static str, &'static [&'static str]),
}

/// Everything that was measured, in the order in which it first was.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub rows: Vec<Row>,
    /// What makes figures doubtful.
    pub warnings: Vec<String>,
}

impl Report {
    /// One round's sample.
    pub(super) fn add(&mut self, part: &'static str, figure: &str, unit: Unit, value: f64) {
        self.row(part, figure, unit).samples.push(value);
    }

    /// The same, with what it cost.
    pub(super) fn add_with_cpu(
        &mut self,
        part: &'static str,
        figure: &str,
        unit: Unit,
        value: f64,
        cpu: Cpu,
    ) {
        let row = self.row(part, figure, unit);
        row.samples.push(value);
        row.cpu.push(cpu);
    }

    /// Says once what makes figures doubtful.
    pub(super) fn warn(&mut self, text: String) {
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// Adds a figure that follows from others, unless one of those was not measured.
    pub(super) fn derive(&mut self, part: &'static str, figure: &str, derived: &Derived) {
        let (unit, samples) = match derived {
            Derived::Ratio(of, to) => (
                Unit::Ratio,
                ratios(self.samples(part, of), self.samples(part, to)),
            ),
            Derived::Cpu(of, processes) => {
                let cpu = self.find(part, of).map_or(&[][..], |row| &row.cpu);
                let sum = |cpu: &Cpu| processes.iter().filter_map(|name| cpu.get(name)).sum();
                (Unit::CpuSeconds, cpu.iter().map(sum).collect())
            }
        };
        if !samples.is_empty() {
            self.row(part, figure, unit).samples = samples;
        }
    }

    /// Says where a figure should get, if it was measured.
    pub(super) fn aim(&mut self, part: &str, figure: &str, goal: Goal) {
        let row = self
            .rows
            .iter_mut()
            .find(|row| row.part == part && row.figure == figure);
        if let Some(row) = row {
            row.goal = Some(goal);
        }
    }

    fn find(&self, part: &str, figure: &str) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.part == part && row.figure == figure)
    }

    fn samples(&self, part: &str, figure: &str) -> &[f64] {
        self.find(part, figure).map_or(&[], |row| &row.samples)
    }

    fn row(&mut self, part: &'static str, figure: &str, unit: Unit) -> &mut Row {
        let place = self
            .rows
            .iter()
            .position(|row| row.part == part && row.figure == figure);
        let place = place.unwrap_or_else(|| {
            self.rows.push(Row {
                part,
                figure: figure.to_owned(),
                unit,
                samples: Vec::new(),
                cpu: Vec::new(),
                goal: None,
            });
            self.rows.len() - 1
        });
        &mut self.rows[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        for (ours, raw) in [(40.0, 50.0), (60.0, 100.0)] {
            let cpu = Cpu::from([("worker", 0.5), ("redis", 0.25), ("load", 9.0)]);
            report.add_with_cpu("queue", "ours", Unit::PerSecond, ours, cpu);
            report.add("queue", "raw", Unit::PerSecond, raw);
        }
        report
    }

    #[test]
    fn rounds_of_a_figure_share_a_row() {
        let report = report();
        assert_eq!(report.rows.len(), 2);
        assert_eq!(report.rows[0].spread().map(|it| it.median), Some(50.0));
        assert_eq!(report.rows[0].cpu_of("redis"), Some(0.25));
        assert_eq!(report.rows[0].cpu_of("postgres"), None);
    }

    #[test]
    fn what_follows_is_derived_and_judged() {
        let mut report = report();
        report.derive("queue", "ours / raw", &Derived::Ratio("ours", "raw"));
        report.derive(
            "queue",
            "cpu",
            &Derived::Cpu("ours", &["worker", "redis", "postgres"]),
        );
        report.derive("queue", "absent", &Derived::Ratio("ours", "never measured"));
        let figures: Vec<&str> = report.rows.iter().map(|row| row.figure.as_str()).collect();
        assert_eq!(figures, ["ours", "raw", "ours / raw", "cpu"]);
        assert_eq!(report.rows[2].samples, [0.8, 0.6]);
        assert_eq!(report.rows[3].samples, [0.75, 0.75]);

        assert_eq!(report.rows[2].is_met(), None);
        report.aim("queue", "ours / raw", Goal::AtLeast(0.7));
        assert_eq!(report.rows[2].is_met(), Some(true));
        report.aim("queue", "cpu", Goal::AtMost(0.7));
        assert_eq!(report.rows[3].is_met(), Some(false));
        report.aim("queue", "never measured", Goal::AtMost(0.7));
    }

    #[test]
    fn a_warning_is_given_once() {
        let mut report = report();
        report.warn("slow".to_owned());
        report.warn("slow".to_owned());
        assert_eq!(report.warnings, ["slow"]);
    }
}
