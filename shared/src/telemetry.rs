//! Logs and metrics, set up once per process.
//!
//! Logs carry ids, never bodies, secrets or personal data. Metric names and units follow Prometheus:
//! `tollgate_<subject>_<what>_<unit>`, counters end in `_total`.

mod panics;
pub mod process;

use std::time::Duration;

use metrics::gauge;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::Env;
use crate::metric::{self, Kind, Label, Metric};

/// Seconds from acceptance to commit; also the name of the histogram with the finest steps.
pub const COMMIT_LATENCY: &str = "tollgate_event_commit_latency_seconds";

const BUILD_INFO: &str = "tollgate_build_info";

/// What every role shows, beside [`process::METRICS`].
pub const METRICS: &[Metric] = &[Metric::gauge(
    BUILD_INFO,
    "Always 1; which build of which role this is.",
    &[
        Label::configured("role", "`ingest`, `worker`, `api`"),
        Label::configured("version", "the release"),
    ],
)];

/// How often [`keep`] does its work.
const KEEP_EVERY: Duration = Duration::from_millis(250);

/// Starts logging to stderr, as `TOLLGATE_LOG` and `TOLLGATE_LOG_FORMAT` say, panics included. A second call does nothing.
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
    if result.is_ok() {
        panics::tell();
    }
}

/// Starts collecting the metrics of a role, all of them described and shown from the start; the handle renders them for
/// `/metrics`.
///
/// # Errors
/// When another recorder is installed in this process.
pub fn init_metrics(role: &'static str, tables: &[&[Metric]]) -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in tables.iter().copied().flatten() {
        if let Kind::Histogram(bounds) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)?;
        }
    }
    let handle = builder.install_recorder()?;
    metric::register(&[METRICS, crate::trace::METRICS]);
    metric::register(tables);
    gauge!(BUILD_INFO, "role" => role, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Sums up samples until dropped; all of them are kept until somebody does.
pub async fn keep(metrics: PrometheusHandle) {
    let mut ticks = tokio::time::interval(KEEP_EVERY);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}
