//! The way of one request. Each step takes what only the step before can give, so none can be skipped:
//! without a [`VerifiedBody`] there is no [`Entry`], without a [`Receipt`] there is no 200.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Method, Request, Response};
use shared::clock::Clock;
use shared::entry::{Entry, Meta};
use shared::envelope::{Envelope, VerifiedBody};
use shared::queue::{Gate, Producer, Receipt};
use shared::signature::SIGNATURE_HEADER;
use tokio::sync::Semaphore;

use crate::endpoint::{self, Endpoint};
use crate::meters::{AcceptedEvent, Counted, Meters};
use crate::refusal::Refusal;
use crate::trace::Traced;
use crate::{body, line};

/// Turns requests into queue entries. Shared by all connections.
pub(crate) struct Webhook {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) producer: Producer,
    pub(crate) gate: Gate,
    pub(crate) clock: Clock,
    /// In bytes.
    pub(crate) bodies_budget: Semaphore,
    pub(crate) body_limit: Duration,
    pub(crate) meters: Meters,
}

impl Webhook {
    /// Answers one request, whatever it is.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let start = Instant::now();
        let _counted = Counted::new(&self.meters.in_flight);
        match self.take(request, start).await {
            Ok((event, receipt)) => {
                self.meters.accepted(&event, start.elapsed());
                ok(receipt)
            }
            Err(refusal) => {
                self.meters.refused(&refusal, start.elapsed());
                line::refused(&refusal, start);
                refusal.response()
            }
        }
    }

    /// Receive, verify, peek, judge, enqueue.
    async fn take(
        &self,
        request: Request<Incoming>,
        start: Instant,
    ) -> Result<(AcceptedEvent, Receipt), Refusal> {
        let (head, body) = request.into_parts();
        let place = endpoint::find(&self.endpoints, head.uri.path()).ok_or(Refusal::UnknownEndpoint)?;
        let endpoint = &self.endpoints[place];
        if head.method != Method::POST {
            return Err(Refusal::Method);
        }
        // Before the body: whoever has no signature at all shall not cost us its memory.
        let signature = only_signature(&head.headers)?;

        let received = body::receive(body, &self.bodies_budget, self.body_limit).await?;
        let body_bytes = received.bytes.len();
        let now_ms = self.clock.unix_ms();
        let verified = VerifiedBody::verify(
            &endpoint.secrets,
            signature.as_bytes(),
            received.bytes,
            now_ms.div_euclid(1000),
        )?;
        let envelope = Envelope::peek(&verified)?;
        let mut event = AcceptedEvent {
            endpoint: place,
            rendering: envelope.rendering,
            mismatch: endpoint.judge(&envelope),
            secret_index: verified.secret_index(),
            body_bytes,
            received_at_ms: now_ms,
            created: envelope.created,
            enqueue_took: Duration::ZERO,
        };

        // Traces begin here and not before: what strangers send is in none, nor decides what is sampled.
        let mut traced = Traced::begin(&head.headers, &envelope, || began_ms(now_ms, start));
        let meta = Meta {
            envelope,
            endpoint: endpoint.name.clone(),
            received_at_ms: now_ms,
            mismatch: event.mismatch,
            traceparent: traced.traceparent(),
        };
        let entry = Entry::new(verified, meta);
        let asked = Instant::now();
        let stored = self.enqueue(&entry).await;
        event.enqueue_took = asked.elapsed();
        traced.end(&entry, stored.as_ref().err());
        let receipt = stored?;
        line::accepted(&entry, start);
        drop(received.budget);
        Ok((event, receipt))
    }

    /// Asks the gate only now, although asking sooner would save work under overload: so a 503 about Redis always
    /// stands for a real event, and can be alerted on. Verifying costs a few microseconds.
    async fn enqueue(&self, entry: &Entry) -> Result<Receipt, Refusal> {
        self.gate.check()?;
        Ok(self.producer.enqueue(entry).await?)
    }
}

/// When the request began, by the clock: `now_ms` is later, by the time its body took.
fn began_ms(now_ms: i64, start: Instant) -> i64 {
    now_ms - i64::try_from(start.elapsed().as_millis()).unwrap_or(0)
}

/// The one 200 there is.
fn ok(_receipt: Receipt) -> Response<Full<Bytes>> {
    Response::new(Full::default())
}

/// Two lines are not joined by a comma, as HTTP would allow: Stripe sends one, and whoever adds another
/// hopes that two readers disagree.
fn only_signature(headers: &HeaderMap) -> Result<&HeaderValue, Refusal> {
    let mut values = headers.get_all(SIGNATURE_HEADER).iter();
    let only = values.next().ok_or(Refusal::NoSignature)?;
    values
        .next()
        .map_or(Ok(only), |_| Err(Refusal::SeveralSignatures))
}
