//! What a user is shown of their billing; asserted through the API alone.

use serde_json::{Value, json};

use super::street::Street;
use super::{service, user};

const BILLING: &str = "/v1/users/ann/billing";

fn members<'a>(list: &'a Value, name: &str) -> Vec<&'a Value> {
    let rows = list.as_array().unwrap_or_else(|| panic!("a list: {list}"));
    rows.iter().map(|row| &row[name]).collect()
}

/// Ann has the plan and a package, of which a part was given back.
async fn bought(street: &Street) {
    let ann = user("ann");
    let session = street.checkout(&ann, &json!({"plan": "pro"})).await;
    street.till.pay(&session).await;
    street.wait_for_credits("ann", 2000).await;
    let session = street.checkout(&ann, &json!({"package": "credits_1000"})).await;
    street.till.pay(&session).await;
    street.wait_for_credits("ann", 3000).await;
    let id = session.body["id"].as_str().expect("an id");
    let path = format!("/v1/users/ann/checkout-sessions/{id}");
    let shown = street.api.get(&service(), &path).await.body;
    let payment = shown["payment_id"].as_str().expect("a payment");
    let back = json!({"amount": 250, "reason": "requested_by_customer", "note": "too much"});
    let refunds = format!("/v1/payments/{payment}/refunds");
    assert_eq!(street.api.post(&service(), &refunds, &back).await.status, 200);
    street.wait_for_credits("ann", 2750).await;
}

/// She spends 30, and reserves 20 and 50, of which she gives the 50 back.
async fn used(street: &Street) {
    let api = &street.api;
    let spend = json!({"credits": 30});
    let spent = api.post(&service(), "/v1/users/ann/credits/spend", &spend).await;
    assert_eq!(spent.status, 200, "{spent:?}");
    let reserve = "/v1/users/ann/credits/reservations";
    let mut last = String::new();
    for credits in [20, 50] {
        let answer = api.post(&service(), reserve, &json!({"credits": credits})).await;
        last = answer.body["id"].as_str().expect("an id").to_owned();
    }
    let release = format!("{reserve}/{last}/release");
    assert_eq!(api.post(&service(), &release, &json!({})).await.status, 200);
}

/// The one of a list that has this.
fn the_one<'a>(list: &'a Value, member: &str, value: &str) -> &'a Value {
    let found = list
        .as_array()
        .expect("a list")
        .iter()
        .find(|row| row[member] == value);
    found.unwrap_or_else(|| panic!("{member} {value} in {list}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_says_what_there_is_and_was_used() {
    let street = Street::open().await;
    let (api, ann) = (&street.api, user("ann"));
    let nothing = api.get(&ann, "/v1/users/me/billing").await;
    assert_eq!(
        (
            nothing.status,
            &nothing.body["state"],
            &nothing.body["usage"]["limit"]
        ),
        (200, &json!("no_subscription"), &json!(null)),
        "{nothing:?}"
    );
    bought(&street).await;
    used(&street).await;
    street
        .wait(BILLING, "/subscription/status", &json!("active"))
        .await;
    let billing = api.get(&ann, BILLING).await.body;
    let subscription = &billing["subscription"];
    assert_eq!(
        (
            &subscription["plan"],
            &subscription["entitled"],
            &subscription["cancel_at_period_end"]
        ),
        (&json!("pro"), &json!(true), &json!(false)),
        "{billing}"
    );
    let time = |name: &str| subscription[name].as_i64().expect("a time");
    assert!(time("period_start") < time("period_end"), "{billing}");
    assert_eq!(
        billing["credits"],
        json!({"available": 2700, "balance": 2700, "teams": 0, "reserved": 20})
    );
    let usage = &billing["usage"];
    assert_eq!(
        (&usage["used"], &usage["limit"]),
        (&json!(50), &json!(2000)),
        "{billing}"
    );
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_answer_says_what_was_billed_and_paid() {
    let street = Street::open().await;
    bought(&street).await;
    // The last of the events may still be on their way.
    street.wait(BILLING, "/invoices/0/status", &json!("paid")).await;
    street
        .wait(BILLING, "/transactions/2/kind", &json!("payment"))
        .await;
    let billing = street.api.get(&user("ann"), BILLING).await.body;
    let invoice = &billing["invoices"][0];
    assert_eq!(
        (
            &invoice["amount_paid"],
            &invoice["currency"],
            &invoice["billing_reason"]
        ),
        (&json!(2000), &json!("usd"), &json!("subscription_create")),
        "{invoice}"
    );
    assert!(
        invoice["number"].is_string() && invoice["hosted_invoice_url"].is_string(),
        "{invoice}"
    );
    let refund = the_one(&billing["transactions"], "kind", "refund");
    assert_eq!(
        (
            &refund["amount"],
            &refund["reason"],
            &refund["offer"],
            &refund["source_kind"]
        ),
        (
            &json!(250),
            &json!("requested_by_customer"),
            &json!("credits_1000"),
            &json!("checkout.session")
        ),
        "{refund}"
    );
    let paid = the_one(&billing["transactions"], "source_kind", "invoice");
    assert_eq!(
        (&paid["amount"], &paid["offer"], &paid["source_id"]),
        (&json!(2000), &json!("pro"), &invoice["id"]),
        "{paid}"
    );
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_page_by_page_and_show_nobody_elses() {
    let street = Street::open().await;
    let (api, ann) = (&street.api, user("ann"));
    bought(&street).await;
    street
        .wait(
            "/v1/users/ann/transactions",
            "/transactions/2/kind",
            &json!("payment"),
        )
        .await;
    let all = api.get(&ann, "/v1/users/me/transactions").await.body;
    assert_eq!(all.get("next"), None, "{all}");
    let mut ids = Vec::new();
    let mut after = String::new();
    loop {
        let page = api
            .get(&ann, &format!("/v1/users/me/transactions?limit=1{after}"))
            .await
            .body;
        ids.extend(members(&page["transactions"], "id").into_iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(
        ids.iter().collect::<Vec<_>>(),
        members(&all["transactions"], "id")
    );
    assert_eq!(ids.len(), 3);
    let invoices = api.get(&ann, "/v1/users/me/invoices").await.body;
    assert_eq!(members(&invoices["invoices"], "status"), [&json!("paid")]);

    let bob = user("bob");
    for path in ["billing", "invoices", "transactions"] {
        let refused = api.get(&bob, &format!("/v1/users/ann/{path}")).await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{path}");
        let own = api.get(&bob, &format!("/v1/users/me/{path}")).await;
        assert_eq!(own.status, 200, "{own:?}");
    }
    assert_eq!(
        api.get(&bob, "/v1/users/me/transactions").await.body,
        json!({"transactions": []})
    );
    for after in ["x", "1", "99999999999999999.a"] {
        let refused = api
            .get(&ann, &format!("/v1/users/me/invoices?after={after}"))
            .await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, "invalid_request"),
            "{after}"
        );
    }
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_paid_as_a_guest_sees_that_too() {
    let street = Street::open().await;
    let price = street.till.catalogue.top_up.id.clone();
    let form = [
        ("mode", "payment"),
        ("line_items[0][price]", price.as_str()),
        ("line_items[0][quantity]", "1"),
        ("success_url", "https://shop.example/done"),
        ("client_reference_id", "carl"),
        ("metadata[user_id]", "carl"),
        ("metadata[credits]", "1000"),
    ];
    let (status, session) = street.till.post("/v1/checkout/sessions", &form).await;
    assert_eq!(status, 200, "{session}");
    let page = session["url"].as_str().expect("a page");
    assert_eq!(street.till.post(page, &[("action", "pay")]).await.0, 303);
    street.wait_for_credits("carl", 1000).await;
    assert_eq!(street.till.count("customer"), 0, "nobody's customer");
    let path = "/v1/users/carl/transactions";
    street
        .wait(path, "/transactions/0/status", &json!("succeeded"))
        .await;
    let own = street.api.get(&user("carl"), path).await.body;
    let payment = &own["transactions"][0];
    assert_eq!(
        (&payment["amount"], &payment["source_kind"]),
        (&json!(1000), &json!("checkout.session")),
        "{own}"
    );
    street.close().await;
}
