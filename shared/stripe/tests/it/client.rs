//! What is sent, and what comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use stripe_api::{
    FetchError, IdempotencyKey, ObjectRef, PaymentsOf, Request, RequestBuilder, Retrievable, STRIPE_VERSION,
    StripeClient, StripeMethod, StripeRequest,
};

use crate::server::{FakeStripe, Reply};
use crate::support::{NOW, client, customer, object};

#[tokio::test]
async fn a_request_carries_key_version_and_account() {
    let stripe = FakeStripe::start([]).await;
    let what = ObjectRef {
        account: Some("acct_1".to_owned()),
        ..customer()
    };
    client(&stripe.url).retrieve(&what).await.expect("fetched");
    let seen = stripe.only();
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("GET", "/v1/customers/cus_1")
    );
    assert_eq!(seen.header("authorization"), Some("Bearer sk_test_secret"));
    assert_eq!(seen.header("stripe-version"), Some(STRIPE_VERSION));
    assert_eq!(seen.header("stripe-account"), Some("acct_1"));
    assert!(
        seen.header("user-agent")
            .is_some_and(|agent| agent.starts_with("tollgate/"))
    );
    for absent in ["idempotency-key", "content-type", "stripe-context"] {
        assert_eq!(seen.header(absent), None);
    }
}

#[tokio::test]
async fn every_kind_has_its_address() {
    let body = |kind: Retrievable| format!(r#"{{"object":"{kind}","id":"x_1"}}"#);
    let stripe = FakeStripe::start(Retrievable::ALL.map(|kind| Reply::new(200, body(kind)))).await;
    let client = client(&stripe.url);
    for kind in Retrievable::ALL {
        let fetched = client.retrieve(&object(kind, "x_1")).await.expect("fetched");
        assert_eq!(fetched.body, body(kind));
    }
    let paths: Vec<_> = stripe.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(
        paths,
        [
            "/v1/customers/x_1",
            "/v1/subscriptions/x_1",
            "/v1/invoices/x_1",
            "/v1/payment_intents/x_1",
            "/v1/charges/x_1",
            "/v1/refunds/x_1",
            "/v1/disputes/x_1",
            "/v1/checkout/sessions/x_1",
            "/v1/prices/x_1",
            "/v1/products/x_1",
            "/v1/invoice_payments/x_1",
        ]
    );
    assert_eq!(stripe.seen()[0].header("stripe-account"), None, "the platform");
}

#[tokio::test]
async fn the_body_is_kept_byte_for_byte() {
    let body = "{\n  \"object\" : \"customer\", \"z\":1.10, \"a\":1e2, \"n\":\"\\u00e9 é \\/\",\r\n\t\"id\":\"cus_1\", \"z\":2 }\n\n";
    let stripe = FakeStripe::start([Reply::new(200, body)]).await;
    let fetched = client(&stripe.url).retrieve(&customer()).await.expect("fetched");
    assert_eq!(fetched.body, body);
    assert!(
        !format!("{fetched:?}").contains("cus_1"),
        "bodies are not printed"
    );
}

#[tokio::test]
async fn as_of_is_stripes_time_less_the_request() {
    let dated = || Reply::customer("cus_1").header("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let late = Duration::from_millis(1100);
    let stripe = FakeStripe::start([dated(), dated().late(late), Reply::customer("cus_1")]).await;
    let client = client(&stripe.url);
    let mut as_of = Vec::new();
    for _ in 0..3 {
        as_of.push(client.retrieve(&customer()).await.expect("fetched").as_of);
    }
    let stripes = 784_111_777;
    // A busy machine may make requests longer, never shorter.
    assert!((stripes - 10..=stripes - 1).contains(&as_of[0]), "{as_of:?}");
    assert!((stripes - 10..=stripes - 2).contains(&as_of[1]), "{as_of:?}");
    assert_eq!(as_of[2], NOW, "without a date, our clock when asking");
}

#[tokio::test]
async fn connections_are_used_again() {
    let stripe = FakeStripe::start([Reply::error(404, "resource_missing"), Reply::error(500, "")]).await;
    let client = client(&stripe.url);
    for _ in 0..20 {
        drop(client.clone().retrieve(&customer()).await);
    }
    assert_eq!(stripe.seen().len(), 20);
    assert_eq!(stripe.connections(), 1);
}

#[tokio::test]
async fn thin_events_point_at_paths_below_the_api() {
    let stripe = FakeStripe::start([]).await;
    let client = client(&stripe.url);
    for path in ["/v1/customers/cus_1", "/v2/core/accounts/acct_2"] {
        client.retrieve_path(Some("acct_1"), path).await.expect("fetched");
    }
    let seen = stripe.seen();
    assert_eq!(seen[0].path, "/v1/customers/cus_1");
    assert_eq!(seen[0].header("stripe-account"), Some("acct_1"));
    assert_eq!(seen[1].path, "/v2/core/accounts/acct_2");
    assert_eq!(
        seen[1].header("stripe-context"),
        Some("acct_1"),
        "what /v2 calls it"
    );
    assert_eq!(seen[1].header("stripe-account"), None);
}

#[tokio::test]
async fn what_is_no_request_is_not_sent() {
    let stripe = FakeStripe::start([]).await;
    let client = client(&stripe.url);
    for path in [
        "/v1/../admin",
        "//evil.example/v1/x",
        "https://evil.example/v1/x",
        "/v1/x?a=b",
        "/v1/x\r\nx: y",
    ] {
        let error = client.retrieve_path(None, path).await.expect_err("refused");
        assert!(matches!(error, FetchError::Permanent(_)), "{path}");
    }
    for id in ["", "..", "a\r\nb"] {
        let error = client
            .retrieve(&object(Retrievable::Price, id))
            .await
            .expect_err("refused");
        assert!(matches!(error, FetchError::Permanent(_)), "{id:?}");
    }
    let elsewhere = ObjectRef {
        account: Some("acct_1\r\nx: y".to_owned()),
        ..customer()
    };
    assert!(matches!(
        client.retrieve(&elsewhere).await,
        Err(FetchError::Permanent(_))
    ));
    assert!(stripe.seen().is_empty());
}

#[tokio::test]
async fn invoice_payments_are_listed_from_both_sides() {
    let page = r#"{"object":"list","data":[{"id":"inpay_2"}, {"id": "inpay_1"}],"has_more":true,"url":"x"}"#;
    let last = r#"{"object":"list","data":[],"has_more":false}"#;
    let stripe = FakeStripe::start([Reply::new(200, page), Reply::new(200, last)]).await;
    let client = client(&stripe.url);
    let of = PaymentsOf::Invoice("in_1".to_owned());
    let first = client
        .list_invoice_payments(None, &of, None)
        .await
        .expect("listed");
    assert_eq!(first.items, [r#"{"id":"inpay_2"}"#, r#"{"id": "inpay_1"}"#]);
    assert!(first.has_more);
    let of = PaymentsOf::PaymentIntent("pi_1".to_owned());
    let second = client
        .list_invoice_payments(Some("acct_1"), &of, Some("inpay_1"))
        .await;
    assert!(!second.expect("listed").has_more);
    let paths: Vec<_> = stripe.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(
        paths,
        [
            "/v1/invoice_payments?limit=100&invoice=in_1",
            "/v1/invoice_payments?limit=100&payment[type]=payment_intent&payment[payment_intent]=pi_1&starting_after=inpay_1",
        ]
    );
}

/// A request as async-stripe's generated crates have them.
struct CreateCustomer;

impl StripeRequest for CreateCustomer {
    type Output = BTreeMap<String, String>;

    fn build(&self) -> RequestBuilder {
        RequestBuilder::new(StripeMethod::Post, "/customers").form(&BTreeMap::from([("name", "a b&c")]))
    }
}

fn key() -> IdempotencyKey {
    IdempotencyKey::new("order-42").expect("a key")
}

#[tokio::test]
async fn every_attempt_carries_the_same_key() {
    let stripe = FakeStripe::start([Reply::error(503, ""), Reply::error(409, "lock_timeout")]).await;
    let request = Request::typed(&CreateCustomer, Some("acct_1"))
        .and_then(|request| request.idempotent(key()))
        .expect("fit to be sent");
    client(&stripe.url).ask(&request).await.expect("the third time");
    let seen = stripe.seen();
    assert_eq!(seen.len(), 3);
    for seen in seen {
        assert_eq!(
            (seen.method.as_str(), seen.path.as_str()),
            ("POST", "/v1/customers")
        );
        assert_eq!(seen.header("idempotency-key"), Some("order-42"));
        assert_eq!(
            seen.header("content-type"),
            Some("application/x-www-form-urlencoded")
        );
        assert_eq!(seen.header("stripe-account"), Some("acct_1"));
        assert_eq!(seen.body, "name=a+b%26c");
    }
}

#[tokio::test]
async fn without_a_key_a_change_is_asked_for_once() {
    let stripe = FakeStripe::start([Reply::error(503, "")]).await;
    let request = Request::typed(&CreateCustomer, None).expect("fit to be sent");
    let error = client(&stripe.url).ask(&request).await.expect_err("failed");
    assert!(matches!(error, FetchError::Transient { .. }));
    assert_eq!(stripe.seen().len(), 1);
}

#[tokio::test]
async fn typed_requests_of_async_stripe_work() {
    let stripe = FakeStripe::start([]).await;
    let client = client(&stripe.url);
    let made = CreateCustomer.customize().send(&client).await.expect("made");
    assert_eq!(made.get("id").map(String::as_str), Some("cus_1"));

    let other_shape = Reply::new(200, r#"{"id":1}"#);
    let stripe = FakeStripe::start([other_shape]).await;
    let error = CreateCustomer
        .customize()
        .send(&crate::support::client(&stripe.url))
        .await;
    assert!(matches!(error, Err(FetchError::Permanent(_))));

    fn is_client<C: StripeClient>(_: &C) {}
    is_client(&client);
}
