//! A metric as a row of a table: its name, what it says, and every series it can have.
//!
//! Each role has one such table. From it everything else follows: what is described and shown at zero when a process
//! starts, the buckets of histograms, and `docs/metrics.md`. The unit is the name's own: `_seconds`, `_bytes`,
//! `_credits`, before a counter's `_total`.

use metrics::{counter, gauge, histogram};

/// Bounds of histograms of answers to somebody who waits, seconds.
pub const REQUEST_SECONDS: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Bounds of histograms of work, seconds.
pub const WORK_SECONDS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Bounds of histograms of waiting in a queue, seconds.
pub const WAIT_SECONDS: &[f64] = &[
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3_600.0,
];
/// Bounds of histograms of waiting for Stripe, which comes back for three days, seconds.
pub const DELIVERY_SECONDS: &[f64] = &[
    1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0, 259_200.0,
];
/// Bounds of histograms of bodies, bytes.
pub const BODY_BYTES: &[f64] = &[
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
];
/// Bounds of the finest histogram, seconds: a quarter more each, and those that promises are made of.
pub const FINE_SECONDS: &[f64] = &fine();

/// First bound of [`FINE_SECONDS`].
const FINE_FIRST: f64 = 0.000_5;
/// A quantile read from them is off by at most that.
const FINE_STEP: f64 = 1.25;
/// Covers up to about 100 s.
const FINE_STEPS: usize = 56;
/// What is promised: "within 250 ms", "within 30 s".
const PROMISED: [f64; 2] = [0.25, 30.0];

const fn fine() -> [f64; FINE_STEPS + PROMISED.len()] {
    let mut bounds = [0.0; FINE_STEPS + PROMISED.len()];
    let (mut next, mut promised, mut at) = (FINE_FIRST, 0, 0);
    while at < bounds.len() {
        if promised < PROMISED.len() && PROMISED[promised] < next {
            bounds[at] = PROMISED[promised];
            promised += 1;
        } else {
            bounds[at] = next;
            next *= FINE_STEP;
        }
        at += 1;
    }
    bounds
}

/// What a metric does over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, with these upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// As Prometheus calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// What values a label can have.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// These, all of them there from the start.
    Closed(fn() -> Vec<&'static str>),
    /// As many as settings or routes say; the text says which.
    Configured(&'static str),
}

/// A label and its values.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it can be.
    pub values: Values,
}

impl Label {
    /// A label of a closed set.
    #[must_use]
    pub const fn of(name: &'static str, values: fn() -> Vec<&'static str>) -> Self {
        Self {
            name,
            values: Values::Closed(values),
        }
    }

    /// A label whose values the role makes known once it knows them.
    #[must_use]
    pub const fn configured(name: &'static str, of_what: &'static str) -> Self {
        Self {
            name,
            values: Values::Configured(of_what),
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// `tollgate_<subject>_<what>_<unit>`; counters end in `_total`.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// What it says, in one sentence.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [Label],
    /// Of a gauge, what it shows until something was measured.
    pub start: f64,
}

impl Metric {
    /// A counter.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, labels: &'static [Label]) -> Self {
        Self {
            name,
            kind: Kind::Counter,
            help,
            labels,
            start: 0.0,
        }
    }

    /// A gauge, at zero until it is set.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, labels: &'static [Label]) -> Self {
        Self {
            kind: Kind::Gauge,
            ..Self::counter(name, help, labels)
        }
    }

    /// A histogram.
    #[must_use]
    pub const fn histogram(
        name: &'static str,
        help: &'static str,
        bounds: &'static [f64],
        labels: &'static [Label],
    ) -> Self {
        Self {
            kind: Kind::Histogram(bounds),
            ..Self::counter(name, help, labels)
        }
    }

    /// The same gauge, showing this until it is set.
    #[must_use]
    pub const fn starting_at(self, start: f64) -> Self {
        Self { start, ..self }
    }

    /// What it is counted in, by its name; empty when it counts things.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        let units = ["seconds", "bytes", "credits", "ratio"];
        let of_name = |unit: &&str| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
        units.into_iter().find(of_name).unwrap_or("")
    }

    /// All its series; none when the values of some label are not known to the program.
    #[must_use]
    pub fn series(&self) -> Vec<Vec<(&'static str, &'static str)>> {
        self.labels.iter().fold(vec![Vec::new()], |known, label| {
            let Values::Closed(values) = label.values else {
                return Vec::new();
            };
            let values = values();
            let with = |series: &Vec<(&'static str, &'static str)>| {
                let extended = |value: &&'static str| [series.as_slice(), &[(label.name, *value)]].concat();
                values.iter().map(extended).collect::<Vec<_>>()
            };
            known.iter().flat_map(with).collect()
        })
    }

    /// Says what it means, and shows all its series.
    fn register(&self) {
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.help),
            Kind::Histogram(_) => metrics::describe_histogram!(self.name, self.help),
        }
        for series in self.series() {
            match self.kind {
                Kind::Counter => counter!(self.name, &series).absolute(0),
                Kind::Gauge => gauge!(self.name, &series).set(self.start),
                // A handle alone makes the series known.
                Kind::Histogram(_) => drop(histogram!(self.name, &series)),
            }
        }
    }
}

/// Describes metrics and shows every series that is known. To be called once a recorder is installed.
pub fn register(tables: &[&[Metric]]) {
    tables.iter().copied().flatten().for_each(Metric::register);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finest_bounds_rise_and_hold_what_is_promised() {
        assert!(FINE_SECONDS.is_sorted_by(|a, b| a < b), "{FINE_SECONDS:?}");
        for bound in PROMISED {
            assert!(FINE_SECONDS.contains(&bound), "{bound}");
        }
        assert!(FINE_SECONDS.last().is_some_and(|last| *last > 60.0));
    }

    #[test]
    fn a_series_is_one_value_of_each_label() {
        const BOTH: &[Label] = &[
            Label::of("a", || vec!["1", "2"]),
            Label::of("b", || vec!["3", "4"]),
        ];
        let metric = Metric::counter("x_total", "X.", BOTH);
        assert_eq!(
            metric.series(),
            [
                [("a", "1"), ("b", "3")],
                [("a", "1"), ("b", "4")],
                [("a", "2"), ("b", "3")],
                [("a", "2"), ("b", "4")]
            ]
        );
        assert_eq!(Metric::gauge("x", "X.", &[]).series().len(), 1);
        const OPEN: &[Label] = &[
            Label::of("a", || vec!["1"]),
            Label::configured("b", "each setting"),
        ];
        assert!(Metric::gauge("x", "X.", OPEN).series().is_empty());
    }

    #[test]
    fn the_unit_is_in_the_name() {
        for (name, unit) in [
            ("tollgate_x_duration_seconds", "seconds"),
            ("process_cpu_seconds_total", "seconds"),
            ("tollgate_x_bytes", "bytes"),
            ("tollgate_x_total", ""),
            ("tollgate_xseconds", ""),
        ] {
            assert_eq!(Metric::gauge(name, "", &[]).unit(), unit, "{name}");
        }
    }
}
