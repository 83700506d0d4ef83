//! Traces, seen by a collector: one trace from the request to the commit, and one from a request of an application to Stripe;
//! none unless asked for; and nothing waits for a collector that is away.

mod api;
mod replay;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use hyper::Request;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value;
use shared::signature::SIGNATURE_HEADER;
use tokio::net::TcpListener;

use crate::support::process::Tollgate;
use crate::support::{Rig, SECRET, customer, http, wait_for};

/// Far below what a collector that hangs would keep anybody waiting.
const PROMPTLY: Duration = Duration::from_secs(15);
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A span with the service that sent it.
#[derive(Debug, Clone)]
struct Seen {
    service: String,
    span: Span,
}

impl Seen {
    fn text(&self, name: &str) -> Option<&str> {
        text(&self.span.attributes, name)
    }
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|it| it.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// Takes spans as any collector would: OTLP over HTTP, protobuf.
#[derive(Clone, Default)]
struct Collector {
    seen: Arc<Mutex<Vec<Seen>>>,
    requests: Arc<AtomicUsize>,
}

impl Collector {
    async fn listen() -> (Self, String) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, url)
    }

    fn spans(&self) -> Vec<Seen> {
        self.seen.lock().expect("whole").clone()
    }

    async fn wait_for(&self, count: usize) -> Vec<Seen> {
        let reached = wait_for(async || self.spans().len() >= count).await;
        assert!(reached, "waited for {count} spans, saw {:#?}", self.spans());
        self.spans()
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) {
    collector.requests.fetch_add(1, Ordering::Relaxed);
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    for resource in request.resource_spans {
        let attributes = resource.resource.expect("a resource").attributes;
        let service = text(&attributes, "service.name").expect("a name").to_owned();
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        let seen = spans.map(|span| Seen {
            service: service.clone(),
            span,
        });
        collector.seen.lock().expect("whole").extend(seen);
    }
}

/// Ingest and a worker, as processes.
struct Roles {
    rig: Rig,
    ingest: Tollgate,
    worker: Tollgate,
    url: String,
    admin: String,
}

impl Roles {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let rig = Rig::new().await;
        let env = rig
            .env_with(settings)
            .with("TOLLGATE_LOG", "info,request=debug,event=debug");
        let mut ingest = Tollgate::start(&["ingest"], &env);
        let mut worker = Tollgate::start(&["worker"], &env);
        let admin = ingest.ready().await;
        worker.ready().await;
        let address = ingest.logged("listening", "address").await;
        Self {
            rig,
            ingest,
            worker,
            url: format!("http://{address}/webhooks/stripe"),
            admin,
        }
    }

    async fn deliver(&self, number: usize, traceparent: Option<&str>) {
        let body = customer(number, 1);
        let mut request = Request::post(&self.url).header(SIGNATURE_HEADER, http::signature(SECRET, &body));
        if let Some(traceparent) = traceparent {
            request = request.header("traceparent", traceparent);
        }
        assert_eq!(
            http::exchange(request, body).await.expect("an answer").status(),
            200
        );
    }

    async fn applied(&self, count: i64) {
        let applied = "SELECT count(*) FROM events WHERE status = 'applied'";
        self.rig.wait_for_count(applied, count).await;
    }

    async fn end(self) -> [Vec<Value>; 2] {
        let mut logs = [Vec::new(), Vec::new()];
        for (log, mut role) in logs.iter_mut().zip([self.ingest, self.worker]) {
            role.signal(stack::Signal::TERM);
            assert_eq!(role.end_within(PROMPTLY).await, Some(0), "{}", role.stderr());
            *log = role
                .stderr()
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
        }
        logs
    }
}

fn told<'a>(log: &'a [Value], target: &str) -> Vec<&'a Value> {
    log.iter().filter(|line| line["target"] == target).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_one_trace_from_the_request_to_the_commit() {
    let (collector, url) = Collector::listen().await;
    let roles = Roles::start(&[(ENDPOINT, &url)]).await;
    roles.deliver(1, None).await;
    roles.applied(1).await;
    let spans = collector.wait_for(3).await;
    let of = |name: &str| spans.iter().find(|it| it.span.name == name).expect("a span");
    let (request, message, work) = (
        of("POST /webhooks/stripe"),
        of("send events"),
        of("process events"),
    );

    assert_eq!(request.span.parent_span_id, Vec::<u8>::new(), "nobody was before");
    assert_eq!(message.span.parent_span_id, request.span.span_id);
    assert_eq!(work.span.parent_span_id, message.span.span_id);
    for it in [message, work] {
        assert_eq!(it.span.trace_id, request.span.trace_id);
        assert_eq!(it.text("messaging.system"), Some("redis"));
        assert_eq!(it.text("messaging.message.id"), Some("evt_1_1"));
        assert!(it.span.end_time_unix_nano >= it.span.start_time_unix_nano);
    }
    assert_eq!(work.text("tollgate.outcome"), Some("applied"));
    // Server, producer, consumer.
    assert_eq!([request, message, work].map(|it| it.span.kind), [2, 4, 5]);
    assert_eq!(
        [request, message, work].map(|it| it.service.as_str()),
        ["tollgate-ingest", "tollgate-ingest", "tollgate-worker"]
    );

    // The same trace in the lines of both, one line each.
    let trace: String = request
        .span
        .trace_id
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let sent = http::metric(&roles.admin, r#"tollgate_trace_spans_total{outcome="exported"}"#).await;
    assert_eq!(sent, 2);
    let [ingest, worker] = roles.end().await;
    for (log, target) in [(&ingest, "request"), (&worker, "event")] {
        let lines = told(log, target);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["trace_id"], trace.as_str());
        assert_eq!(lines[0]["event"], "evt_1_1");
    }
    assert_eq!(told(&worker, "event")[0]["outcome"], "applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_was_begun_before_goes_on_and_what_was_not_sampled_stays_so() {
    let (collector, url) = Collector::listen().await;
    let roles = Roles::start(&[(ENDPOINT, &url)]).await;
    roles.deliver(1, Some(&format!("{PARENT}-00"))).await;
    roles.deliver(2, Some(&format!("{PARENT}-01"))).await;
    roles.deliver(3, Some("no trace, but mail@example.com")).await;
    roles.applied(3).await;
    let spans = collector.wait_for(6).await;
    let in_trace = |it: &&Seen| it.span.trace_id.starts_with(&[0x4b, 0xf9]);
    let ours: Vec<&Seen> = spans.iter().filter(in_trace).collect();
    assert_eq!(ours.len(), 3, "the sampled one, and not the other: {ours:#?}");
    let request = ours.iter().find(|it| it.span.name.starts_with("POST"));
    let parent = &request.expect("one").span.parent_span_id;
    assert_eq!(parent[..2], [0x00, 0xf0]);

    let [_, worker] = roles.end().await;
    let traces: Vec<&Value> = told(&worker, "event")
        .into_iter()
        .filter(|line| line["trace_id"] == TRACE)
        .collect();
    assert_eq!(
        traces.len(),
        2,
        "whoever looks for the trace finds both in the log"
    );
    assert_eq!(collector.spans().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_unless_it_is_asked_for() {
    let (collector, url) = Collector::listen().await;
    for settings in [
        &[(ENDPOINT, url.as_str()), ("OTEL_SDK_DISABLED", "true")][..],
        &[(ENDPOINT, url.as_str()), ("OTEL_TRACES_SAMPLER", "always_off")],
        &[],
    ] {
        let roles = Roles::start(settings).await;
        roles.deliver(1, Some(&format!("{PARENT}-01"))).await;
        roles.applied(1).await;
        let [_, worker] = roles.end().await;
        assert_eq!(told(&worker, "event")[0]["trace_id"], TRACE, "{settings:?}");
    }
    assert_eq!(collector.requests.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_collector_that_is_away() {
    // Takes connections, says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_url = format!("http://{}", silent.local_addr().expect("bound"));
    // Nobody is there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gone_url = format!("http://{}", gone.local_addr().expect("bound"));
    drop(gone);
    for url in [silent_url, gone_url] {
        let roles = Roles::start(&[(ENDPOINT, &url)]).await;
        for number in 0..20 {
            roles.deliver(number, None).await;
        }
        roles.applied(20).await;
        let lost = r#"tollgate_trace_spans_total{outcome="not_delivered"}"#;
        assert!(wait_for(async || http::metric(&roles.admin, lost).await >= 40).await);
        let [ingest, _] = roles.end().await;
        let said = "the collector of traces does not take spans: they are lost";
        let said = ingest.iter().filter(|line| line["message"] == said).count();
        assert_eq!(said, 1, "once, and not for each batch");
    }
}
