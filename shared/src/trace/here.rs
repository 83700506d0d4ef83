//! What this task is in the middle of, so that a step knows what it is a step of without being told by everybody on the
//! way. Nothing is kept while tracing is off.

use std::borrow::Cow;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt, Tracer as _};

use super::{Kind, Span, TRACING};

tokio::task_local! {
    static HERE: SpanContext;
}

/// Does something below `span`.
pub async fn within<T>(span: Option<&Span>, work: impl Future<Output = T>) -> T {
    match span {
        Some(span) => HERE.scope(span.context().clone(), work).await,
        None => work.await,
    }
}

/// Takes what this task is in the middle of along to another.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let here = HERE.try_with(SpanContext::clone).ok();
    async move {
        match here {
            Some(here) => HERE.scope(here, work).await,
            None => work.await,
        }
    }
}

/// Begins a step of what this task is in the middle of; nothing when that is nothing.
#[must_use]
pub fn step(kind: Kind, name: &'static str) -> Option<Span> {
    let here = HERE.try_with(SpanContext::clone).ok()?;
    begin(kind, name, Some(here))
}

/// Begins a request of ours to somebody else: below what this task is in the middle of, or a trace of its own.
#[must_use]
pub fn call(name: impl Into<Cow<'static, str>>) -> Option<Span> {
    begin(Kind::Client, name, HERE.try_with(SpanContext::clone).ok())
}

fn begin(kind: Kind, name: impl Into<Cow<'static, str>>, parent: Option<SpanContext>) -> Option<Span> {
    let tracing = TRACING.get()?;
    let context = match parent {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => Context::new(),
    };
    let builder = tracing.tracer.span_builder(name);
    Some(Span::build(tracing, kind, builder, &context))
}
