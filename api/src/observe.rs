//! Around every request: an id, a limit in time, its canonical line in the log, its metrics.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use shared::trace::traceparent::{of_request, trace_id};

use crate::caller::AskedAs;
use crate::idempotency::REPLAYED;
use crate::meters::{NO_ROUTE, duration};
use crate::problem::{Kind, Problem, ProblemCode};
use crate::trace::TraceId;

/// Longest a request may take; shorter than the lease of `idempotency`.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const _: () = assert!(
    REQUEST_TIMEOUT.as_secs() < crate::idempotency::LEASE.as_secs(),
    "nobody takes over what is still being carried out"
);

/// Names, bounds, counts and logs a request.
pub(crate) async fn observe(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let id = shared::unique::word();
    let method = method(request.method());
    let route = path.as_ref().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let trace = of_request(request.headers())
        .and_then(trace_id)
        .map(str::to_owned);
    let began = Instant::now();
    let mut response = match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::from(Kind::UNAVAILABLE)
            .retry_after(Duration::from_secs(1))
            .into_response(),
    };
    let took = began.elapsed();
    line(&id, method, &route, trace.as_deref(), &response, took);
    duration(route, method, response.status().as_u16()).record(took);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The canonical line: one for each request, under the target `request`. It has the route and the role, never the path or
/// who asked: a hash of an id that may be an address is guessed in seconds. Who changed what is in the audit log.
fn line(
    id: &str,
    method: &'static str,
    route: &str,
    trace: Option<&str>,
    response: &Response,
    took: Duration,
) {
    let extensions = response.extensions();
    tracing::info!(
        target: "request",
        request_id = id,
        method,
        route,
        status = response.status().as_u16(),
        problem = extensions.get::<ProblemCode>().map(|code| code.0),
        role = extensions.get::<AskedAs>().map(|asked| asked.0.as_str()),
        replayed = response.headers().contains_key(REPLAYED),
        took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        trace_id = extensions.get::<TraceId>().map(|id| id.0.as_str()).or(trace),
        "request"
    );
}

/// A closed set: clients may invent methods.
pub(crate) fn method(method: &axum::http::Method) -> &'static str {
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
