//! From a session to what it leaves behind.

use hyper::StatusCode;
use serde_json::{Value, json};
use simulator::ApiVersion;

use crate::till::{DAY, Till, id, url};

/// Every event of the buyer happened in one second, in this order.
async fn told(till: &Till, expected: &[&str]) -> Vec<Value> {
    let events = till.events().await;
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, expected);
    let seconds: std::collections::BTreeSet<_> =
        events.iter().map(|event| event["created"].as_i64()).collect();
    assert_eq!(seconds.len(), 1, "one second");
    events
}

#[tokio::test]
async fn a_subscription_is_paid_on_the_page() {
    let till = Till::open().await;
    let customer = till.customer("usr_1").await;
    let more = [
        ("customer", customer.as_str()),
        ("client_reference_id", "usr_1"),
        ("metadata[plan]", "pro"),
        ("subscription_data[metadata][user_id]", "usr_1"),
    ];
    let session = till.session("subscription", &till.catalogue.pro.id, &more).await;
    assert_eq!(
        (&session["status"], &session["subscription"]),
        (&json!("open"), &Value::Null)
    );
    assert_eq!(
        (&session["payment_status"], &session["client_reference_id"]),
        (&json!("unpaid"), &json!("usr_1"))
    );
    let page = till
        .send(hyper::Method::GET, url(&session), &[], &[])
        .await
        .expect("a page");
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.text.contains("USD 20.00") && page.text.contains("1 × Pro"),
        "{}",
        page.text
    );

    let paid = till.click(url(&session), "pay", &[]).await;
    assert_eq!(paid.status, StatusCode::SEE_OTHER);
    let back = format!("https://shop.example/done?session={}", id(&session));
    assert_eq!(paid.header("location"), Some(back.as_str()));
    let events = told(
        &till,
        &[
            "customer.created",
            "charge.succeeded",
            "payment_intent.succeeded",
            "customer.subscription.created",
            "invoice.created",
            "invoice.finalized",
            "invoice_payment.paid",
            "invoice.paid",
            "invoice.payment_succeeded",
            "checkout.session.completed",
        ],
    )
    .await;

    let session = till.get(&format!("/v1/checkout/sessions/{}", id(&session))).await;
    assert_eq!(
        (&session["status"], &session["payment_status"]),
        (&json!("complete"), &json!("paid"))
    );
    assert_eq!(session["url"], Value::Null);
    assert_eq!(
        session, events[9]["data"]["object"],
        "what was told is what is there"
    );
}

#[tokio::test]
async fn a_paid_subscription_hangs_together() {
    let till = Till::open().await;
    let (subscription, customer) = till.subscriber("usr_1").await;
    let path = format!("/v1/subscriptions/{subscription}");
    let subscription = till.get(&format!("{path}?expand[]=latest_invoice")).await;
    assert_eq!(subscription["metadata"], json!({"user_id": "usr_1"}));
    assert_eq!(subscription["latest_invoice"]["status"], "paid");
    assert_eq!(
        subscription["latest_invoice"]["parent"]["subscription_details"]["metadata"]["user_id"],
        "usr_1"
    );
    assert_eq!(subscription["customer"], customer.as_str());
    let paid_by = format!(
        "/v1/invoice_payments?invoice={}",
        id(&subscription["latest_invoice"])
    );
    assert_eq!(till.get(&paid_by).await["data"][0]["amount_paid"], 2000);
}

#[tokio::test]
async fn whoever_pays_twice_has_paid_once() {
    let till = Till::open().await;
    let session = till.session("payment", &till.catalogue.top_up.id, &[]).await;
    let clicks = [
        till.click(url(&session), "pay", &[]).await,
        till.click(url(&session), "pay", &[]).await,
    ];
    assert!(clicks.iter().all(|click| click.status == StatusCode::SEE_OTHER));
    assert_eq!(clicks[0].header("location"), clicks[1].header("location"));
    assert_eq!(
        (till.count("charge").await, till.count("payment_intent").await),
        (1, 1)
    );
    let late = till.click(url(&session), "decline", &[]).await;
    assert_eq!(late.status, StatusCode::GONE);
    let expire = till
        .post(&format!("/v1/checkout/sessions/{}/expire", id(&session)), &[])
        .await;
    assert_eq!(expire.error().0, 400);
}

#[tokio::test]
async fn a_declined_card_leaves_the_session_open() {
    let till = Till::open().await;
    let session = till.session("subscription", &till.catalogue.pro.id, &[]).await;
    let declined = till.click(url(&session), "decline", &[]).await;
    assert_eq!(declined.status, StatusCode::PAYMENT_REQUIRED);
    assert!(declined.text.contains("Your card was declined."));
    told(&till, &["charge.failed", "payment_intent.payment_failed"]).await;
    assert_eq!(
        (till.count("subscription").await, till.count("invoice").await),
        (0, 0)
    );
    till.make("/simulator/payments", &[("decline", "1")]).await;
    let again = till.click(url(&session), "pay", &[]).await;
    assert_eq!(
        again.status,
        StatusCode::PAYMENT_REQUIRED,
        "the next payment is declined"
    );
    let paid = till.click(url(&session), "pay", &[]).await;
    assert_eq!(paid.status, StatusCode::SEE_OTHER);
    assert_eq!(
        (till.count("payment_intent").await, till.count("charge").await),
        (1, 3)
    );
    let kinds = till.kinds().await;
    assert_eq!(
        kinds.last().map(String::as_str),
        Some("checkout.session.completed")
    );
}

#[tokio::test]
async fn before_basil_the_subscription_is_there_first() {
    let till = Till::open_in(ApiVersion::V2024_06_20).await;
    let (subscription, _) = till.subscriber("usr_1").await;
    let kinds = till.kinds().await;
    let expected = [
        "customer.created",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "checkout.session.completed",
    ];
    assert_eq!(kinds, expected);
    let path = format!("/v1/subscriptions/{subscription}");
    let shown = till.get(&path).await;
    assert_eq!(shown["status"], "active");
    assert!(shown["current_period_end"].is_i64());
    assert_eq!(till.events().await[1]["data"]["object"]["status"], "incomplete");
}

#[tokio::test]
async fn a_top_up_carries_its_metadata() {
    let till = Till::open().await;
    let more = [
        ("metadata[credits]", "1000"),
        ("payment_intent_data[metadata][user_id]", "usr_1"),
        ("customer_email", "ada@example.com"),
    ];
    let session = till.session("payment", &till.catalogue.top_up.id, &more).await;
    assert_eq!(session["payment_intent"], Value::Null);
    till.click(url(&session), "pay", &[]).await;
    let expected = [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ];
    let events = told(&till, &expected).await;
    let session = &events[3]["data"]["object"];
    assert_eq!(session["customer"], Value::Null, "a guest");
    assert_eq!(session["customer_details"]["email"], "ada@example.com");
    assert_eq!(session["metadata"], json!({"credits": "1000"}));
    assert_eq!(
        events[2]["data"]["object"]["metadata"],
        json!({"user_id": "usr_1"})
    );
    let lines = till
        .get(&format!("/v1/checkout/sessions/{}/line_items", id(session)))
        .await;
    assert_eq!(
        (&lines["data"][0]["amount_total"], &lines["has_more"]),
        (&json!(1000), &json!(false))
    );
}

#[tokio::test]
async fn a_guest_who_subscribes_becomes_a_customer() {
    let till = Till::open().await;
    let session = till.session("subscription", &till.catalogue.pro.id, &[]).await;
    till.click(url(&session), "pay", &[("email", "new@example.com")])
        .await;
    let events = till.events().await;
    assert_eq!(events[0]["type"], "customer.created");
    assert_eq!(events[0]["data"]["object"]["email"], "new@example.com");
    let last = &events.last().expect("events")["data"]["object"];
    assert_eq!(last["customer"], events[0]["data"]["object"]["id"]);
}

#[tokio::test]
async fn a_price_can_be_made_for_one_session() {
    let till = Till::open().await;
    let form = [
        ("mode", "payment"),
        ("success_url", "http://localhost/done"),
        ("line_items[0][price_data][currency]", "EUR"),
        ("line_items[0][price_data][unit_amount]", "750"),
        ("line_items[0][price_data][product_data][name]", "<b>Credits</b>"),
        ("line_items[0][quantity]", "2"),
    ];
    let session = till.make("/v1/checkout/sessions", &form).await;
    assert_eq!(
        (&session["amount_total"], &session["currency"]),
        (&json!(1500), &json!("eur"))
    );
    assert_eq!(till.kinds().await, ["product.created", "price.created"]);
    let page = till
        .send(hyper::Method::GET, url(&session), &[], &[])
        .await
        .expect("a page");
    assert!(
        page.text.contains("EUR 15.00") && page.text.contains("&lt;b&gt;Credits"),
        "{}",
        page.text
    );
    till.click(url(&session), "pay", &[]).await;
    let intents = till.get("/v1/payment_intents").await;
    assert_eq!(intents["data"][0]["amount_received"], 1500);
}

#[tokio::test]
async fn who_leaves_can_come_back_until_it_expires() {
    let till = Till::open().await;
    let session = till.session("payment", &till.catalogue.top_up.id, &[]).await;
    let left = till.click(url(&session), "abandon", &[]).await;
    assert_eq!(left.header("location"), Some("https://shop.example/left"));
    let path = format!("/v1/checkout/sessions/{}", id(&session));
    till.advance(DAY - 1).await;
    assert_eq!(till.get(&path).await["status"], "open");
    till.advance(1).await;
    assert_eq!(till.get(&path).await["status"], "expired");
    let events = told(&till, &["checkout.session.expired"]).await;
    assert_eq!(events[0]["created"], session["expires_at"]);
    assert_eq!(events[0]["request"]["id"], Value::Null);
    assert_eq!(
        till.click(url(&session), "pay", &[]).await.status,
        StatusCode::GONE
    );

    let another = till.session("payment", &till.catalogue.top_up.id, &[]).await;
    let path = format!("/v1/checkout/sessions/{}/expire", id(&another));
    assert_eq!(till.make(&path, &[]).await["status"], "expired");
    assert_eq!(till.kinds().await.len(), 2);
    let nowhere = till.click("/c/pay/cs_none", "pay", &[]).await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_bank_debit_is_paid_days_later_or_never() {
    let till = Till::open().await;
    for (fails, kind, status) in [
        (false, "checkout.session.async_payment_succeeded", "paid"),
        (true, "checkout.session.async_payment_failed", "unpaid"),
    ] {
        let session = till.session("payment", &till.catalogue.top_up.id, &[]).await;
        let path = format!("/v1/checkout/sessions/{}", id(&session));
        till.click(url(&session), "debit", &[]).await;
        let ordered = till.get(&path).await;
        assert_eq!(
            (&ordered["status"], &ordered["payment_status"]),
            (&json!("complete"), &json!("unpaid"))
        );
        if fails {
            till.make("/simulator/payments", &[("decline", "1")]).await;
        }
        till.advance(4 * DAY).await;
        assert_eq!(till.kinds().await.last().map(String::as_str), Some(kind));
        assert_eq!(till.get(&path).await["payment_status"], status);
    }
}

#[tokio::test]
async fn a_trial_costs_nothing_until_it_ends() {
    let till = Till::open().await;
    let more = [("subscription_data[trial_period_days]", "7")];
    let session = till.session("subscription", &till.catalogue.pro.id, &more).await;
    till.click(url(&session), "pay", &[]).await;
    let session = till.get(&format!("/v1/checkout/sessions/{}", id(&session))).await;
    assert_eq!(session["payment_status"], "no_payment_required");
    let path = format!(
        "/v1/subscriptions/{}",
        session["subscription"].as_str().expect("one")
    );
    assert_eq!(till.get(&path).await["status"], "trialing");
    assert_eq!(till.count("charge").await, 0);
    till.advance(4 * DAY).await;
    assert_eq!(
        till.kinds().await.last().map(String::as_str),
        Some("customer.subscription.trial_will_end")
    );
    till.advance(3 * DAY).await;
    assert_eq!(till.get(&path).await["status"], "active");
    till.advance(3600).await;
    assert_eq!(till.count("charge").await, 1);
    assert_eq!(
        till.kinds().await.last().map(String::as_str),
        Some("invoice.payment_succeeded")
    );
}
