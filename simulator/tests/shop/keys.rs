//! Which key may do what.

use hyper::{Method, StatusCode};

use crate::till::Till;

async fn with(till: &Till, key: &str, method: Method, path: &str) -> crate::till::Answer {
    let key = format!("Bearer {key}");
    let sent = till
        .send(method, path, &[("authorization", key.as_str())], &[])
        .await;
    sent.expect("an answer")
}

#[tokio::test]
async fn restricted_keys_read_unless_they_may_write() {
    let till = Till::open().await;
    let read = with(&till, "rk_test_reader", Method::GET, "/v1/customers").await;
    assert_eq!(read.status, StatusCode::OK);
    let write = with(&till, "rk_test_reader", Method::POST, "/v1/customers").await;
    assert_eq!(write.status, StatusCode::FORBIDDEN);
    assert!(write.text.contains("'rak_customer_write'"), "{}", write.text);
    assert!(!write.text.contains("rk_test_reader"), "no key in a message");

    till.api
        .restrict("rk_test_till", &["customer_write", "event_read"]);
    let cases = [
        (Method::POST, "/v1/customers", StatusCode::OK),
        (Method::GET, "/v1/customers", StatusCode::OK),
        (Method::GET, "/v1/events", StatusCode::OK),
        (Method::GET, "/v1/prices", StatusCode::FORBIDDEN),
        (Method::POST, "/v1/refunds", StatusCode::FORBIDDEN),
        (Method::POST, "/v1/checkout/sessions", StatusCode::FORBIDDEN),
    ];
    for (method, path, status) in cases {
        let answer = with(&till, "rk_test_till", method, path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
    assert_eq!(till.count("customer").await, 1);
}

#[tokio::test]
async fn live_keys_see_nothing_of_test_mode() {
    let till = Till::open().await;
    let path = format!("/v1/prices/{}", till.catalogue.pro.id);
    assert_eq!(
        with(&till, "sk_test_1", Method::GET, &path).await.status,
        StatusCode::OK
    );
    let unseen = with(&till, "sk_live_1", Method::GET, &path).await;
    assert_eq!(unseen.status, StatusCode::NOT_FOUND);
    assert!(unseen.text.contains("a similar object exists in test mode"));
    let list = with(&till, "sk_live_1", Method::GET, "/v1/prices").await.ok();
    assert_eq!(list["data"], serde_json::json!([]));
    let refused = with(&till, "sk_live_1", Method::POST, "/v1/customers").await;
    assert_eq!(refused.error().2, "testmode_charges_only");
    assert_eq!(till.count("customer").await, 0);
}

#[tokio::test]
async fn what_is_written_is_answered_in_the_version_that_is_asked_for() {
    let till = Till::open().await;
    let (subscription, _) = till.subscriber("usr_1").await;
    let path = format!("/v1/subscriptions/{subscription}");
    let old = [("stripe-version", "2024-06-20")];
    let answer = till.ask(Method::POST, &path, &old, &[("metadata[a]", "b")]).await;
    assert!(answer.ok()["current_period_end"].is_i64());
    assert_eq!(answer.header("stripe-version"), Some("2024-06-20"));
    let answer = till.post(&path, &[("metadata[a]", "c")]).await;
    assert!(answer.ok()["current_period_end"].is_null());
    let events = till.events().await;
    assert!(
        events
            .iter()
            .all(|event| event["api_version"] == "2026-10-28.endive")
    );
}
