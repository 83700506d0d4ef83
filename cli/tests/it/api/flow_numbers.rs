//! What staff see of payments, sales and credits; asserted through the API alone.

use serde_json::{Value, json};
use shared::clock::Clock;

use super::street::{MONTH, Street};
use super::{admin, service, user};

const FAILURES: &str = "/v1/admin/payment-failures";
const PURCHASES: &str = "/v1/admin/analytics/purchases";
const SUBSCRIPTIONS: &str = "/v1/admin/analytics/subscriptions";
const CREDITS: &str = "/v1/admin/analytics/credits";

/// The simulated clock runs ahead of ours.
fn beyond(path: &str) -> String {
    let now = Clock::system().unix_seconds();
    format!(
        "{path}?since={}&until={}",
        now - 86_400,
        now + 3 * i64::from(MONTH)
    )
}

async fn staff(street: &Street, path: &str) -> Value {
    let answer = street.api.get(&admin(), path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

async fn wait(street: &Street, path: &str, member: &str, expected: &Value) {
    let mut last = Value::Null;
    let reached = crate::support::wait_for(async || {
        last = street.api.get(&admin(), path).await.body;
        last.pointer(member) == Some(expected)
    });
    assert!(
        reached.await,
        "{path}: waited for {member} {expected}, last saw {last}"
    );
}

/// A top-up of bob's that a bank refused: the payment, and where it is confirmed again.
async fn declined(street: &Street) -> (String, String) {
    let wish = json!({"topup": {"amount": 500}});
    let path = "/v1/users/me/payment-intents";
    let begun = street.api.post(&user("bob"), path, &wish).await;
    let payment = begun.body["id"].as_str().expect("an id").to_owned();
    let confirm = format!("/v1/payment_intents/{payment}/confirm");
    let card = [("payment_method", "pm_card_visa_chargeDeclined")];
    assert_eq!(street.till.post(&confirm, &card).await.0, 402);
    (payment, confirm)
}

/// A renewal of ann's that a bank refuses.
async fn overdue(street: &Street) {
    let session = street.checkout(&user("ann"), &json!({"plan": "pro"})).await;
    street.till.pay(&session).await;
    street.wait_for_credits("ann", 2000).await;
    street.till.post("/simulator/payments", &[("decline", "1")]).await;
    street.till.advance(MONTH).await;
    let state = "/v1/users/ann/subscription-state";
    street.wait(state, "/state", &json!("past_due")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_why_and_is_none_once_it_is_paid() {
    let street = Street::open().await;
    let (payment, confirm) = declined(&street).await;
    let all = beyond(FAILURES);
    wait(&street, &all, "/failures/0/payment_id", &json!(payment)).await;
    let bobs = &staff(&street, &all).await["failures"][0];
    assert_eq!(
        (
            &bobs["user_id"],
            &bobs["amount"],
            &bobs["currency"],
            &bobs["code"],
            &bobs["invoice_id"]
        ),
        (
            &json!("bob"),
            &json!(500),
            &json!("usd"),
            &json!("card_declined"),
            &json!(null)
        ),
        "{bobs}"
    );
    overdue(&street).await;
    wait(&street, &all, "/failures/1/payment_id", &json!(payment)).await;
    wait(&street, &all, "/failures/0/attempt_count", &json!(1)).await;
    let list = staff(&street, &all).await;
    let anns = &list["failures"][0];
    assert_eq!(
        (&anns["user_id"], &anns["amount"]),
        (&json!("ann"), &json!(2000)),
        "{list}"
    );
    assert!(
        anns["invoice_id"].is_string() && anns["next_attempt_at"].is_i64(),
        "{list}"
    );
    assert_eq!(
        list["failures"].as_array().map(Vec::len),
        Some(2),
        "each once: {list}"
    );

    let good = [("payment_method", "pm_card_visa")];
    assert_eq!(street.till.post(&confirm, &good).await.0, 200);
    wait(&street, &format!("{all}&user=bob"), "/failures", &json!([])).await;
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_found_by_user_time_and_code() {
    let street = Street::open().await;
    let (payment, _) = declined(&street).await;
    overdue(&street).await;
    let all = beyond(FAILURES);
    wait(&street, &all, "/failures/1/payment_id", &json!(payment)).await;
    wait(&street, &all, "/failures/0/attempt_count", &json!(1)).await;
    let count = async |more: &str| {
        let list = staff(&street, &format!("{all}{more}")).await;
        list["failures"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((count("&user=ann").await, count("&user=carl").await), (1, 0));
    let of_bob = count("&code=card_declined&user=bob").await;
    assert_eq!((of_bob, count("&code=expired_card").await), (1, 0));
    let page = staff(&street, &format!("{all}&limit=1")).await;
    assert_eq!(page["failures"][0]["user_id"], "ann");
    let next = page["next"].as_str().expect("another page");
    let last = staff(&street, &format!("{all}&limit=1&after={next}")).await;
    let shown = (&last["failures"][0]["payment_id"], last.get("next"));
    assert_eq!(shown, (&json!(payment), None));
    let long_ago = staff(&street, &format!("{FAILURES}?until=1")).await;
    assert_eq!(long_ago, json!({"failures": []}));
    street.close().await;
}

/// A plan, a package and a top-up of ann's; a package of bob's, of which a part is given back.
async fn sold(street: &Street) {
    let (api, ann) = (&street.api, user("ann"));
    for wish in [
        json!({"plan": "pro"}),
        json!({"package": "credits_1000"}),
        json!({"topup": {"amount": 700}}),
    ] {
        let session = street.checkout(&ann, &wish).await;
        street.till.pay(&session).await;
    }
    // 2000 of the plan, 1000 of the package, 1400 of the top-up.
    street.wait_for_credits("ann", 4400).await;
    let wish = json!({"package": "credits_1000"});
    let begun = api
        .post(&user("bob"), "/v1/users/me/payment-intents", &wish)
        .await;
    let payment = begun.body["id"].as_str().expect("an id").to_owned();
    let confirm = format!("/v1/payment_intents/{payment}/confirm");
    let card = [("payment_method", "pm_card_visa")];
    assert_eq!(street.till.post(&confirm, &card).await.0, 200);
    street.wait_for_credits("bob", 1000).await;
    let back = json!({"amount": 250, "reason": "duplicate", "note": "x"});
    let refunds = format!("/v1/payments/{payment}/refunds");
    assert_eq!(api.post(&service(), &refunds, &back).await.status, 200);
    street.wait_for_credits("bob", 750).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_add_up() {
    let street = Street::open().await;
    sold(&street).await;
    let months = format!("{}&by=month", beyond(PURCHASES));
    wait(&street, &months, "/purchases/0/refunded", &json!(250)).await;
    let list = staff(&street, &months).await;
    let row = |kind: &str| {
        let rows = list["purchases"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["kind"] == kind);
        let row = row.unwrap_or_else(|| panic!("{list}"));
        ["count", "gross", "refunded", "net"].map(|name| row[name].as_i64().expect("a number"))
    };
    assert_eq!(row("package"), [2, 2000, 250, 1750]);
    assert_eq!(row("plan"), [1, 2000, 0, 2000]);
    assert_eq!(row("topup"), [1, 700, 0, 700]);
    let begins = list["purchases"][0]["begins"].as_i64().expect("a time");
    assert_eq!(begins % 86_400, 0, "midnight, UTC");

    let cancel = "/v1/users/me/subscription/cancel";
    assert_eq!(
        street.api.post(&user("ann"), cancel, &Value::Null).await.status,
        200
    );
    let billing = "/v1/users/ann/billing";
    street
        .wait(billing, "/subscription/cancel_at_period_end", &json!(true))
        .await;
    street.till.advance(MONTH).await;
    street.wait(billing, "/entitled", &json!(false)).await;
    let counts = staff(&street, &beyond(SUBSCRIPTIONS)).await;
    let sum = |name: &str| -> i64 {
        let rows = counts["subscriptions"].as_array().expect("rows");
        rows.iter().filter_map(|row| row[name].as_i64()).sum()
    };
    assert_eq!((sum("new"), sum("canceled")), (1, 1), "{counts}");
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_credits_are_somewhere() {
    let street = Street::open().await;
    let api = &street.api;
    sold(&street).await;
    let done = [
        (service(), "/v1/users/ann/credits/spend", json!({"credits": 30})),
        (
            service(),
            "/v1/users/ann/credits/reservations",
            json!({"credits": 70}),
        ),
        (
            admin(),
            "/v1/admin/users/bob/adjustments",
            json!({"credits": 5, "reason": "an apology"}),
        ),
    ];
    for (token, path, body) in done {
        assert_eq!(api.post(&token, path, &body).await.status, 200, "{path}");
    }
    assert_eq!(
        staff(&street, CREDITS).await,
        json!({
            "granted": 5150, "adjusted": 5, "spent": 30, "reserved": 70, "expired": 0, "held": 0,
            "outstanding": 5055, "capacity": null, "capacity_left": null,
        })
    );
    street.close().await;
}

#[tokio::test]
async fn numbers_are_for_staff_and_for_times_of_some_length() {
    let street = Street::open().await;
    for path in [FAILURES, PURCHASES, SUBSCRIPTIONS, CREDITS] {
        for token in [service(), user("ann")] {
            let refused = street.api.get(&token, path).await;
            assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{path}");
        }
        assert_eq!(street.api.get(&admin(), path).await.status, 200, "{path}");
    }
    let wrong = [
        "since=5&until=5",
        "since=0&until=99999999",
        "since=-1",
        "until=x",
        "since=1&until=99999999999999",
    ];
    for path in [FAILURES, PURCHASES, SUBSCRIPTIONS] {
        for query in wrong {
            let refused = street.api.get(&admin(), &format!("{path}?{query}")).await;
            assert_eq!(
                (refused.status, refused.code()),
                (400, "invalid_request"),
                "{path} {query}"
            );
        }
    }
    let refused = street.api.get(&admin(), &format!("{PURCHASES}?by=year")).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    street.close().await;
}
