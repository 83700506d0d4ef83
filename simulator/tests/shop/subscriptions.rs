//! What is decided about a running subscription, through the API and on the portal's page.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::till::{DAY, Till, id, url};

fn path(subscription: &str) -> String {
    format!("/v1/subscriptions/{subscription}")
}

async fn item(till: &Till, subscription: &str) -> String {
    id(&till.get(&path(subscription)).await["items"]["data"][0])
}

#[tokio::test]
async fn an_upgrade_is_prorated_and_paid_at_once() {
    let till = Till::open().await;
    let (subscription, _) = till.subscriber("usr_1").await;
    till.advance(15 * DAY).await;
    let item = item(&till, &subscription).await;
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][price]", till.catalogue.team.id.as_str()),
        ("proration_behavior", "always_invoice"),
        ("expand[]", "latest_invoice"),
    ];
    let changed = till.make(&path(&subscription), &form).await;
    assert_eq!(
        changed["items"]["data"][0]["price"]["id"],
        till.catalogue.team.id.as_str()
    );
    let invoice = &changed["latest_invoice"];
    assert_eq!(
        (&invoice["status"], &invoice["total"]),
        (&json!("paid"), &json!(1500)),
        "half of the difference"
    );
    assert_eq!(invoice["billing_reason"], "subscription_update");
    let amounts: Vec<_> = invoice["lines"]["data"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| &line["amount"])
        .collect();
    assert_eq!(amounts, [&json!(-1000), &json!(2500)]);
    let kinds = till.kinds().await;
    let expected = [
        "customer.subscription.updated",
        "invoice.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
    ];
    assert_eq!(kinds[kinds.len() - 8..], expected);
    let updated = &till.events().await[kinds.len() - 8];
    assert_eq!(
        updated["data"]["previous_attributes"]["items"]["data"][0]["price"]["id"],
        till.catalogue.pro.id.as_str()
    );
}

#[tokio::test]
async fn a_declined_upgrade_is_refused_or_leaves_it_past_due() {
    let till = Till::open().await;
    let (subscription, _) = till.subscriber("usr_1").await;
    till.advance(DAY).await;
    let price = ("items[0][price]", till.catalogue.team.id.as_str());
    let now = ("proration_behavior", "always_invoice");
    let before = till.get(&path(&subscription)).await;
    till.make("/simulator/payments", &[("decline", "1")]).await;
    let refused = till
        .post(
            &path(&subscription),
            &[price, now, ("payment_behavior", "error_if_incomplete")],
        )
        .await;
    assert_eq!(refused.error().0, 402);
    assert_eq!(till.get(&path(&subscription)).await, before);
    till.make("/simulator/payments", &[("decline", "1")]).await;
    let changed = till.make(&path(&subscription), &[price, now]).await;
    assert_eq!(changed["status"], "past_due");
    till.advance(3 * DAY).await;
    assert_eq!(
        till.get(&path(&subscription)).await["status"],
        "active",
        "the retry succeeds"
    );
}

#[tokio::test]
async fn a_change_can_wait_for_the_next_invoice_or_cost_nothing() {
    let till = Till::open().await;
    for (behavior, lines) in [("create_prorations", 3), ("none", 1)] {
        let (subscription, _) = till.subscriber(behavior).await;
        till.advance(15 * DAY).await;
        let form = [
            ("items[0][price]", till.catalogue.team.id.as_str()),
            ("proration_behavior", behavior),
        ];
        let invoices = till.count("invoice").await;
        till.make(&path(&subscription), &form).await;
        assert_eq!(till.count("invoice").await, invoices);
        till.advance(15 * DAY).await;
        let renewed = till
            .get(&format!("{}?expand[]=latest_invoice", path(&subscription)))
            .await;
        let shown = renewed["latest_invoice"]["lines"]["data"]
            .as_array()
            .expect("lines")
            .clone();
        assert_eq!(shown.len(), lines, "{behavior}");
        assert_eq!(shown[lines - 1]["amount"], 5000);
    }
}

#[tokio::test]
async fn an_end_is_planned_unplanned_and_comes() {
    let till = Till::open().await;
    let (subscription, _) = till.subscriber("usr_1").await;
    till.advance(1).await;
    let path = path(&subscription);
    let planned = till.make(&path, &[("cancel_at_period_end", "true")]).await;
    assert_eq!(
        (&planned["cancel_at_period_end"], &planned["status"]),
        (&json!(true), &json!("active"))
    );
    till.advance(1).await;
    let undone = till.make(&path, &[("cancel_at_period_end", "false")]).await;
    assert_eq!(
        (&undone["cancel_at_period_end"], &undone["cancel_at"]),
        (&json!(false), &Value::Null)
    );
    till.advance(1).await;
    till.make(&path, &[("cancel_at_period_end", "true")]).await;
    till.advance(30 * DAY).await;
    let ended = till.get(&path).await;
    assert_eq!(
        (&ended["status"], &ended["ended_at"]),
        (&json!("canceled"), &planned["cancel_at"])
    );
    assert_eq!(
        till.kinds().await.last().map(String::as_str),
        Some("customer.subscription.deleted")
    );
    assert_eq!(till.count("charge").await, 1, "no renewal");
    assert_eq!(
        till.post(&path, &[("cancel_at_period_end", "false")])
            .await
            .error()
            .0,
        400
    );
}

#[tokio::test]
async fn who_cancels_now_is_out_now() {
    let till = Till::open().await;
    let (subscription, customer) = till.subscriber("usr_1").await;
    let ended = till
        .ask(Method::DELETE, &path(&subscription), &[], &[])
        .await
        .ok();
    assert_eq!(ended["status"], "canceled");
    let again = till.ask(Method::DELETE, &path(&subscription), &[], &[]).await;
    assert_eq!(again.error().2, "resource_missing");
    let running = till.get(&format!("/v1/subscriptions?customer={customer}")).await;
    assert_eq!(running["data"], json!([]));
    let all = till
        .get(&format!("/v1/subscriptions?customer={customer}&status=all"))
        .await;
    assert_eq!(all["data"][0]["id"], subscription.as_str());
    till.advance(60 * DAY).await;
    assert_eq!(till.count("invoice").await, 1, "no renewal");
}

#[tokio::test]
async fn a_deleted_customer_subscribes_to_nothing() {
    let till = Till::open().await;
    let (subscription, customer) = till.subscriber("usr_1").await;
    let gone = till
        .ask(Method::DELETE, &format!("/v1/customers/{customer}"), &[], &[])
        .await
        .ok();
    assert_eq!(
        gone,
        json!({"id": customer, "object": "customer", "deleted": true})
    );
    assert_eq!(till.get(&path(&subscription)).await["status"], "canceled");
    let kinds = till.kinds().await;
    assert_eq!(
        kinds[kinds.len() - 2..],
        ["customer.subscription.deleted", "customer.deleted"]
    );
    let form = [("customer", customer.as_str())];
    assert_eq!(
        till.post("/v1/billing_portal/sessions", &form).await.error().2,
        "resource_missing"
    );
    assert_eq!(till.get("/v1/customers").await["data"], json!([]));
}

#[tokio::test]
async fn the_portal_cancels_resumes_and_switches() {
    let till = Till::open().await;
    let (subscription, customer) = till.subscriber("usr_1").await;
    let form = [
        ("customer", customer.as_str()),
        ("return_url", "https://shop.example/account"),
    ];
    let portal = till.make("/v1/billing_portal/sessions", &form).await;
    let show = async || {
        till.send(Method::GET, url(&portal), &[], &[])
            .await
            .expect("a page")
            .text
    };
    assert!(show().await.contains("https://shop.example/account"));
    let this = ("subscription", subscription.as_str());
    till.advance(1).await;
    let clicked = till.click(url(&portal), "cancel", &[this]).await;
    assert_eq!(
        (clicked.status, clicked.header("location")),
        (StatusCode::SEE_OTHER, Some(url(&portal)))
    );
    assert_eq!(till.get(&path(&subscription)).await["cancel_at_period_end"], true);
    assert!(show().await.contains("Do not cancel"));
    till.advance(1).await;
    till.click(url(&portal), "resume", &[this]).await;
    assert_eq!(
        till.get(&path(&subscription)).await["cancel_at_period_end"],
        false
    );
    till.advance(15 * DAY).await;
    let team = ("price", till.catalogue.team.id.as_str());
    till.click(url(&portal), "switch", &[this, team]).await;
    let switched = till.get(&path(&subscription)).await;
    assert_eq!(switched["items"]["data"][0]["price"]["id"], team.1);
    let (other, _) = till.subscriber("usr_2").await;
    let refused = till
        .click(url(&portal), "cancel", &[("subscription", other.as_str())])
        .await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "not theirs");
}
