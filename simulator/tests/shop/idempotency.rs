//! One intention makes one object.

use hyper::{Method, StatusCode};
use serde_json::json;
use simulator::{api::Faults, catalogue::Catalogue};

use crate::till::{DAY, START, Till, id};

const FORM: [(&str, &str); 2] = [("email", "ada@example.com"), ("metadata[user_id]", "usr_1")];

#[tokio::test]
async fn the_same_request_gets_the_same_answer_and_makes_nothing() {
    let till = Till::open().await;
    let first = till.keyed("k1", "/v1/customers", &FORM).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(first.header("idempotency-key"), Some("k1"));
    // The order of the parameters says nothing.
    let turned = [FORM[1], FORM[0]];
    let again = till.keyed("k1", "/v1/customers", &turned).await;
    assert_eq!(again.ok(), first.ok());
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("original-request"), first.header("request-id"));
    assert_ne!(again.header("request-id"), first.header("request-id"));
    assert_eq!(till.count("customer").await, 1);
    let counts = till.get("/simulator/counts").await;
    assert_eq!(counts["by_key"], json!({"k1": {"customer": 1}}));
    let event = &till.events().await[0];
    assert_eq!(event["request"]["idempotency_key"], "k1");
    assert_eq!(event["request"]["id"].as_str(), first.header("request-id"));
}

#[tokio::test]
async fn the_same_key_for_something_else_is_refused() {
    let till = Till::open().await;
    till.keyed("k1", "/v1/customers", &FORM).await.ok();
    let other = till.keyed("k1", "/v1/customers", &FORM[..1]).await;
    let (status, kind, ..) = other.error();
    assert_eq!((status, kind.as_str()), (400, "idempotency_error"));
    let named = [("name", "a")];
    till.keyed("k2", "/v1/customers", &named).await.ok();
    let elsewhere = till.keyed("k2", "/v1/products", &named).await;
    let (status, kind, ..) = elsewhere.error();
    assert_eq!((status, kind.as_str()), (400, "idempotency_error"));
    assert_eq!(
        (till.count("customer").await, till.count("product").await),
        (2, 4)
    );
    let long = "k".repeat(256);
    let refused = till.keyed(&long, "/v1/customers", &FORM).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn while_the_first_request_is_under_way_the_key_is_in_use() {
    let till = Till::open().await;
    let lag = std::time::Duration::from_millis(300);
    till.api.set_faults(Faults {
        latency: (lag, lag),
        ..Faults::default()
    });
    let (one, two) = tokio::join!(
        till.keyed("k1", "/v1/customers", &FORM),
        till.keyed("k1", "/v1/customers", &FORM)
    );
    let (fine, refused) = if one.status == StatusCode::OK {
        (one, two)
    } else {
        (two, one)
    };
    assert_eq!(fine.status, StatusCode::OK);
    let (status, _, code, _) = refused.error();
    assert_eq!((status, code.as_str()), (409, "idempotency_key_in_use"));
    assert_eq!(refused.header("stripe-should-retry"), Some("true"));
    till.api.set_faults(Faults::default());
    let later = till.keyed("k1", "/v1/customers", &FORM).await;
    assert_eq!(later.ok(), fine.ok());
    assert_eq!(till.count("customer").await, 1);
}

#[tokio::test]
async fn what_was_refused_before_it_began_leaves_the_key_free() {
    let till = Till::open().await;
    let refused = till.keyed("k1", "/v1/customers", &[("emial", "a@b")]).await;
    assert_eq!(refused.error().2, "parameter_unknown");
    till.api.set_faults(Faults {
        first: 2,
        statuses: vec![429],
        ..Faults::default()
    });
    for _ in 0..2 {
        let locked = till.keyed("k1", "/v1/customers", &FORM).await;
        assert_eq!(locked.error().2, "lock_timeout");
    }
    let fine = till.keyed("k1", "/v1/customers", &FORM).await;
    assert_eq!(fine.header("idempotent-replayed"), None);
    fine.ok();
}

#[tokio::test]
async fn what_failed_after_it_began_fails_again() {
    let till = Till::open().await;
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_chargeDeclined"),
    ];
    let declined = till.keyed("k1", "/v1/payment_intents", &form).await;
    let (status, kind, code, _) = declined.error();
    assert_eq!(
        (status, kind.as_str(), code.as_str()),
        (402, "card_error", "card_declined")
    );
    let again = till.keyed("k1", "/v1/payment_intents", &form).await;
    assert_eq!((again.status, &again.text), (declined.status, &declined.text));
    assert_eq!(
        (till.count("payment_intent").await, till.count("charge").await),
        (1, 1)
    );
}

#[tokio::test]
async fn after_a_day_the_key_is_new_again() {
    let till = Till::open().await;
    let first = till.keyed("k1", "/v1/customers", &FORM).await.ok();
    till.advance(DAY - 1).await;
    assert_eq!(till.keyed("k1", "/v1/customers", &FORM).await.ok(), first);
    till.advance(1).await;
    assert_ne!(
        id(&till.keyed("k1", "/v1/customers", &FORM).await.ok()),
        id(&first)
    );
}

#[tokio::test]
async fn each_account_has_keys_of_its_own() {
    let till = Till::open().await;
    let other = Catalogue::new(2, START);
    till.api.shop().connect(other.clone());
    let headers = [
        ("idempotency-key", "k1"),
        ("stripe-account", other.account.as_str()),
    ];
    let ours = till.keyed("k1", "/v1/customers", &FORM).await.ok();
    let theirs = till.ask(Method::POST, "/v1/customers", &headers, &FORM).await;
    assert_eq!(theirs.header("idempotent-replayed"), None);
    assert_ne!(id(&ours), id(&theirs.ok()));
    let path = format!("/v1/customers/{}", id(&theirs.ok()));
    assert_eq!(
        till.ask(Method::GET, &path, &[], &[]).await.status,
        StatusCode::NOT_FOUND
    );
    let seen = till.ask(Method::GET, &path, &headers[1..], &[]).await;
    assert_eq!(seen.ok(), theirs.ok());
    let events = till.ask(Method::GET, "/v1/events", &headers[1..], &[]).await.ok();
    assert_eq!(events["data"][0]["account"], other.account.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_make_one_object() {
    let till = std::sync::Arc::new(Till::open().await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let till = std::sync::Arc::clone(&till);
        tasks.spawn(async move { till.keyed("k1", "/v1/customers", &FORM).await.status });
    }
    let statuses = tasks.join_all().await;
    assert!(statuses.iter().all(|status| matches!(status.as_u16(), 200 | 409)));
    assert_eq!(till.count("customer").await, 1);
}
