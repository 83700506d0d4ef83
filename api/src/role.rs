//! The API as a process.

use std::error::Error;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use shared::config::{ConfigError, Env, Setting};
use shared::metric::Metric;
use shared::role::Role;
use tokio_util::sync::CancellationToken;

use crate::{ApiConfig, METRICS, SETTINGS, Server};

/// The role.
pub struct Api;

impl Role for Api {
    type Config = ApiConfig;
    const NAME: &'static str = "api";
    const ABOUT: &'static str =
        "Serves the billing API: what users may do, their credits, checkouts, corrections.";
    const SETTINGS: &'static [Setting] = SETTINGS;
    const METRICS: &'static [&'static [Metric]] = &[METRICS, store::METRICS, stripe_api::METRICS];
    const THREADS_MAX: usize = 8;

    fn configure(env: &Env) -> Result<ApiConfig, ConfigError> {
        ApiConfig::from_env(env)
    }

    fn shutdown(config: &ApiConfig) -> Duration {
        config.common.shutdown
    }

    async fn run(
        config: ApiConfig,
        metrics: PrometheusHandle,
        stop: CancellationToken,
    ) -> Result<(), Box<dyn Error>> {
        let server = Server::bind(config, metrics).await?;
        Ok(server.run(stop).await?)
    }
}
