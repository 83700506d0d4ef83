//! Intents, refunds and disputes.

use serde_json::{Value, json};

use crate::till::{Till, id};

#[tokio::test]
async fn an_intent_is_made_confirmed_and_paid() {
    let till = Till::open().await;
    let form = [
        ("amount", "1500"),
        ("currency", "usd"),
        ("metadata[user_id]", "usr_1"),
        ("automatic_payment_methods[enabled]", "true"),
        ("description", "Credits"),
    ];
    let intent = till.make("/v1/payment_intents", &form).await;
    assert_eq!(
        (&intent["status"], &intent["amount_received"]),
        (&json!("requires_payment_method"), &json!(0))
    );
    assert_eq!(
        (
            &intent["description"],
            &intent["automatic_payment_methods"]["enabled"]
        ),
        (&json!("Credits"), &json!(true))
    );
    let path = format!("/v1/payment_intents/{}", id(&intent));
    let bare = till.post(&format!("{path}/confirm"), &[]).await;
    assert_eq!(bare.error().2, "payment_intent_unexpected_state");
    let card = [("payment_method", "pm_card_visa")];
    let paid = till.make(&format!("{path}/confirm"), &card).await;
    assert_eq!(
        (&paid["status"], &paid["amount_received"]),
        (&json!("succeeded"), &json!(1500))
    );
    assert_eq!(till.get(&path).await, paid);
    let charge = till
        .get(&format!(
            "/v1/charges/{}",
            paid["latest_charge"].as_str().expect("one")
        ))
        .await;
    assert_eq!(charge["metadata"], json!({"user_id": "usr_1"}));
    let kinds = till.kinds().await;
    assert_eq!(
        kinds,
        [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.succeeded"
        ]
    );
    for verb in ["confirm", "cancel"] {
        let refused = till.post(&format!("{path}/{verb}"), &[]).await;
        assert_eq!(refused.error().2, "payment_intent_unexpected_state");
    }
}

#[tokio::test]
async fn an_intent_is_declined_tried_again_and_canceled() {
    let till = Till::open().await;
    let form = [
        ("amount", "1500"),
        ("currency", "usd"),
        ("payment_method", "pm_card_chargeDeclined"),
        ("confirm", "true"),
    ];
    let declined = till.post("/v1/payment_intents", &form).await;
    assert_eq!(declined.error().0, 402);
    let intent = declined.json()["error"]["payment_intent"].take();
    assert_eq!(
        (&intent["status"], &intent["last_payment_error"]["code"]),
        (&json!("requires_payment_method"), &json!("card_declined"))
    );
    let path = format!("/v1/payment_intents/{}", id(&intent));
    let card = [("payment_method", "pm_card_threeDSecure2Required")];
    assert_eq!(
        till.make(&format!("{path}/confirm"), &card).await["status"],
        "requires_action"
    );
    let there = format!("/simulator/payment_intents/{}/authenticate", id(&intent));
    assert_eq!(
        till.make(&there, &[("fail", "true")]).await["status"],
        "requires_payment_method"
    );
    let canceled = till
        .make(&format!("{path}/cancel"), &[("cancellation_reason", "abandoned")])
        .await;
    assert_eq!(
        (&canceled["status"], &canceled["cancellation_reason"]),
        (&json!("canceled"), &json!("abandoned"))
    );
    let events = till.events().await;
    let last = events.last().expect("events");
    assert_eq!(last["type"], "payment_intent.canceled");
    assert_eq!(last["data"]["object"], canceled);
    let other = till
        .make("/v1/payment_intents", &[("amount", "500"), ("currency", "usd")])
        .await;
    let path = format!("/v1/payment_intents/{}/cancel", id(&other));
    assert_eq!(till.make(&path, &[]).await["cancellation_reason"], Value::Null);
}

#[tokio::test]
async fn no_more_goes_back_than_was_paid() {
    let till = Till::open().await;
    let intent = till.top_up("usr_1").await;
    let of = ("payment_intent", intent.as_str());
    let form = [
        of,
        ("amount", "400"),
        ("reason", "duplicate"),
        ("metadata[by]", "ada"),
    ];
    let refund = till.make("/v1/refunds", &form).await;
    assert_eq!(
        (&refund["status"], &refund["reason"], &refund["metadata"]),
        (&json!("succeeded"), &json!("duplicate"), &json!({"by": "ada"}))
    );
    assert_eq!(till.get(&format!("/v1/refunds/{}", id(&refund))).await, refund);
    let too_much = till.post("/v1/refunds", &[of, ("amount", "601")]).await;
    assert_eq!((too_much.error().0, too_much.error().3.as_str()), (400, "amount"));
    assert!(
        too_much.text.contains("USD 6.01") && too_much.text.contains("USD 6.00"),
        "{}",
        too_much.text
    );
    let wrong = till.post("/v1/refunds", &[of, ("reason", "regret")]).await;
    assert_eq!(wrong.error().3, "reason");
    let rest = till.make("/v1/refunds", &[of]).await;
    assert_eq!(rest["amount"], 600);
    let none = till.post("/v1/refunds", &[of]).await;
    assert_eq!(none.error().2, "charge_already_refunded");
    let charge = till
        .get(&format!("/v1/charges/{}", rest["charge"].as_str().expect("one")))
        .await;
    assert_eq!(
        (&charge["refunded"], &charge["amount_refunded"]),
        (&json!(true), &json!(1000))
    );
    let kinds = till.kinds().await;
    assert_eq!(
        kinds[kinds.len() - 4..],
        [
            "refund.created",
            "charge.refunded",
            "refund.created",
            "charge.refunded"
        ]
    );
    let listed = till.get(&format!("/v1/refunds?payment_intent={intent}")).await;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));

    till.make(&format!("/simulator/refunds/{}/fail", id(&rest)), &[])
        .await;
    let charge = till.get(&format!("/v1/charges/{}", id(&charge))).await;
    assert_eq!(charge["amount_refunded"], 400, "it came back");
}

#[tokio::test]
async fn a_disputed_payment_cannot_be_refunded() {
    let till = Till::open().await;
    for (outcome, movements) in [("won", 2), ("lost", 1)] {
        let intent = till.top_up(outcome).await;
        let of = [("payment_intent", intent.as_str())];
        let dispute = till.make("/simulator/disputes", &of).await;
        assert_eq!(dispute["status"], "needs_response");
        assert_eq!(till.post("/v1/refunds", &of).await.error().2, "charge_disputed");
        let path = format!("/simulator/disputes/{}", id(&dispute));
        till.make(&path, &[("status", outcome)]).await;
        let dispute = till.get(&format!("/v1/disputes/{}", id(&dispute))).await;
        assert_eq!(dispute["status"], outcome);
        assert_eq!(
            dispute["balance_transactions"].as_array().map(Vec::len),
            Some(movements)
        );
        let kinds = till.kinds().await;
        assert!(kinds.contains(&"charge.dispute.closed".to_owned()));
    }
    let paths = ["/simulator/disputes", "/simulator/refunds/re_none/fail"];
    for path in paths {
        assert_eq!(
            till.post(path, &[("payment_intent", "pi_none")]).await.status,
            404
        );
    }
    let unknown: Value = till.post("/simulator/nothing", &[]).await.json();
    assert!(unknown["error"].is_object());
}
