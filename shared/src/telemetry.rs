//! Logs and metrics, set up once per process.
//!
//! Logs carry ids, never bodies, secrets or personal data. Metric names and units follow Prometheus:
//! `tollgate_<subject>_<what>_<unit>`, counters end in `_total`.

use std::time::Duration;

use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::Env;

/// Seconds from acceptance to commit; also the name of the histogram with the finest steps.
pub const COMMIT_LATENCY: &str = "tollgate_event_commit_latency_seconds";

const MEMORY: &str = "process_resident_memory_bytes";
/// How often [`keep`] does its work.
const KEEP_EVERY: Duration = Duration::from_millis(250);
/// First upper bound of every duration histogram, seconds.
const FIRST_BOUND: f64 = 0.000_5;
/// Bounds grow by a quarter each: a quantile read from them is off by at most that.
const STEP: f64 = 1.25;
/// Covers up to about 100 s.
const BOUNDS: i32 = 56;

/// Starts logging to stderr, as `TOLLGATE_LOG` and `TOLLGATE_LOG_FORMAT` say. A second call does nothing.
pub fn init_logs(env: &Env) {
    let filter = env
        .get("TOLLGATE_LOG")
        .or_else(|| env.get("RUST_LOG"))
        .unwrap_or("info");
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let result = match env.get("TOLLGATE_LOG_FORMAT") {
        Some("text") => builder.try_init(),
        _ => builder.json().flatten_event(true).try_init(),
    };
    // An Err means that a subscriber is there already, as when roles share a process in tests.
    drop(result);
}

/// Starts collecting metrics; the handle renders them for `/metrics`.
///
/// # Errors
/// When another recorder is installed in this process.
pub fn init_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &duration_bounds())?
        .install_recorder()
}

/// Looks after the metrics of a process until dropped: sums up samples, which are all kept until somebody
/// does, and measures the process's memory.
pub async fn keep(metrics: PrometheusHandle) {
    describe_gauge!(MEMORY, Unit::Bytes, "Resident memory.");
    let mut ticks = tokio::time::interval(KEEP_EVERY);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
        if let Some(bytes) = std::fs::read_to_string("/proc/self/status")
            .ok()
            .as_deref()
            .and_then(resident_bytes)
        {
            gauge!(MEMORY).set(bytes);
        }
    }
}

/// `None` where there is no `/proc`.
fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// Upper bounds of duration histograms, seconds.
#[must_use]
pub fn duration_bounds() -> Vec<f64> {
    (0..BOUNDS).map(|step| FIRST_BOUND * STEP.powi(step)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_its_line() {
        assert_eq!(
            resident_bytes("VmHWM:\t 9 kB\nVmRSS:\t    2048 kB\nX: 1\n"),
            Some(2_097_152.0)
        );
        assert_eq!(resident_bytes("Name: x\n"), None);
    }
}
