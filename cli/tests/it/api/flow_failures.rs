//! Payments that fail; asserted through the API alone.

use serde_json::json;

use super::street::{MONTH, Street};
use super::{service, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_grants_nothing_and_leaves_the_checkout_open() {
    let street = Street::open().await;
    let (api, ann) = (&street.api, user("ann"));
    let session = street.checkout(&ann, &json!({"plan": "pro"})).await;
    let page = session.body["url"].as_str().expect("a page");
    assert_eq!(street.till.post(page, &[("action", "decline")]).await.0, 402);
    let again = street.checkout(&ann, &json!({"plan": "pro"})).await;
    assert_eq!(
        again.body["id"], session.body["id"],
        "the same page takes another card"
    );
    street.till.pay(&again).await;
    street.wait_for_credits("ann", 2000).await;

    let begun = api
        .post(
            &ann,
            "/v1/users/me/payment-intents",
            &json!({"topup": {"amount": 500}}),
        )
        .await;
    let id = begun.body["id"].as_str().expect("an id");
    let confirm = format!("/v1/payment_intents/{id}/confirm");
    let card = [("payment_method", "pm_card_visa_chargeDeclined")];
    assert_eq!(street.till.post(&confirm, &card).await.0, 402);
    let path = format!("/v1/users/ann/payments/{id}");
    street.wait(&path, "/error_code", &json!("card_declined")).await;
    let refund = json!({"reason": "duplicate", "note": "nothing was paid"});
    let refused = api
        .post(&service(), &format!("/v1/payments/{id}/refunds"), &refund)
        .await;
    assert_eq!((refused.status, refused.code()), (409, "not_refundable"));
    street.wait_for_credits("ann", 2000).await;
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_owes_a_renewal_buys_nothing_else_first() {
    let street = Street::open().await;
    let ann = user("ann");
    let session = street.checkout(&ann, &json!({"plan": "pro"})).await;
    street.till.pay(&session).await;
    street.wait_for_credits("ann", 2000).await;
    street.till.post("/simulator/payments", &[("decline", "1")]).await;
    street.till.advance(MONTH).await;
    let state = "/v1/users/ann/subscription-state";
    street.wait(state, "/state", &json!("past_due")).await;
    for wish in [json!({"package": "credits_1000"}), json!({"plan": "pro"})] {
        let refused = street.checkout(&ann, &wish).await;
        assert_eq!(
            (refused.status, refused.code()),
            (409, "payment_overdue"),
            "{wish}"
        );
    }
    street.close().await;
}
