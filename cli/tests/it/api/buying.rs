//! What may be bought, by whom, and how often it is begun.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use simulator::api::Faults;
use tokio::task::JoinSet;

use super::street::Till;
use super::{Answer, JWT_SECRET, Service, admin, answered, service, user};
use crate::support::{Rig, unique};

const CHECKOUTS: &str = "/v1/users/ann/checkout-sessions";

/// Without trying again.
async fn once(api: &Service, token: &str, path: &str, body: &Value) -> Answer {
    let request = api
        .request(Method::POST, path, Some(token))
        .header("Idempotency-Key", unique());
    api.send(request, Bytes::from(body.to_string())).await
}

#[tokio::test]
async fn what_is_not_for_sale_is_not_sold() {
    let till = Till::open().await;
    let api = till.api().await;
    let cases = [
        (json!({}), 400, "invalid_request"),
        (
            json!({"plan": "pro", "package": "credits_1000"}),
            400,
            "invalid_request",
        ),
        (json!({"price": till.catalogue.pro.id}), 400, "invalid_request"),
        (json!({"plan": till.catalogue.pro.id}), 404, "unknown_offer"),
        (json!({"plan": "credits_1000"}), 404, "unknown_offer"),
        (json!({"package": "pro"}), 404, "unknown_offer"),
        (json!({"package": "credits_old"}), 404, "unknown_offer"),
        (json!({"package": "\0"}), 404, "unknown_offer"),
        (json!({"topup": {"amount": 499}}), 400, "topup_out_of_range"),
        (json!({"topup": {"amount": 5001}}), 400, "topup_out_of_range"),
        (
            json!({"topup": {"amount": 1000, "currency": "eur"}}),
            400,
            "invalid_request",
        ),
    ];
    for (body, status, code) in cases {
        let answer = api.post(&service(), CHECKOUTS, &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{body}: {answer:?}"
        );
    }
    assert_eq!(till.count("customer"), 0, "Stripe was not asked");
    let answer = api.post(&user("bob"), CHECKOUTS, &json!({"plan": "pro"})).await;
    assert_eq!((answer.status, answer.code()), (403, "forbidden"));
}

#[tokio::test]
async fn nothing_is_sold_without_stripe_or_while_billing_is_off() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    for path in [CHECKOUTS, "/v1/users/ann/portal-sessions"] {
        let answer = once(&api, &service(), path, &json!({"plan": "pro"})).await;
        assert_eq!(
            (answer.status, answer.code()),
            (503, "stripe_not_configured"),
            "{path}"
        );
    }
    let till = Till::open().await;
    let halfway = [
        ("TOLLGATE_API_JWT_SECRET", JWT_SECRET),
        ("STRIPE_API_KEY", "sk_test_1"),
        ("TOLLGATE_STRIPE_API_URL", &till.url),
    ];
    let api = Service::start_with(&till.rig, &halfway).await;
    let answer = once(&api, &service(), CHECKOUTS, &json!({"plan": "pro"})).await;
    assert_eq!(
        (answer.status, answer.code()),
        (503, "stripe_not_configured"),
        "nowhere to go back to"
    );

    let api = till.api().await;
    let off = api
        .request(Method::PUT, "/v1/admin/switches/billing", Some(&admin()))
        .header("Idempotency-Key", unique());
    let body = Bytes::from_static(br#"{"on": false, "reason": "a test"}"#);
    assert_eq!(api.send(off, body).await.status, 200);
    let answer = once(&api, &service(), CHECKOUTS, &json!({"plan": "pro"})).await;
    assert_eq!((answer.status, answer.code()), (503, "switched_off"));
    assert_eq!(till.count("checkout.session"), 0);
}

#[tokio::test]
async fn nothing_is_sold_beyond_capacity() {
    let till = Till::open().await;
    let most = ("TOLLGATE_CREDITS_OUTSTANDING_MAX", "50");
    let settings: Vec<_> = till.settings().into_iter().chain([most]).collect();
    let api = Service::start_with(&till.rig, &settings).await;
    assert_eq!(
        api.post(&service(), CHECKOUTS, &json!({"plan": "pro"}))
            .await
            .status,
        200
    );
    let worker = till.rig.worker();
    let owner = domain::credits::Owner::User("bob".into());
    till.rig
        .enqueue([&crate::ledger::TopUp::new("1", &owner, 100).event()])
        .await;
    till.rig.wait_for_count("SELECT api_outstanding('')", 100).await;
    for body in [json!({"plan": "team"}), json!({"package": "credits_1000"})] {
        let answer = api.post(&service(), CHECKOUTS, &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (409, "capacity_used_up"),
            "{body}"
        );
    }
    worker.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_user_begins_to_pay_five_times_a_minute() {
    let till = Till::open().await;
    let api = till.api().await;
    let path = "/v1/users/me/checkout-sessions";
    for _ in 0..5 {
        assert_eq!(
            api.post(&user("ann"), path, &json!({"plan": "pro"})).await.status,
            200
        );
    }
    let sixth = api.post(&user("ann"), path, &json!({"plan": "pro"})).await;
    assert_eq!((sixth.status, sixth.code()), (429, "too_many_requests"));
    let wait: u64 = sixth.headers["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((1..=12).contains(&wait), "{wait}");
    assert_eq!(
        api.post(&user("bob"), path, &json!({"plan": "pro"})).await.status,
        200,
        "another's rate"
    );
    assert_eq!(till.count("checkout.session"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_first_checkouts_make_one_customer_and_one_session() {
    let till = Till::open().await;
    let api = Arc::new(till.api().await);
    let mut crowd = JoinSet::new();
    for _ in 0..100 {
        let api = Arc::clone(&api);
        crowd.spawn(async move { api.post(&service(), CHECKOUTS, &json!({"plan": "pro"})).await });
    }
    let answers = crowd.join_all().await;
    let first = &answers[0].body["id"];
    assert!(first.is_string(), "{:?}", answers[0]);
    for answer in &answers {
        assert_eq!((answer.status, &answer.body["id"]), (200, first), "{answer:?}");
    }
    assert_eq!((till.count("customer"), till.count("checkout.session")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_open_checkouts_for_a_subscription_there_is_one() {
    let till = Till::open().await;
    let api = Arc::new(till.api().await);
    let first = api.post(&service(), CHECKOUTS, &json!({"plan": "pro"})).await;
    let other = api.post(&service(), CHECKOUTS, &json!({"plan": "team"})).await;
    assert_ne!(first.body["id"], other.body["id"]);
    let path = |answer: &Answer| format!("{CHECKOUTS}/{}", answer.body["id"].as_str().expect("an id"));
    let shown = api.get(&service(), &path(&first)).await;
    assert_eq!(
        (&shown.body["status"], &shown.body["url"]),
        (&json!("expired"), &Value::Null)
    );
    assert_eq!(api.get(&service(), &path(&other)).await.body["status"], "open");
    assert_eq!(
        till.post(first.body["url"].as_str().expect("a page"), &[("action", "pay")])
            .await
            .0,
        410,
        "Stripe takes nothing for the older one"
    );

    // Crowds that want different things.
    let mut crowd = JoinSet::new();
    for number in 0..20 {
        let api = Arc::clone(&api);
        let plan = if number % 2 == 0 { "pro" } else { "team" };
        crowd.spawn(async move { api.post(&service(), CHECKOUTS, &json!({"plan": plan})).await });
    }
    for answer in crowd.join_all().await {
        assert!([200, 409].contains(&answer.status), "{answer:?}");
    }
    let (status, list) = {
        let request = hyper::Request::get(format!("{}/v1/checkout/sessions?status=open&limit=100", till.url))
            .header("authorization", "Bearer sk_test_1");
        let answer = crate::support::http::exchange(request, Bytes::new())
            .await
            .expect("an answer");
        let list: Value = serde_json::from_slice(answer.body()).expect("JSON");
        (answer.status(), list)
    };
    let still_open = list["data"].as_array().map_or(0, |sessions| {
        sessions
            .iter()
            .filter(|session| session["status"] == "open")
            .count()
    });
    assert_eq!((status.as_u16(), still_open), (200, 1), "{list}");
}

#[tokio::test]
async fn a_key_begins_one_purchase_whatever_gets_lost() {
    let till = Till::open().await;
    let api = till.api().await;
    let wish = json!({"package": "credits_1000"});
    // Stripe does it, and nobody hears of it.
    till.stripe.set_faults(Faults {
        lost_first: 4,
        ..Faults::default()
    });
    let first = answered(async || api.post_with_key(&service(), CHECKOUTS, "one", &wish).await).await;
    till.rig.execute("DELETE FROM api_requests").await;
    let again = api.post_with_key(&service(), CHECKOUTS, "one", &wish).await;
    assert_eq!(again.body, first.body, "as if the answer had not been kept");
    assert_eq!((till.count("customer"), till.count("checkout.session")), (1, 1));
    till.rig.execute("DELETE FROM api_requests").await;
    let other = api
        .post_with_key(&service(), CHECKOUTS, "one", &json!({"topup": {"amount": 1000}}))
        .await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn stripes_no_is_told_and_kept() {
    let till = Till::open().await;
    let api = till.api().await;
    till.rig
        .execute("UPDATE catalog_offers SET price_id = 'price_gone' WHERE name = 'credits_1000'")
        .await;
    let refused = once(&api, &service(), CHECKOUTS, &json!({"package": "credits_1000"})).await;
    assert_eq!(
        (refused.status, refused.code(), &refused.body["stripe_code"]),
        (502, "stripe_refused", &json!("resource_missing")),
        "{refused:?}"
    );
    assert_eq!(
        till.rig
            .count("SELECT count(*) FROM stripe_intents WHERE state = 'refused'")
            .await,
        1
    );
    let other = api
        .post(&service(), CHECKOUTS, &json!({"topup": {"amount": 1000}}))
        .await;
    assert_eq!(other.status, 200, "{other:?}");
}
