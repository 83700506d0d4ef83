//! A subscription that is changed without a page of Stripe's; asserted through the API alone.

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::street::{MONTH, Street};
use super::{Answer, admin, service, user};
use crate::support::{unique, wait_for};

const STATE: &str = "/v1/users/ann/subscription-state";
const BILLING: &str = "/v1/users/ann/billing";
const CHANGE: &str = "/v1/users/ann/subscription/change";
const CANCEL: &str = "/v1/users/ann/subscription/cancel";
const RESUME: &str = "/v1/users/ann/subscription/resume";

/// Ann, who has a plan with 2,000 credits.
pub async fn with_pro() -> Street {
    let street = Street::open().await;
    let session = street.checkout(&user("ann"), &json!({"plan": "pro"})).await;
    street.till.pay(&session).await;
    street.wait_for_credits("ann", 2000).await;
    street.wait(BILLING, "/subscription/plan", &json!("pro")).await;
    street
}

async fn changed(street: &Street, path: &str, body: &Value) -> Value {
    let answer: Answer = street.api.post(&user("ann"), path, body).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_paid_and_granted_in_proportion() {
    let street = with_pro().await;
    street.till.advance(MONTH / 2).await;
    let answer = changed(&street, CHANGE, &json!({"plan": "team"})).await;
    assert_eq!(
        (&answer["status"], &answer["cancel_at_period_end"]),
        (&json!("active"), &json!(false)),
        "{answer}"
    );
    street.wait(BILLING, "/subscription/plan", &json!("team")).await;
    // Half of a month of Team instead of Pro, to the second.
    let mut last = Value::Null;
    let reached = wait_for(async || {
        last = street.api.get(&service(), BILLING).await.body;
        last["credits"]["available"]
            .as_i64()
            .is_some_and(|credits| (3980..=4000).contains(&credits))
    });
    assert!(reached.await, "{last}");
    assert_eq!(last["usage"]["limit"], 6000, "{last}");
    assert_eq!(
        (
            &last["invoices"][0]["billing_reason"],
            &last["invoices"][0]["status"]
        ),
        (&json!("subscription_update"), &json!("paid")),
        "{last}"
    );
    let known = street.till.count("subscription");
    let again = changed(&street, CHANGE, &json!({"plan": "team"})).await;
    assert_eq!(
        (&again["id"], known),
        (&answer["id"], 1),
        "the same again is no change"
    );
    assert_eq!(street.till.count("invoice"), 2);
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_paid_does_not_happen() {
    let street = with_pro().await;
    street.till.post("/simulator/payments", &[("decline", "1")]).await;
    let declined = street
        .api
        .post(&user("ann"), CHANGE, &json!({"plan": "team"}))
        .await;
    assert_eq!(
        (declined.status, declined.code()),
        (402, "payment_declined"),
        "{declined:?}"
    );
    let billing = street.api.get(&service(), BILLING).await.body;
    assert_eq!(
        (&billing["subscription"]["plan"], &billing["credits"]["available"]),
        (&json!("pro"), &json!(2000)),
        "{billing}"
    );
    changed(&street, CHANGE, &json!({"plan": "team"})).await;
    street.wait(BILLING, "/subscription/plan", &json!("team")).await;
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_planned_taken_back_and_planned_again() {
    let street = with_pro().await;
    let planned = changed(&street, CANCEL, &Value::Null).await;
    assert_eq!(planned["cancel_at_period_end"], true, "{planned}");
    street
        .wait(BILLING, "/subscription/cancel_at_period_end", &json!(true))
        .await;
    assert_eq!(
        street.api.get(&service(), STATE).await.body["state"],
        "active",
        "until then"
    );
    // Two changes in one second are a tie, which events alone do not settle.
    street.till.advance(60).await;
    let resumed = changed(&street, RESUME, &Value::Null).await;
    assert_eq!(resumed["cancel_at_period_end"], false, "{resumed}");
    street
        .wait(BILLING, "/subscription/cancel_at_period_end", &json!(false))
        .await;
    street.till.advance(MONTH).await;
    street.wait_for_credits("ann", 4000).await;

    // Also while billing is off.
    let off = street
        .api
        .request(Method::PUT, "/v1/admin/switches/billing", Some(&admin()))
        .header("Idempotency-Key", unique());
    let body = Bytes::from_static(br#"{"on": false, "reason": "a test"}"#);
    assert_eq!(street.api.send(off, body).await.status, 200);
    changed(&street, CANCEL, &Value::Null).await;
    street.till.advance(MONTH).await;
    street.wait(STATE, "/entitled", &json!(false)).await;
    let over = street.api.post(&service(), CANCEL, &Value::Null).await;
    assert_eq!((over.status, over.code()), (409, "no_subscription"));
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_says_why() {
    let street = with_pro().await;
    let api = &street.api;
    let refusals = [
        (
            user("bob"),
            "/v1/users/me/subscription/change",
            json!({"plan": "team"}),
            409,
            "no_subscription",
        ),
        (user("bob"), CHANGE, json!({"plan": "team"}), 403, "forbidden"),
        (
            user("ann"),
            CHANGE,
            json!({"plan": "credits_1000"}),
            404,
            "unknown_offer",
        ),
        (
            user("ann"),
            CHANGE,
            json!({"plan": "platinum"}),
            404,
            "unknown_offer",
        ),
        (service(), CHANGE, json!({}), 400, "invalid_request"),
        (service(), CHANGE, json!({"plan": ""}), 400, "invalid_request"),
    ];
    for (token, path, body, status, code) in refusals {
        let answer = api.post(&token, path, &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{path} {body}: {answer:?}"
        );
    }
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_changes_once_and_who_owes_nothing() {
    let street = with_pro().await;
    let api = &street.api;
    let one = api
        .post_with_key(&service(), CHANGE, "one", &json!({"plan": "team"}))
        .await;
    assert_eq!(one.status, 200, "{one:?}");
    // As if the answer had never been kept.
    street.till.rig.execute("DELETE FROM api_requests").await;
    let again = api
        .post_with_key(&service(), CHANGE, "one", &json!({"plan": "team"}))
        .await;
    assert_eq!(again.body, one.body);
    street.till.rig.execute("DELETE FROM api_requests").await;
    let other = api
        .post_with_key(&service(), CHANGE, "one", &json!({"plan": "pro"}))
        .await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    assert_eq!(
        street
            .till
            .rig
            .count("SELECT count(*) FROM stripe_intents WHERE kind = 'change'")
            .await,
        1
    );

    street.wait(BILLING, "/subscription/plan", &json!("team")).await;
    street.till.post("/simulator/payments", &[("decline", "1")]).await;
    street.till.advance(MONTH).await;
    street.wait(STATE, "/state", &json!("past_due")).await;
    let owing = api.post(&user("ann"), CHANGE, &json!({"plan": "pro"})).await;
    assert_eq!((owing.status, owing.code()), (409, "payment_overdue"));
    street.close().await;
}
