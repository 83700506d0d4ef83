//! Credits that are paid once, and given back; asserted through the API alone.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::street::Street;
use super::{service, user};

/// Buys the package for ann, and says which payment it was.
pub async fn package(street: &Street) -> String {
    let wish = json!({"package": "credits_1000"});
    let session = street.checkout(&user("ann"), &wish).await;
    street.till.pay(&session).await;
    street.wait_for_credits("ann", 1000).await;
    let id = session.body["id"].as_str().expect("an id");
    let path = format!("/v1/users/ann/checkout-sessions/{id}");
    let shown = street.api.get(&service(), &path).await.body;
    shown["payment_id"].as_str().expect("a payment").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_bought_and_given_back() {
    let street = Street::open().await;
    let (api, ann) = (&street.api, user("ann"));
    let payment = package(&street).await;
    let payment_path = format!("/v1/users/ann/payments/{payment}");
    let paid = api.get(&ann, &payment_path).await.body;
    assert_eq!(
        (
            &paid["status"],
            &paid["amount_received"],
            &paid["amount_refunded"]
        ),
        (&json!("succeeded"), &json!(1000), &json!(0)),
        "{paid}"
    );

    let refunds = format!("/v1/payments/{payment}/refunds");
    let body = |amount| json!({"amount": amount, "reason": "requested_by_customer", "note": "was too much"});
    let refused = api.post(&ann, &refunds, &body(250)).await;
    assert_eq!(
        (refused.status, refused.code()),
        (403, "forbidden"),
        "not by oneself"
    );
    let refund = api.post(&service(), &refunds, &body(250)).await;
    assert_eq!(
        (refund.status, &refund.body["amount"]),
        (200, &json!(250)),
        "{refund:?}"
    );
    let too_much = api.post(&service(), &refunds, &body(751)).await;
    assert_eq!(
        (too_much.status, too_much.code(), &too_much.body["refundable"]),
        (409, "not_refundable", &json!(750)),
        "whether or not Stripe has told of the first one"
    );
    street.wait_for_credits("ann", 750).await;
    street.wait(&payment_path, "/amount_refunded", &json!(250)).await;

    let rest = json!({"reason": "duplicate", "note": "was paid twice"});
    let refund = api.post(&service(), &refunds, &rest).await;
    assert_eq!(
        (refund.status, &refund.body["amount"]),
        (200, &json!(750)),
        "{refund:?}"
    );
    street.wait_for_credits("ann", 0).await;
    let nothing = api.post(&service(), &refunds, &rest).await;
    assert_eq!(
        (nothing.code(), &nothing.body["refundable"]),
        ("not_refundable", &json!(0))
    );
    assert_eq!(street.till.count("refund"), 2);
    let log = "SELECT string_agg(concat_ws(' ', role, action, user_id, reason, detail ->> 'amount'), '; ' ORDER BY id)
               FROM audit_log";
    assert_eq!(
        street.till.rig.text(log).await.as_deref(),
        Some("service payment.refund ann was too much 250; service payment.refund ann was paid twice 750")
    );
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_refunds_at_once_give_back_no_more_than_was_paid() {
    let street = Street::open().await;
    let refunds = format!("/v1/payments/{}/refunds", package(&street).await);
    let body = json!({"amount": 300, "reason": "duplicate", "note": "a crowd"});
    // Nobody may write down what they decided, until all who can have decided.
    let held = street.till.rig.hold_up("stripe_intents").await;
    let mut crowd = JoinSet::new();
    for _ in 0..10 {
        let (api, refunds, body) = (Arc::clone(&street.api), refunds.clone(), body.clone());
        crowd.spawn(async move { api.post(&service(), &refunds, &body).await.status });
    }
    street
        .till
        .rig
        .wait_for_count(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
            10,
        )
        .await;
    drop(held);
    let statuses = crowd.join_all().await;
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        3,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 409).count(),
        7,
        "{statuses:?}"
    );
    assert_eq!(
        street.till.count("refund"),
        3,
        "Stripe was not even asked for more"
    );
    street.wait_for_credits("ann", 100).await;
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_top_up_of_any_amount_is_worth_what_the_settings_say() {
    let street = Street::open().await;
    let session = street
        .checkout(&user("ann"), &json!({"topup": {"amount": 1234}}))
        .await;
    assert_eq!(session.status, 200, "{session:?}");
    street.till.pay(&session).await;
    street.wait_for_credits("ann", 2468).await;
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_in_a_page_of_ones_own_is_polled_until_it_is_paid() {
    let street = Street::open().await;
    let (api, ann) = (&street.api, user("ann"));
    let begun = api
        .post(
            &ann,
            "/v1/users/me/payment-intents",
            &json!({"package": "credits_1000"}),
        )
        .await;
    assert_eq!(
        (begun.status, &begun.body["amount"], &begun.body["status"]),
        (200, &json!(1000), &json!("requires_payment_method")),
        "{begun:?}"
    );
    assert!(begun.body["client_secret"].is_string());
    let id = begun.body["id"].as_str().expect("an id");
    let path = format!("/v1/users/ann/payments/{id}");
    let polled = api.get(&ann, &path).await;
    assert_eq!(
        (polled.status, &polled.body["status"]),
        (200, &json!("requires_payment_method"))
    );
    assert_eq!(
        api.get(&user("bob"), &format!("/v1/users/bob/payments/{id}"))
            .await
            .status,
        404
    );

    let confirm = format!("/v1/payment_intents/{id}/confirm");
    assert_eq!(
        street
            .till
            .post(&confirm, &[("payment_method", "pm_card_visa")])
            .await
            .0,
        200
    );
    street.wait(&path, "/status", &json!("succeeded")).await;
    street.wait_for_credits("ann", 1000).await;
    street.close().await;
}
