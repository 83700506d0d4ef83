//! What is said wrongly, and what Stripe says to that.

use hyper::Method;

use crate::till::Till;

/// A session for one of a price that is bought once.
const TOP_UP: &str =
    "mode=payment&success_url=http://x/&line_items[0][price]=PRICE&line_items[0][quantity]=1";

/// Path, form, code and parameter.
type Case = (&'static str, &'static str, &'static str, &'static str);

const CUSTOMERS: [Case; 3] = [
    ("/v1/customers", "nmae=a", "parameter_unknown", "nmae"),
    ("/v1/customers", "email=nobody", "", "email"),
    ("/v1/customers", "metadata[a]=LONG", "", "metadata[a]"),
];

const SESSIONS: [Case; 12] = [
    ("", "success_url=http://x/", "parameter_missing", "mode"),
    ("", "TOP_UP&mode=lease", "", "mode"),
    (
        "",
        "mode=payment&success_url=http://x/",
        "parameter_missing",
        "line_items",
    ),
    (
        "",
        "mode=payment&line_items[0][price]=PRICE&line_items[0][quantity]=1",
        "parameter_missing",
        "success_url",
    ),
    (
        "",
        "TOP_UP&line_items[0][price]=price_none",
        "resource_missing",
        "line_items[0][price]",
    ),
    ("", "TOP_UP&line_items[0][price]=PRO", "", "line_items"),
    ("", "TOP_UP&mode=subscription", "", "line_items"),
    ("", "TOP_UP&line_items[1][price]=PRICE", "", "line_items[1]"),
    ("", "TOP_UP&customer=cus_none", "resource_missing", "customer"),
    (
        "",
        "TOP_UP&subscription_data[metadata][a]=b",
        "",
        "subscription_data",
    ),
    ("", "TOP_UP&expires_at=5", "", "expires_at"),
    ("", "TOP_UP&success_url=done", "url_invalid", "success_url"),
];

const OTHERS: [Case; 10] = [
    (
        "/v1/payment_intents",
        "currency=usd",
        "parameter_missing",
        "amount",
    ),
    (
        "/v1/payment_intents",
        "amount=ten&currency=usd",
        "parameter_invalid_integer",
        "amount",
    ),
    (
        "/v1/payment_intents",
        "amount=0&currency=usd",
        "parameter_invalid_integer",
        "amount",
    ),
    (
        "/v1/payment_intents",
        "amount=49&currency=usd",
        "amount_too_small",
        "amount",
    ),
    ("/v1/payment_intents", "amount=500&currency=xxx", "", "currency"),
    (
        "/v1/payment_intents",
        "amount=500&currency=usd&customer=",
        "parameter_invalid_empty",
        "customer",
    ),
    ("/v1/refunds", "amount=5", "", "payment_intent"),
    (
        "/v1/refunds",
        "payment_intent=pi_none",
        "resource_missing",
        "payment_intent",
    ),
    ("/v1/billing_portal/sessions", "", "parameter_missing", "customer"),
    ("/v1/prices", "currency=usd", "parameter_missing", "product"),
];

/// The names and values of a form, of which later ones win.
fn pairs(text: &str) -> Vec<(&str, &str)> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let all: std::collections::BTreeMap<&str, &str> = pairs.collect();
    all.into_iter().collect()
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let till = Till::open().await;
    let long = "x".repeat(501);
    for (path, form, code, param) in CUSTOMERS.into_iter().chain(SESSIONS).chain(OTHERS) {
        let path = if path.is_empty() {
            "/v1/checkout/sessions"
        } else {
            path
        };
        let form = form
            .replace("TOP_UP", TOP_UP)
            .replace("PRICE", &till.catalogue.top_up.id)
            .replace("PRO", &till.catalogue.pro.id)
            .replace("LONG", &long);
        let refused = till.post(path, &pairs(&form)).await;
        let expected = (
            400,
            "invalid_request_error".to_owned(),
            code.to_owned(),
            param.to_owned(),
        );
        assert_eq!(refused.error(), expected, "{path} {form}: {}", refused.text);
    }
    assert!(till.events().await.is_empty(), "nothing happened");
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_written_to() {
    let till = Till::open().await;
    let cases = [
        (Method::POST, "/v1/customers/cus_none"),
        (Method::DELETE, "/v1/customers/cus_none"),
        (Method::POST, "/v1/checkout/sessions/cs_none/expire"),
        (Method::POST, "/v1/payment_intents/pi_none/confirm"),
        (Method::POST, "/v1/payment_intents/pi_none/cancel"),
        (Method::POST, "/v1/subscriptions/sub_none"),
        (Method::DELETE, "/v1/subscriptions/sub_none"),
        (Method::POST, "/v1/prices/price_none"),
        (Method::POST, "/v1/products/prod_none"),
        (Method::POST, "/v1/webhook_endpoints/we_none"),
    ];
    for (method, path) in cases {
        let refused = till.ask(method, path, &[], &[]).await;
        let (status, _, code, _) = refused.error();
        assert_eq!((status, code.as_str()), (404, "resource_missing"), "{path}");
    }
    let unknown = till.post("/v1/tax_rates", &[]).await;
    assert!(
        unknown
            .text
            .contains("Unrecognized request URL (POST: /v1/tax_rates)")
    );
}

#[tokio::test]
async fn a_body_has_to_be_a_form() {
    let till = Till::open().await;
    let headers = [
        ("authorization", "Bearer sk_test_1"),
        ("content-type", "application/json"),
    ];
    let request = hyper::Request::post(format!("{}/v1/customers", till.url));
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request
        .body(http_body_util::Full::new(bytes::Bytes::from(
            "{\"email\":\"a@b\"}",
        )))
        .expect("a request");
    let client =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let answer = client.request(request).await.expect("an answer");
    assert_eq!(answer.status(), 400);
    assert_eq!(till.count("customer").await, 0);
}

#[tokio::test]
async fn metadata_is_set_changed_and_taken_away() {
    let till = Till::open().await;
    let form = [
        ("metadata[a]", "1"),
        ("metadata[b]", "2"),
        ("name", "Ada"),
        ("phone", "5"),
    ];
    let customer = till.make("/v1/customers", &form).await;
    let path = format!("/v1/customers/{}", customer["id"].as_str().expect("an id"));
    let changed = till
        .make(&path, &[("metadata[a]", ""), ("metadata[c]", "3"), ("name", "")])
        .await;
    assert_eq!(changed["metadata"], serde_json::json!({"b": "2", "c": "3"}));
    assert_eq!(
        (&changed["name"], &changed["phone"]),
        (&serde_json::Value::Null, &"5".into())
    );
    assert_eq!(
        till.make(&path, &[("metadata", "")]).await["metadata"],
        serde_json::json!({})
    );
    let events = till.events().await;
    assert_eq!(events[1]["type"], "customer.updated");
    assert_eq!(events[1]["data"]["previous_attributes"]["metadata"]["a"], "1");
}
