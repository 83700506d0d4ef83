//! Reading the workers' histogram of acceptance-to-commit times, and quantiles of several together. Pure.

use std::collections::BTreeMap;

use shared::telemetry::COMMIT_LATENCY;

/// Cumulative counts by upper bound, in seconds' bits (bounds are equal texts in all workers).
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Histogram {
    /// Upper bound in seconds, and how many samples are at most that.
    buckets: Vec<(f64, f64)>,
}

/// Events by outcome.
pub(super) type Outcomes = BTreeMap<String, u64>;

impl Histogram {
    /// Reads the histogram from Prometheus's text format; other metrics are skipped.
    #[must_use]
    pub(super) fn parse(text: &str) -> Self {
        let prefix = format!("{COMMIT_LATENCY}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
            let bound = if bound == "+Inf" {
                f64::INFINITY
            } else {
                bound.parse().ok()?
            };
            Some((bound, count.trim().parse().ok()?))
        };
        Self {
            buckets: text.lines().filter_map(bucket).collect(),
        }
    }

    /// Adds another one with the same bounds.
    pub(super) fn add(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        for ((_, count), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
    }

    /// The `q`-quantile in seconds, interpolated within its bucket; `None` without samples, or when it
    /// lies beyond the last bound.
    #[must_use]
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.buckets.last()?.1;
        let rank = q * total;
        let index = self
            .buckets
            .iter()
            .position(|(_, count)| *count >= rank && *count > 0.0)?;
        let (bound, count) = self.buckets[index];
        let (below, before) = if index == 0 {
            (0.0, 0.0)
        } else {
            self.buckets[index - 1]
        };
        let inside = (count - before).max(1.0);
        bound
            .is_finite()
            .then(|| below + (bound - below) * ((rank - before) / inside).clamp(0.0, 1.0))
    }
}

/// Reads how many events had which outcome, of whatever type.
#[must_use]
pub(super) fn outcomes(text: &str) -> Outcomes {
    let outcome = |line: &str| {
        let (labels, count) = line.strip_prefix("tollgate_events_total{")?.split_once("} ")?;
        let (_, outcome) = labels.split_once("outcome=\"")?;
        Some((
            outcome.split('"').next()?.to_owned(),
            count.trim().parse::<u64>().ok()?,
        ))
    };
    let mut outcomes = Outcomes::new();
    for (outcome, count) in text.lines().filter_map(outcome) {
        *outcomes.entry(outcome).or_default() += count;
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE tollgate_event_commit_latency_seconds histogram
tollgate_event_commit_latency_seconds_bucket{le=\"0.001\"} 0
tollgate_event_commit_latency_seconds_bucket{le=\"0.002\"} 50
tollgate_event_commit_latency_seconds_bucket{le=\"0.004\"} 100
tollgate_event_commit_latency_seconds_bucket{le=\"+Inf\"} 100
tollgate_event_commit_latency_seconds_sum 0.2
tollgate_events_total{event_type=\"invoice.paid\",outcome=\"applied\"} 60
tollgate_events_total{event_type=\"other\",outcome=\"applied\"} 30
tollgate_events_total{event_type=\"other\",outcome=\"ignored\"} 10
";

    #[test]
    fn quantiles_are_interpolated() {
        let histogram = Histogram::parse(TEXT);
        assert_eq!(histogram.quantile(0.5), Some(0.002));
        assert_eq!(histogram.quantile(0.75), Some(0.003));
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn two_workers_count_as_one() {
        let mut both = Histogram::parse(TEXT);
        both.add(&Histogram::parse(TEXT));
        assert_eq!(both.quantile(0.5), Some(0.002));
        assert_eq!(both.buckets.last(), Some(&(f64::INFINITY, 200.0)));
    }

    #[test]
    fn outcomes_are_read() {
        let outcomes = outcomes(TEXT);
        assert_eq!(outcomes["applied"], 90);
        assert_eq!(outcomes.values().sum::<u64>(), 100);
    }
}
