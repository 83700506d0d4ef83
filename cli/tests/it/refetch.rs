//! What events cannot tell is asked of Stripe: here, of a stand-in that answers what a test gives it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use shared::config::Env;
use store::Store;
use tokio::net::TcpListener;

use crate::reckon::LOOKS;
use crate::support::{Rig, event};

/// Answers by path with query; what it does not know is `resource_missing`.
#[derive(Clone, Default)]
struct StandIn(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    answers: HashMap<String, Vec<(u16, Value)>>,
    asked: Vec<String>,
}

impl StandIn {
    async fn start() -> (Self, String) {
        let stand_in = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = stand_in.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let service = service_fn(move |request| {
                    let answer = server.answer(&request);
                    async move { Ok::<_, std::convert::Infallible>(answer) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        (stand_in, url)
    }

    /// Several answers to one question are given one after another; the last one stays.
    fn set(&self, path: &str, answers: Vec<(u16, Value)>) {
        self.0
            .lock()
            .expect("unpoisoned")
            .answers
            .insert(path.to_owned(), answers);
    }

    fn asked(&self) -> Vec<String> {
        self.0.lock().expect("unpoisoned").asked.clone()
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request
            .uri()
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default();
        let mut inner = self.0.lock().expect("unpoisoned");
        inner.asked.push(path.clone());
        let (status, body) = match inner.answers.get_mut(&path) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => (
                404,
                json!({"error": {"type": "invalid_request_error", "code": "resource_missing"}}),
            ),
        };
        // Far in the future, so that what is fetched is newer than the events of a test.
        Response::builder()
            .status(status)
            .header("Date", "Tue, 01 Jan 2030 00:00:00 GMT")
            .header("Retry-After", "1")
            .body(Full::from(body.to_string()))
            .expect("a response")
    }
}

fn with_key(rig: &Rig, url: &str) -> Env {
    rig.env_with(&[
        ("STRIPE_API_KEY", "sk_test_123"),
        ("TOLLGATE_STRIPE_API_URL", url),
    ])
}

fn thin(id: &str, kind: &str, object: &str, twin: Option<&str>) -> Bytes {
    let body = json!({
        "id": id, "object": "v2.core.event", "type": format!("v1.{kind}.updated"), "livemode": false,
        "created": "2026-11-02T10:01:00.000Z", "snapshot_event": twin,
        "related_object": {"id": object, "type": kind, "url": format!("/v1/{kind}s/{object}")},
    });
    Bytes::from(body.to_string())
}

fn customer(email: &str) -> Value {
    json!({"id": "cus_1", "object": "customer", "email": email, "livemode": false, "metadata": {"user_id": "u"}})
}

const EMAIL: &str = "SELECT email FROM customers";
const OPEN: &str = "SELECT count(*) FROM refetches WHERE given_up_at IS NULL";

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_event_is_fetched_and_applied() {
    let rig = Rig::new().await;
    let (stripe, url) = StandIn::start().await;
    // Too many at first: the fleet waits, and asks again.
    let too_many = json!({"error": {"type": "rate_limit"}});
    stripe.set(
        "/v1/customers/cus_1",
        vec![(429, too_many), (200, customer("fetched@example.com"))],
    );
    rig.enqueue(&[thin("evt_thin", "customer", "cus_1", None)]).await;
    let worker = rig.worker_with(with_key(&rig, &url));
    rig.wait_for_text(EMAIL, "fetched@example.com").await;
    rig.wait_for_count(OPEN, 0).await;
    rig.wait_for_text("SELECT id FROM users", "u").await;
    assert_eq!(stripe.asked(), ["/v1/customers/cus_1", "/v1/customers/cus_1"]);
    // No delivery, so not counted as one.
    let state = rig.store().state("").await.expect("readable");
    assert_eq!(
        state["events"],
        json!({"deliveries": 1, "distinct": 1, "not_applied": 1})
    );
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_event_whose_twin_came_asks_nothing() {
    let rig = Rig::new().await;
    let (stripe, url) = StandIn::start().await;
    rig.enqueue(&[event("evt_1", "customer.updated", 5, &customer("a@example.com"))])
        .await;
    let worker = rig.worker_with(with_key(&rig, &url));
    rig.wait_for_text(EMAIL, "a@example.com").await;
    rig.enqueue(&[thin("evt_thin", "customer", "cus_1", Some("evt_1"))])
        .await;
    rig.wait_until_drained().await;
    assert_eq!(rig.count("SELECT count(*) FROM refetches").await, 0);
    assert!(stripe.asked().is_empty());
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tie_that_events_cannot_solve_is_asked() {
    let rig = Rig::new().await;
    let (stripe, url) = StandIn::start().await;
    stripe.set("/v1/customers/cus_1", vec![(200, customer("true@example.com"))]);
    let two = ["one@example.com", "two@example.com"]
        .map(|email| event(&format!("evt_{email}"), "customer.updated", 5, &customer(email)));
    rig.enqueue(&two).await;
    let worker = rig.worker_with(with_key(&rig, &url));
    rig.wait_for_text(EMAIL, "true@example.com").await;
    rig.wait_for_count(OPEN, 0).await;
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_or_deleted_is_given_up_and_changes_nothing() {
    let rig = Rig::new().await;
    let (stripe, url) = StandIn::start().await;
    stripe.set(
        "/v1/customers/cus_1",
        vec![(200, json!({"id": "cus_1", "object": "customer", "deleted": true}))],
    );
    rig.enqueue(&[
        event("evt_1", "customer.updated", 5, &customer("a@example.com")),
        thin("evt_2", "customer", "cus_1", None),
        thin("evt_3", "invoice", "in_missing", None),
    ])
    .await;
    let worker = rig.worker_with(with_key(&rig, &url));
    rig.wait_for_count("SELECT count(*) FROM refetches WHERE given_up_at IS NOT NULL", 2)
        .await;
    assert_eq!(
        rig.text("SELECT user_id FROM customers").await.as_deref(),
        Some("u")
    );
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_with_many_lines_grants_all_of_them() {
    let rig = Rig::new().await;
    let (stripe, url) = StandIn::start().await;
    let price =
        json!({"id": "price_1", "unit_amount": 100, "currency": "usd", "metadata": {"credits": "10"}});
    let line = |n: usize| json!({"id": format!("il_{n}"), "amount": 100, "quantity": 1, "price": price});
    let invoice = |lines: Vec<Value>| {
        json!({"id": "in_1", "object": "invoice", "status": "paid", "billing_reason": "subscription_cycle",
            "amount_paid": 300, "created": 5, "livemode": false, "metadata": {"user_id": "u"},
            "lines": {"data": lines, "has_more": true}})
    };
    stripe.set("/v1/invoices/in_1", vec![(200, invoice(vec![line(1)]))]);
    let page =
        |lines: Vec<Value>, more: bool| (200, json!({"object": "list", "data": lines, "has_more": more}));
    stripe.set(
        "/v1/invoices/in_1/lines?limit=100",
        vec![page(vec![line(1), line(2)], true)],
    );
    stripe.set(
        "/v1/invoices/in_1/lines?limit=100&starting_after=il_2",
        vec![page(vec![line(3)], false)],
    );
    rig.enqueue(&[event("evt_1", "invoice.paid", 5, &invoice(vec![line(1)]))])
        .await;
    let worker = rig.worker_with(with_key(&rig, &url));
    let credits = "SELECT balance::text FROM ledger_accounts WHERE owner_kind = 'user'";
    rig.wait_for_text(credits, "30").await;
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_questions_wait_until_a_worker_has_one() {
    let rig = Rig::new().await;
    rig.enqueue(&[thin("evt_thin", "customer", "cus_1", None)]).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    assert_eq!(rig.count(OPEN).await, 1);
    let due = "SELECT count(*) FROM refetches WHERE next_attempt_at < 'infinity'";
    assert_eq!(rig.count(due).await, 0, "nothing is due that nobody can do");
    worker.stop().await.expect("a clean end");

    let (stripe, url) = StandIn::start().await;
    stripe.set("/v1/customers/cus_1", vec![(200, customer("late@example.com"))]);
    let worker = rig.worker_with(with_key(&rig, &url));
    rig.wait_for_text(EMAIL, "late@example.com").await;
    worker.stop().await.expect("a clean end");
}

/// A worker looks at the queue when it is empty, again and again; that is what Postgres plans for.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_questions_are_taken_than_can_be_asked() {
    let rig = Rig::new().await;
    let store = Store::for_working(&rig.database_url, 1).expect("an URL");
    rig.execute("VACUUM (ANALYZE) refetches").await;
    for _ in 0..LOOKS {
        assert_eq!(store.due_refetches(3, 60).await.expect("none"), Vec::new());
    }
    rig.execute(
        "INSERT INTO refetches (account, kind, object_id, livemode, reason, next_attempt_at)
         SELECT '', 'customer', 'cus_' || number, false, 'missing_parent', to_timestamp(number)
         FROM generate_series(1, 100) AS number",
    )
    .await;
    let mut taken = Vec::new();
    for _ in 0..2 {
        let due = store.due_refetches(3, 60).await.expect("questions");
        taken.push(due.into_iter().map(|due| due.key.id).collect::<Vec<_>>());
        taken.last_mut().expect("just pushed").sort();
    }
    assert_eq!(taken, [["cus_1", "cus_2", "cus_3"], ["cus_4", "cus_5", "cus_6"]]);

    // Nobody needs to be asked for what came by itself; that is looked at in portions, too.
    rig.execute("INSERT INTO objects (account, kind, id) SELECT account, kind, object_id FROM refetches")
        .await;
    store.due_refetches(3, 60).await.expect("questions");
    assert_eq!(rig.count("SELECT count(*) FROM refetches").await, 97);
}
