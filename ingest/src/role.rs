//! Ingest as a process.

use std::error::Error;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use shared::clock::Clock;
use shared::config::{ConfigError, Env, Setting};
use shared::metric::Metric;
use shared::queue::survey;
use shared::role::Role;
use tokio_util::sync::CancellationToken;

use crate::{IngestConfig, METRICS, SETTINGS, Server};

/// The role.
pub struct Ingest;

impl Role for Ingest {
    type Config = IngestConfig;
    const NAME: &'static str = "ingest";
    const ABOUT: &'static str =
        "Receives Stripe webhooks, verifies them, and answers 200 once Redis has them.";
    const SETTINGS: &'static [Setting] = SETTINGS;
    const METRICS: &'static [&'static [Metric]] = &[METRICS, survey::METRICS];
    // One thread verifies and forwards more events than Redis takes; more threads only cost memory.
    const THREADS_MAX: usize = 4;

    fn configure(env: &Env) -> Result<IngestConfig, ConfigError> {
        IngestConfig::from_env(env)
    }

    fn shutdown(config: &IngestConfig) -> Duration {
        config.common.shutdown
    }

    async fn run(
        config: IngestConfig,
        metrics: PrometheusHandle,
        stop: CancellationToken,
    ) -> Result<(), Box<dyn Error>> {
        let server = Server::bind(config, Clock::system(), metrics).await?;
        Ok(server.run(stop).await?)
    }
}
