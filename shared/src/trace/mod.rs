//! Traces: what happened to one event, across processes. Off unless a collector is named (see [`Settings`]); then
//! [`begin`] is one load of a pointer that is not there, and nothing else of this module runs.
//!
//! A span holds what is written here by name and nothing that passes by: no span of a library, no event of the log. So
//! what a log may not hold, a trace cannot either. See docs/adr/0025 and docs/logs-and-traces.md.

mod export;
mod here;
mod settings;
pub mod traceparent;

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use export::{Flusher, Queue};

pub use export::{METRICS, QUEUE_SPANS_MAX};
pub use here::{call, carried, step, within};
pub(crate) use settings::SETTINGS;
pub use settings::Settings;

/// Longest a process waits, at its end, for spans to be sent.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

static TRACING: OnceLock<Tracing> = OnceLock::new();

struct Tracing {
    tracer: SdkTracer,
    flusher: Flusher,
}

/// What a span is about, in OpenTelemetry's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that was answered.
    Server,
    /// A message that was put into a queue.
    Producer,
    /// A message that was taken out of a queue and worked on.
    Consumer,
    /// A request of ours to somebody else.
    Client,
    /// A part of something of ours.
    Internal,
}

/// Starts sending spans, from this runtime and for as long as it lives. A second call does nothing.
///
/// # Errors
/// What is wrong with settings that only the exporter reads.
pub fn init(role: &'static str, settings: &Settings) -> Result<(), String> {
    let name = settings.service_name.clone();
    let resource = Resource::builder()
        .with_service_name(name.unwrap_or_else(|| format!("tollgate-{role}")))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let queue = Queue::start(settings, &resource)?;
    let flusher = queue.flusher();
    let provider = SdkTracerProvider::builder()
        .with_sampler(settings.sampler.clone())
        .with_resource(resource)
        .with_span_processor(queue)
        .build();
    let tracer = provider.tracer("tollgate");
    if TRACING.set(Tracing { tracer, flusher }).is_ok() {
        tracing::info!("traces are sent");
    }
    Ok(())
}

/// Sends what has ended, as long as that does not take long.
pub async fn finish() {
    if let Some(tracing) = TRACING.get() {
        tokio::time::timeout(FLUSH_LIMIT, tracing.flusher.flush())
            .await
            .ok();
    }
}

/// Whether spans are made at all.
#[must_use]
pub fn is_on() -> bool {
    TRACING.get().is_some()
}

/// Begins a span that follows `parent`, a `traceparent` of another process, or begins a trace. Nothing while tracing is off.
#[must_use]
pub fn begin(
    kind: Kind,
    name: impl Into<Cow<'static, str>>,
    parent: Option<&str>,
    began_ms: i64,
) -> Option<Span> {
    let tracing = TRACING.get()?;
    let context = match parent.and_then(traceparent::read) {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => Context::new(),
    };
    let builder = tracing.tracer.span_builder(name).with_start_time(at(began_ms));
    Some(Span::build(tracing, kind, builder, &context))
}

/// Begins a trace of its own that points at `origin`, a `traceparent` of long ago, when that was sampled.
#[must_use]
pub fn begin_again(kind: Kind, name: &'static str, origin: Option<&str>, began_ms: i64) -> Option<Span> {
    let tracing = TRACING.get()?;
    let origin = origin
        .and_then(traceparent::read)
        .filter(opentelemetry::trace::SpanContext::is_sampled);
    let links = origin.into_iter().map(Link::with_context).collect();
    let builder = tracing.tracer.span_builder(name).with_links(links);
    let builder = builder.with_start_time(at(began_ms));
    Some(Span::build(tracing, kind, builder, &Context::new()))
}

/// A span. It ends when it is dropped.
pub struct Span(opentelemetry_sdk::trace::Span);

impl Span {
    fn build(tracing: &Tracing, kind: Kind, builder: SpanBuilder, parent: &Context) -> Self {
        let builder = builder.with_kind(match kind {
            Kind::Server => SpanKind::Server,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        });
        Self(tracing.tracer.build_with_context(builder, parent))
    }

    /// Begins one below it, now.
    #[must_use]
    pub fn child(&self, kind: Kind, name: &'static str) -> Option<Self> {
        let tracing = TRACING.get()?;
        let parent = Context::new().with_remote_span_context(self.0.span_context().clone());
        let builder = tracing.tracer.span_builder(name);
        Some(Self::build(tracing, kind, builder, &parent))
    }

    fn context(&self) -> &opentelemetry::trace::SpanContext {
        self.0.span_context()
    }

    /// What whoever goes on elsewhere has to know.
    #[must_use]
    pub fn traceparent(&self) -> String {
        traceparent::write(self.0.span_context())
    }

    /// Whether it was sampled: otherwise it only passes on that it was not.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.0.is_recording()
    }

    /// Says something about it. Only ids, words of closed sets, and numbers: never what is in a body.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(name, value));
    }

    /// It did not end well, for a reason of a closed set.
    pub fn failed(&mut self, reason: &'static str) {
        self.0.set_attribute(KeyValue::new("error.type", reason));
        self.0.set_status(Status::error(reason));
    }

    /// Ends it at another time than now.
    pub fn end_at(mut self, ended_ms: i64) {
        self.0.end_with_timestamp(at(ended_ms));
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.traceparent()).finish()
    }
}

fn at(unix_ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0))
}
