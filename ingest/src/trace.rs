//! The spans of a verified event: the request, and below it the message to the worker. Without tracing, the context that
//! the request came with travels on as it is.

use hyper::HeaderMap;
use shared::entry::Entry;
use shared::envelope::Envelope;
use shared::trace::traceparent::of_request;
use shared::trace::{Kind, Span, begin};

use crate::refusal::Refusal;

/// What one event leaves behind in a trace.
pub(crate) struct Traced {
    spans: Option<Spans>,
    /// Of the request.
    parent: Option<String>,
}

struct Spans {
    request: Span,
    message: Span,
}

impl Traced {
    /// Begins when the request did, which nobody asks for while tracing is off.
    pub(crate) fn begin(headers: &HeaderMap, envelope: &Envelope, began_ms: impl FnOnce() -> i64) -> Self {
        let parent = of_request(headers).map(str::to_owned);
        let spans = shared::trace::is_on()
            .then(|| Spans::begin(parent.as_deref(), envelope, began_ms()))
            .flatten();
        Self { spans, parent }
    }

    /// What the worker is told.
    pub(crate) fn traceparent(&mut self) -> Option<String> {
        match &self.spans {
            Some(spans) => Some(spans.message.traceparent()),
            None => self.parent.take(),
        }
    }

    /// The event is in Redis, or was refused after all.
    pub(crate) fn end(self, entry: &Entry, refusal: Option<&Refusal>) {
        let Some(mut spans) = self.spans.filter(|spans| spans.request.is_recording()) else {
            return;
        };
        let status = refusal.map_or(200, |refusal| refusal.status().as_u16());
        spans.request.set("http.response.status_code", i64::from(status));
        spans
            .request
            .set("tollgate.endpoint", entry.meta.endpoint.clone());
        let bytes = i64::try_from(entry.body.len()).unwrap_or(i64::MAX);
        spans.message.set("messaging.message.body.size", bytes);
        if let Some(refusal) = refusal {
            spans.message.failed(refusal.reason());
            spans.request.failed(refusal.reason());
        }
    }
}

impl Spans {
    fn begin(parent: Option<&str>, envelope: &Envelope, began_ms: i64) -> Option<Self> {
        let mut request = begin(Kind::Server, "POST /webhooks/stripe", parent, began_ms)?;
        let mut message = request.child(Kind::Producer, "send events")?;
        if request.is_recording() {
            request.set("http.request.method", "POST");
            request.set("http.route", "/webhooks/stripe");
            message.set("messaging.system", "redis");
            message.set("messaging.destination.name", "events");
            message.set("messaging.operation.name", "send");
            message.set("messaging.operation.type", "send");
            message.set("messaging.message.id", envelope.id.clone());
            message.set("stripe.event.type", envelope.event_type.clone());
        }
        Some(Self { request, message })
    }
}
