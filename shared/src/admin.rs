//! The admin listener every role has: `/livez`, `/readyz`, `/metrics`. Never the listener Stripe reaches.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::telemetry::process;

/// What keeps a role from being ready, by name. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<RwLock<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// Not ready until every one of `conditions` has been reported good.
    #[must_use]
    pub fn waiting_for(conditions: &[&'static str]) -> Self {
        let waiting = conditions
            .iter()
            .map(|name| (*name, "not checked yet".to_owned()))
            .collect();
        Self(Arc::new(RwLock::new(waiting)))
    }

    /// Reports one condition: `None` is good.
    pub fn set(&self, condition: &'static str, problem: Option<String>) {
        let mut problems = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) => problems.insert(condition, problem),
            None => problems.remove(condition),
        };
    }

    /// Everything that is wrong.
    #[must_use]
    pub fn problems(&self) -> BTreeMap<&'static str, String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    metrics: PrometheusHandle,
}

/// The routes, for a role that adds its own.
pub fn router(readiness: Readiness, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(Admin { readiness, metrics })
}

/// Serves `router` until `stop`.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let problems = admin.readiness.problems();
    if problems.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let lines = problems
        .iter()
        .map(|(name, problem)| format!("{name}: {problem}\n"))
        .collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines)
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        admin.metrics.render() + &process::render(),
    )
}
