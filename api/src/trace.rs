//! The span of a request whose caller is known. Before that it would be in strangers' hands what a collector is sent. What
//! the request does on its way are steps below it: see `shared::trace::step`.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use shared::clock::Clock;
use shared::trace::traceparent::{of_request, trace_id};
use shared::trace::{self, Kind, Span};

use crate::meters::NO_ROUTE;
use crate::observe::method;
use crate::problem::ProblemCode;

/// The trace of a request, for its line in the log.
#[derive(Debug, Clone)]
pub(crate) struct TraceId(pub String);

/// Traces a request, if anybody wants traces.
pub(crate) async fn traced(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    if !trace::is_on() {
        return next.run(request).await;
    }
    let method = method(request.method());
    let route = path.as_ref().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let parent = of_request(request.headers());
    let began_ms = Clock::system().unix_ms();
    let mut span = trace::begin(Kind::Server, format!("{method} {route}"), parent, began_ms);
    let mut response = trace::within(span.as_ref(), next.run(request)).await;
    if let Some(span) = &mut span {
        describe(span, method, route, &response);
        if let Some(id) = trace_id(&span.traceparent()) {
            response.extensions_mut().insert(TraceId(id.to_owned()));
        }
    }
    response
}

fn describe(span: &mut Span, method: &'static str, route: String, response: &Response) {
    let status = response.status();
    span.set("http.request.method", method);
    span.set("http.route", route);
    span.set("http.response.status_code", i64::from(status.as_u16()));
    let code = response.extensions().get::<ProblemCode>().map(|code| code.0);
    if let Some(code) = code {
        span.set("tollgate.problem", code);
    }
    if status.is_server_error() {
        span.failed(code.unwrap_or("internal"));
    }
}
