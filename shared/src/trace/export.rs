//! From ended spans to the collector: a bounded queue and one task that empties it. Whoever ends a span never waits; what
//! does not fit, or does not arrive, is lost and counted.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use metrics::counter;
use opentelemetry::Context;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use tokio::sync::{mpsc, oneshot};

use super::Settings;
use crate::metric::{Label, Metric};

/// Ended spans that wait for the collector; about a kilobyte each.
pub const QUEUE_SPANS_MAX: usize = 8_192;
/// Most spans in one request.
const BATCH_SPANS_MAX: usize = 512;
/// How long spans are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(500);
/// Longest a collector may take to answer one batch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Pause after a batch that did not arrive. The queue fills meanwhile, and what comes on top is lost.
const PAUSE: Duration = Duration::from_secs(1);

const SPANS: &str = "tollgate_trace_spans_total";
const EXPORTED: &str = "exported";
const QUEUE_FULL: &str = "queue_full";
const NOT_DELIVERED: &str = "not_delivered";

/// What is counted.
pub const METRICS: &[Metric] = &[Metric::counter(
    SPANS,
    "Spans that ended, by what became of them; zero while tracing is off.",
    &[Label::of("outcome", || vec![EXPORTED, QUEUE_FULL, NOT_DELIVERED])],
)];

/// Takes ended spans.
pub(super) struct Queue(mpsc::Sender<Message>);

enum Message {
    Span(Box<SpanData>),
    /// Answered when everything before it is sent or lost.
    Flush(oneshot::Sender<()>),
}

impl Queue {
    /// The queue, with a task of its own on this runtime.
    ///
    /// # Errors
    /// What the exporter finds wrong with its own settings, such as a compression that is not built in.
    pub(super) fn start(settings: &Settings, resource: &Resource) -> Result<Self, String> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::default())
            .with_endpoint(settings.endpoint.to_string())
            .with_timeout(TIMEOUT)
            .with_retry_policy(RetryPolicy::disabled());
        let mut exporter = exporter.build().map_err(|error| error.to_string())?;
        exporter.set_resource(resource);
        let (sender, receiver) = mpsc::channel(QUEUE_SPANS_MAX);
        tokio::spawn(send_all(exporter, receiver));
        Ok(Self(sender))
    }

    /// Something that asks for everything to be sent.
    pub(super) fn flusher(&self) -> Flusher {
        Flusher(self.0.clone())
    }
}

/// Waits until everything that ended is sent or lost.
pub(super) struct Flusher(mpsc::Sender<Message>);

impl Flusher {
    pub(super) async fn flush(&self) {
        let (done, sent) = oneshot::channel();
        if self.0.send(Message::Flush(done)).await.is_ok() {
            sent.await.ok();
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("room", &self.0.capacity()).finish()
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.0.try_send(Message::Span(Box::new(span))).is_err() {
            counter!(SPANS, "outcome" => QUEUE_FULL).increment(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends until nobody is left who could end a span. Logged when trouble begins and when it is over, not for each batch.
async fn send_all(exporter: SpanExporter, mut queue: mpsc::Receiver<Message>) {
    let mut messages = Vec::with_capacity(BATCH_SPANS_MAX);
    let mut is_away = false;
    while queue.recv_many(&mut messages, BATCH_SPANS_MAX).await > 0 {
        gather(&mut queue, &mut messages).await;
        let (mut batch, mut waiting) = (Vec::with_capacity(messages.len()), Vec::new());
        for message in messages.drain(..) {
            match message {
                Message::Span(span) => batch.push(*span),
                Message::Flush(done) => waiting.push(done),
            }
        }
        if !batch.is_empty() {
            let was_away = is_away;
            is_away = !send(&exporter, batch).await;
            if is_away != was_away {
                report(is_away);
            }
        }
        let nobody_waits = waiting.is_empty();
        for done in waiting {
            done.send(()).ok();
        }
        if is_away && nobody_waits {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Sends once: whether it arrived.
async fn send(exporter: &SpanExporter, batch: Vec<SpanData>) -> bool {
    let count = batch.len() as u64;
    let arrived = exporter.export(batch).await.is_ok();
    let outcome = if arrived { EXPORTED } else { NOT_DELIVERED };
    counter!(SPANS, "outcome" => outcome).increment(count);
    arrived
}

/// A request for a handful of spans costs as much as one for hundreds. Ends early when somebody waits.
async fn gather(queue: &mut mpsc::Receiver<Message>, messages: &mut Vec<Message>) {
    let deadline = tokio::time::sleep(GATHER);
    tokio::pin!(deadline);
    while messages.len() < BATCH_SPANS_MAX && !matches!(messages.last(), Some(Message::Flush(_))) {
        tokio::select! {
            () = &mut deadline => return,
            message = queue.recv() => match message {
                Some(message) => messages.push(message),
                None => return,
            },
        }
    }
}

/// Not what the collector said: it may repeat what was sent.
fn report(is_away: bool) {
    if is_away {
        tracing::warn!("the collector of traces does not take spans: they are lost");
    } else {
        tracing::info!("the collector of traces takes spans again");
    }
}

/// The HTTP there is anyway: version 1, no TLS.
#[derive(Debug)]
struct Collector(Client<HttpConnector, Full<Bytes>>);

impl Default for Collector {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let (head, body) = request.into_parts();
        let asked = self.0.request(Request::from_parts(head, Full::new(body)));
        Box::pin(async {
            let exchange = async {
                let (head, body) = asked.await?.into_parts();
                let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
                Ok(Response::from_parts(head, body))
            };
            tokio::time::timeout(TIMEOUT, exchange).await?
        })
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[test]
    fn a_span_that_finds_the_queue_full_is_lost_and_counted() {
        let (sender, mut receiver) = mpsc::channel(2);
        let provider = SdkTracerProvider::builder().with_span_processor(Queue(sender));
        let tracer = provider.build().tracer("test");
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        metrics::with_local_recorder(&recorder, || (0..5).for_each(|_| drop(tracer.start("a span"))));
        assert!(
            page.render()
                .contains(r#"tollgate_trace_spans_total{outcome="queue_full"} 3"#)
        );
        receiver.close();
        assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_ok());
    }
}
