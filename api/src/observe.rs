//! Around every request: an id, a limit in time, one log line, its metrics.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::meters::{NO_ROUTE, duration};
use crate::problem::{Kind, Problem};

/// Longest a request may take; shorter than the lease of `idempotency`.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const _: () = assert!(
    REQUEST_TIMEOUT.as_secs() < crate::idempotency::LEASE.as_secs(),
    "nobody takes over what is still being carried out"
);

/// Names, bounds, counts and logs a request. Logs carry the route, never who asked or what for.
pub(crate) async fn observe(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let id = shared::unique::word();
    let method = method(request.method());
    let route = path.as_ref().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let began = Instant::now();
    let mut response = match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::from(Kind::UNAVAILABLE)
            .retry_after(Duration::from_secs(1))
            .into_response(),
    };
    let took = began.elapsed();
    let status = response.status().as_u16();
    duration(route.clone(), method, status).record(took);
    let ms = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::info!(request_id = id, method, route, status, took_us = ms, "request");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// A closed set: clients may invent methods.
fn method(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
