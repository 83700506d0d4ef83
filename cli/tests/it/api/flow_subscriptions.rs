//! From a checkout to a subscription, and what becomes of it; asserted through the API alone.

use serde_json::json;

use super::street::{MONTH, Street};
use super::{service, user};

const STATE: &str = "/v1/users/ann/subscription-state";

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_bought_renewed_and_not_bought_twice() {
    let street = Street::open().await;
    let (api, ann) = (&street.api, user("ann"));
    let session = street.checkout(&ann, &json!({"plan": "pro"})).await;
    assert_eq!(
        (session.status, &session.body["status"]),
        (200, &json!("open")),
        "{session:?}"
    );
    let path = format!(
        "/v1/users/me/checkout-sessions/{}",
        session.body["id"].as_str().expect("an id")
    );
    assert_eq!(
        api.get(&ann, &path).await.body,
        session.body,
        "nobody has told anything yet"
    );

    street.till.pay(&session).await;
    street.wait_for_credits("ann", 2000).await;
    street.wait(STATE, "/state", &json!("active")).await;
    let shown = api.get(&ann, &path).await.body;
    assert_eq!(
        (&shown["status"], &shown["payment_status"], &shown["url"]),
        (&json!("complete"), &json!("paid"), &json!(null))
    );
    assert!(shown["subscription_id"].is_string(), "{shown}");
    assert_eq!(api.get(&user("bob"), &path).await.status, 404, "not bob's");

    for plan in ["pro", "team"] {
        let again = street.checkout(&ann, &json!({"plan": plan})).await;
        assert_eq!((again.status, again.code()), (409, "has_subscription"), "{plan}");
    }

    street.till.advance(MONTH).await;
    street.wait_for_credits("ann", 4000).await;
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_changed_in_the_portal() {
    let street = Street::open().await;
    let (api, ann) = (&street.api, user("ann"));
    let none = api.post(&ann, "/v1/users/me/portal-sessions", &json!({})).await;
    assert_eq!((none.status, none.code()), (409, "no_customer"));

    let session = street.checkout(&ann, &json!({"plan": "pro"})).await;
    street.till.pay(&session).await;
    street.wait_for_credits("ann", 2000).await;
    street.wait(STATE, "/state", &json!("active")).await;
    let portal = api.post(&ann, "/v1/users/me/portal-sessions", &json!({})).await;
    let page = portal.body["url"].as_str().expect("an address").to_owned();
    let state = api.get(&service(), STATE).await.body;
    let subscription = state["subscription"]["id"].as_str().expect("one");

    street.till.advance(MONTH / 2).await;
    let team = street.till.catalogue.team.id.clone();
    let click = [
        ("action", "switch"),
        ("subscription", subscription),
        ("price", &team),
    ];
    assert_eq!(street.till.post(&page, &click).await.0, 303);
    // Half of a month of Team instead of Pro, to the second.
    let reached = crate::support::wait_for(async || {
        let credits = api.get(&service(), "/v1/users/ann/credits").await.body["available"].as_i64();
        credits.is_some_and(|credits| (3980..=4000).contains(&credits))
    });
    assert!(
        reached.await,
        "{:?}",
        api.get(&service(), "/v1/users/ann/credits").await
    );

    let click = [("action", "cancel"), ("subscription", subscription)];
    assert_eq!(street.till.post(&page, &click).await.0, 303);
    street.till.advance(MONTH).await;
    street
        .wait(STATE, "/permissions/can_subscribe/allowed", &json!(true))
        .await;
    let again = street.checkout(&ann, &json!({"plan": "team"})).await;
    assert_eq!(
        again.status, 200,
        "a new one, once the old one is over: {again:?}"
    );
    assert_eq!(street.till.count("customer"), 1);
    street.close().await;
}
