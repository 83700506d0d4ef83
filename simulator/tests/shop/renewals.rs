//! What the clock does.

use serde_json::{Value, json};

use crate::till::{DAY, START, Till};

#[tokio::test]
async fn a_month_later_it_is_renewed() {
    let till = Till::open().await;
    let (subscription, _) = till.subscriber("usr_1").await;
    let first = till.events().await.len();
    till.advance(30 * DAY + 3600).await;
    let events = till.events().await.split_off(first);
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event["type"].as_str().expect("a type"),
                event["created"].as_i64().expect("a time") - START,
            )
        })
        .collect();
    let (month, hour) = (30 * DAY, 3600);
    let expected = [
        ("invoice.upcoming", 23 * DAY),
        ("customer.subscription.updated", month),
        ("invoice.created", month),
        ("invoice.finalized", month + hour),
        ("charge.succeeded", month + hour),
        ("payment_intent.succeeded", month + hour),
        ("invoice_payment.paid", month + hour),
        ("invoice.paid", month + hour),
        ("invoice.payment_succeeded", month + hour),
    ];
    assert_eq!(told, expected);
    assert!(
        events.iter().all(|event| event["request"]["id"].is_null()),
        "by itself"
    );
    let renewed = till.get(&format!("/v1/subscriptions/{subscription}")).await;
    assert_eq!(
        renewed["items"]["data"][0]["current_period_end"],
        START + 2 * month
    );
    till.advance(10 * month).await;
    assert_eq!(till.count("invoice").await, 12, "ten more");
}

#[tokio::test]
async fn a_renewal_that_is_declined_is_tried_again() {
    let till = Till::open().await;
    let (subscription, _) = till.subscriber("usr_1").await;
    let path = format!("/v1/subscriptions/{subscription}?expand[]=latest_invoice");
    till.make("/simulator/payments", &[("decline", "2")]).await;
    till.advance(30 * DAY + 3600).await;
    let due = till.get(&path).await;
    assert_eq!(
        (&due["status"], &due["latest_invoice"]["status"]),
        (&json!("past_due"), &json!("open"))
    );
    assert_eq!(
        due["latest_invoice"]["next_payment_attempt"],
        START + 33 * DAY + 3600
    );
    till.advance(3 * DAY).await;
    assert_eq!(till.get(&path).await["latest_invoice"]["attempt_count"], 2);
    till.advance(5 * DAY).await;
    let paid = till.get(&path).await;
    assert_eq!(
        (&paid["status"], &paid["latest_invoice"]["status"]),
        (&json!("active"), &json!("paid"))
    );
}

#[tokio::test]
async fn after_the_last_attempt_it_ends() {
    let till = Till::open().await;
    let (subscription, _) = till.subscriber("usr_1").await;
    till.make("/simulator/payments", &[("decline", "4")]).await;
    till.advance(60 * DAY).await;
    let ended = till
        .get(&format!(
            "/v1/subscriptions/{subscription}?expand[]=latest_invoice"
        ))
        .await;
    assert_eq!(
        (&ended["status"], &ended["cancellation_details"]["reason"]),
        (&json!("canceled"), &json!("payment_failed"))
    );
    let invoice = &ended["latest_invoice"];
    assert_eq!(
        (&invoice["attempt_count"], &invoice["next_payment_attempt"]),
        (&json!(4), &Value::Null)
    );
    assert_eq!(till.count("charge").await, 5);
}

#[tokio::test]
async fn time_only_goes_forward() {
    let till = Till::open().await;
    till.make("/simulator/clock", &[("to", (START + DAY).to_string().as_str())])
        .await;
    till.make("/simulator/clock", &[("to", START.to_string().as_str())])
        .await;
    assert_eq!(till.get("/simulator/clock").await["now"], START + DAY);
    let customer = till.make("/v1/customers", &[]).await;
    assert_eq!(customer["created"], START + DAY);
    assert_eq!(
        till.post("/simulator/clock", &[]).await.error().2,
        "parameter_missing"
    );
}
