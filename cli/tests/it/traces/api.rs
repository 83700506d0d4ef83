//! A request to the API: one trace from it to the last question to Stripe, and nobody's data in it.

use bytes::Bytes;
use hyper::Request;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde_json::json;
use simulator::api::Faults;

use super::{Collector, ENDPOINT, PARENT, PROMPTLY, Seen, TRACE};
use crate::api::street::Till;
use crate::api::{AUDIENCE, ISSUER, service};
use crate::support::http::exchange;
use crate::support::process::Tollgate;
use crate::support::unique;

/// In ids, where nobody should use it.
const MAIL: &str = "ann@example.com";

/// OpenTelemetry's numbers for kinds of spans.
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

fn number(seen: &Seen, name: &str) -> Option<i64> {
    let found = seen.span.attributes.iter().find(|it| it.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

fn named<'a>(spans: &'a [Seen], name: &str) -> Vec<&'a Seen> {
    spans.iter().filter(|it| it.span.name == name).collect()
}

async fn api(till: &Till, collector_url: &str) -> (Tollgate, String) {
    let settings = till.settings();
    let more = [
        (ENDPOINT, collector_url),
        ("TOLLGATE_API_ADDR", "127.0.0.1:0"),
        ("TOLLGATE_API_ADMIN_ADDR", "127.0.0.1:0"),
        ("TOLLGATE_API_JWT_ISSUER", ISSUER),
        ("TOLLGATE_API_JWT_AUDIENCE", AUDIENCE),
    ];
    let settings: Vec<_> = settings.into_iter().chain(more).collect();
    let mut api = Tollgate::start(&["api"], &till.rig.env_with(&settings));
    api.ready().await;
    let url = format!("http://{}", api.logged("listening", "address").await);
    (api, url)
}

async fn check_out(url: &str, token: &str) -> u16 {
    let request = Request::post(format!("{url}/v1/users/{MAIL}/checkout-sessions"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("idempotency-key", unique())
        .header("traceparent", format!("{PARENT}-01"));
    let body = Bytes::from(json!({"package": "credits_1000"}).to_string());
    exchange(request, body)
        .await
        .expect("an answer")
        .status()
        .as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_one_trace_from_the_application_to_stripe() {
    let (collector, collector_url) = Collector::listen().await;
    let till = Till::open().await;
    till.rig
        .state_cache()
        .announce_before_anybody()
        .await
        .expect("Redis");
    let (mut api, url) = api(&till, &collector_url).await;
    // The first attempt to make a customer fails, and the second does not.
    till.stripe.set_faults(Faults {
        on: Some("customers".to_owned()),
        first: 1,
        ..Faults::default()
    });
    assert_eq!(check_out(&url, &service()).await, 200);
    assert_eq!(check_out(&url, "nobody's").await, 401);
    api.signal(stack::Signal::TERM);
    assert_eq!(api.end_within(PROMPTLY).await, Some(0), "{}", api.stderr());
    let spans = collector.spans();

    let requests = named(&spans, "POST /v1/users/{user}/checkout-sessions");
    let [request] = requests[..] else {
        panic!("one, and none of a stranger's: {spans:#?}");
    };
    assert_eq!(request.span.kind, SERVER);
    assert_eq!(request.service, "tollgate-api");
    assert_eq!(number(request, "http.response.status_code"), Some(200));
    assert!(
        request.span.parent_span_id.starts_with(&[0x00, 0xf0]),
        "the application's"
    );
    let ours: Vec<&Seen> = spans
        .iter()
        .filter(|it| it.span.trace_id == request.span.trace_id)
        .collect();
    for step in ["idempotency key", "transaction", "budget"] {
        let step = ours.iter().find(|it| it.span.name == step);
        let step = step.unwrap_or_else(|| panic!("{ours:#?}"));
        assert!([CLIENT, INTERNAL].contains(&step.span.kind));
        assert_eq!(step.span.parent_span_id, request.span.span_id);
    }

    let customers = named(&spans, "POST /v1/customers");
    let told: Vec<_> = customers
        .iter()
        .map(|it| (it.text("error.type"), number(it, "http.request.resend_count")))
        .collect();
    assert_eq!(told, [(Some("transient"), None), (None, Some(1))]);
    let sessions = named(&spans, "POST /v1/checkout/sessions");
    assert_eq!(sessions.len(), 1);
    for call in customers.into_iter().chain(sessions) {
        assert_eq!(call.span.kind, CLIENT);
        assert_eq!(call.span.parent_span_id, request.span.span_id, "a step of it");
        assert_eq!(call.text("http.request.method"), Some("POST"));
        assert_eq!(call.text("server.address"), Some("127.0.0.1"));
        assert!(number(call, "http.response.status_code").is_some());
    }
    assert!(!format!("{spans:?}").contains(MAIL), "nobody is in a trace");

    let log = api.stderr();
    let line = log.lines().find(|line| line.contains(r#""message":"request""#));
    assert!(line.is_some_and(|line| line.contains(TRACE)), "{log}");
}
