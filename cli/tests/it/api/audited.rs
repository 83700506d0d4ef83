//! Whatever staff change is in the audit log. Every operation of the description is tried; one that is added later and
//! needs more than its description says, or writes nothing down, is found here.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Value, json};

use super::flow_changes::with_pro;
use super::operations::Operation;
use super::street::Street;
use super::{admin, service, user};

const ROWS: &str = "SELECT count(*) FROM audit_log";

/// What some requests have to say, beside what their description demands.
fn said(path: &str) -> Option<Value> {
    let after_user = path.strip_prefix("/v1/users/{user}/");
    let of_admin = path.strip_prefix("/v1/admin/users/{user}/");
    Some(match (after_user, of_admin) {
        (Some("checkout-sessions" | "payment-intents"), _) => json!({"package": "credits_1000"}),
        (Some("subscription/change"), _) => json!({"plan": "team"}),
        (_, Some("plan-corrections")) => json!({"plan": "team", "reason": "a test"}),
        (_, Some("adjustments")) => json!({"credits": 5, "reason": "a test"}),
        _ if path.starts_with("/v1/dead-letters/") => json!({"all": true, "reason": "a test"}),
        _ => return None,
    })
}

/// Something of Ann's for each name that a path may have.
async fn there(street: &Street) -> BTreeMap<String, String> {
    let session = street
        .checkout(&user("ann"), &json!({"package": "credits_1000"}))
        .await;
    street.till.pay(&session).await;
    street.wait_for_credits("ann", 3000).await;
    let id = session.body["id"].as_str().expect("one").to_owned();
    let path = format!("/v1/users/ann/checkout-sessions/{id}");
    let payment = street.api.get(&service(), &path).await.body["payment_id"].clone();
    let named = [
        ("user", "ann"),
        ("team", "red"),
        ("session", &id),
        ("payment", payment.as_str().expect("one")),
        ("customer", "cus_1"),
    ];
    named
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// A reservation and a correction that nobody has settled or withdrawn.
async fn open(street: &Street) -> [(&'static str, String); 2] {
    let reserve = json!({"credits": 1});
    let held = street
        .api
        .post(&service(), "/v1/users/ann/credits/reservations", &reserve)
        .await;
    let correct = json!({"plan": "pro", "reason": "a test"});
    let corrected = street
        .api
        .post(&admin(), "/v1/admin/users/ann/plan-corrections", &correct)
        .await;
    [("id", held), ("correction", corrected)].map(|(name, made)| {
        let id = made.body["id"].as_str();
        (name, id.unwrap_or_else(|| panic!("{made:?}")).to_owned())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_staff_change_is_written_down_once() {
    let street = with_pro().await;
    let mut there = there(&street).await;
    let rig = &street.till.rig;
    let mut tried = 0;
    let all = Operation::all();
    for operation in all.iter().filter(|it| it.method != Method::GET) {
        there.extend(open(&street).await.map(|(name, id)| (name.to_owned(), id)));
        let path = operation.path_with(|name| there.get(name).expect(name).clone());
        let body = said(&operation.path).or_else(|| operation.body.clone());
        let before = rig.count(ROWS).await;
        let answer = operation
            .ask(&street.api, Some(&admin()), &path, body.as_ref())
            .await;
        let named = operation.named();
        assert!((200..300).contains(&answer.status), "{named}: {answer:?}");
        assert_eq!(rig.count(ROWS).await, before + 1, "{named} is not written down");
        tried += 1;
    }
    assert!(tried >= 19, "{tried}");
    let deeds = street
        .api
        .get(&admin(), "/v1/admin/audit-log?user=ann")
        .await
        .body;
    let deeds = deeds["deeds"].as_array().expect("deeds");
    let is_there = |action: &str| {
        let of_ann = deeds.iter().find(|it| it["action"] == action);
        of_ann.is_some_and(|it| it["actor"] == "staff_1" && it["role"] == "admin")
    };
    for action in ["change", "cancel", "resume"] {
        assert!(is_there(&format!("subscription.{action}")), "{action}: {deeds:?}");
    }
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_and_users_do_themselves_is_no_deed_of_staff() {
    let street = with_pro().await;
    let (api, rig) = (&street.api, &street.till.rig);
    for (token, path, body) in [
        (user("ann"), "/v1/users/me/subscription/cancel", Value::Null),
        (service(), "/v1/users/ann/credits/spend", json!({"credits": 1})),
        (
            service(),
            "/v1/users/ann/credits/reservations",
            json!({"credits": 1}),
        ),
    ] {
        let answer = api.post(&token, path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    assert_eq!(rig.count(ROWS).await, 0);
    // The same by staff, twice with one key: once.
    let (path, spend) = (
        "/v1/users/ann/credits/spend",
        json!({"credits": 1, "reason": "by hand"}),
    );
    for _ in 0..2 {
        api.post_with_key(&admin(), path, "one", &spend).await;
        rig.execute("DELETE FROM api_requests").await;
    }
    let row = rig
        .text("SELECT concat_ws(' ', action, user_id, reason) FROM audit_log")
        .await;
    assert_eq!(row.as_deref(), Some("credits.spend ann by hand"));
    street.close().await;
}
