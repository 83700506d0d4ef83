//! Answers that go wrong after everything went right.

use hyper::Method;
use simulator::api::Faults;

use crate::till::{Till, id};

const FORM: [(&str, &str); 1] = [("email", "ada@example.com")];
const KEYED: [(&str, &str); 2] = [("authorization", "Bearer sk_test_1"), ("idempotency-key", "k1")];

#[tokio::test]
async fn an_answer_gets_lost_and_is_there_when_asked_for_again() {
    let till = Till::open().await;
    till.api.set_faults(Faults {
        lost_first: 1,
        ..Faults::default()
    });
    let lost = till.send(Method::POST, "/v1/customers", &KEYED, &FORM).await;
    assert!(lost.is_none(), "{lost:?}");
    assert_eq!(till.count("customer").await, 1, "it happened");
    let again = till.send(Method::POST, "/v1/customers", &KEYED, &FORM).await;
    let again = again.expect("an answer");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let known = till.get(&format!("/v1/customers/{}", id(&again.ok()))).await;
    assert_eq!(known, again.ok());
    assert_eq!(till.count("customer").await, 1);
}

#[tokio::test]
async fn it_happens_and_500_is_the_answer_for_good() {
    let till = Till::open().await;
    till.make("/simulator/faults", &[("late_first", "1")]).await;
    for _ in 0..2 {
        let failed = till.keyed("k1", "/v1/customers", &FORM).await;
        assert_eq!(failed.error().0, 500);
        assert_eq!(till.count("customer").await, 1);
    }
    let kinds = till.kinds().await;
    assert_eq!(
        kinds,
        ["customer.created"],
        "the webhook tells what the answer did not"
    );
}

#[tokio::test]
async fn nothing_happens_when_it_fails_before() {
    let till = Till::open().await;
    till.make("/simulator/faults", &[("first", "1"), ("statuses[]", "429")])
        .await;
    assert_eq!(till.post("/v1/customers", &FORM).await.error().0, 429);
    assert_eq!(till.count("customer").await, 0);
    till.make("/v1/customers", &FORM).await;
}

#[tokio::test]
async fn only_the_endpoint_that_is_named_fails() {
    let till = Till::open().await;
    till.make("/simulator/faults", &[("on", "products"), ("errors", "1")])
        .await;
    till.make("/v1/customers", &FORM).await;
    assert!(
        till.post("/v1/products", &[("name", "a")])
            .await
            .status
            .is_server_error()
    );
}

#[tokio::test]
async fn who_hangs_up_does_not_stop_what_was_begun() {
    let till = Till::open().await;
    till.make(
        "/simulator/faults",
        &[("latency_min", "200"), ("latency_max", "200")],
    )
    .await;
    let asked = till.send(Method::POST, "/v1/customers", &KEYED, &FORM);
    let gone = tokio::time::timeout(std::time::Duration::from_millis(60), asked).await;
    assert!(gone.is_err(), "hung up");
    till.make("/simulator/faults", &[]).await;
    till.until(async |till| till.count("customer").await == 1).await;
}
