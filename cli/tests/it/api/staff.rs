//! What staff see and correct.

use domain::credits::Owner;
use serde_json::json;

use super::{Service, admin, service, user};
use crate::ledger::TopUp;
use crate::ledger::check::round;
use crate::support::Rig;

const ADJUST: &str = "/v1/admin/users/ann/adjustments";

#[tokio::test]
async fn a_correction_happens_once_and_says_why() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let body = json!({"credits": 40, "reason": "an apology"});
    for _ in 0..2 {
        let answer = api.post_with_key(&admin(), ADJUST, "one", &body).await;
        assert_eq!(
            (answer.status, &answer.body["balance"]),
            (200, &json!(40)),
            "{answer:?}"
        );
    }
    // As if the answer had never been kept.
    rig.execute("DELETE FROM api_requests").await;
    assert_eq!(
        api.post_with_key(&admin(), ADJUST, "one", &body).await.body["balance"],
        40
    );
    rig.execute("DELETE FROM api_requests").await;
    let other = api
        .post_with_key(&admin(), ADJUST, "one", &json!({"credits": -40, "reason": "x"}))
        .await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));

    let answer = api
        .post(&admin(), ADJUST, &json!({"credits": -41, "reason": "x"}))
        .await;
    assert_eq!((answer.status, &answer.body["balance"]), (409, &json!(40)));
    assert_eq!(
        api.post(&admin(), ADJUST, &json!({"credits": -10, "reason": "x"}))
            .await
            .body["balance"],
        30
    );
    for body in [
        json!({"credits": 1}),
        json!({"credits": 1, "reason": " "}),
        json!({"credits": 0, "reason": "x"}),
    ] {
        assert_eq!(api.post(&admin(), ADJUST, &body).await.status, 400, "{body}");
    }
    for token in [service(), user("ann")] {
        assert_eq!(
            api.post(&token, ADJUST, &json!({"credits": 1, "reason": "x"}))
                .await
                .status,
            403
        );
    }
    let log = api.get(&admin(), "/v1/admin/audit-log?user=ann").await;
    let deeds = log.body["deeds"].as_array().expect("deeds");
    assert_eq!(
        (
            &deeds[0]["detail"],
            deeds.last().expect("some")["reason"].as_str()
        ),
        (&json!({"credits": -10}), Some("an apology"))
    );
    assert_eq!(round(&rig.store(), 100, true).await, []);
}

#[tokio::test]
async fn staff_find_a_user_and_everything_about_them() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let worker = rig.worker();
    for name in ["ann", "bob", "carl"] {
        rig.enqueue([&TopUp::new(name, &Owner::User(name.into()), 10).event()])
            .await;
    }
    rig.wait_for_count("SELECT count(*) FROM users", 3).await;
    worker.stop().await.expect("it stops");
    let page = api.get(&admin(), "/v1/admin/users?limit=2").await;
    assert_eq!(page.body["users"][1]["id"], "bob");
    let next = page.body["next"].as_str().expect("another page");
    let page = api
        .get(&admin(), &format!("/v1/admin/users?limit=2&after={next}"))
        .await;
    assert_eq!(
        (&page.body["users"][0]["id"], page.body.get("next")),
        (&json!("carl"), None)
    );
    let found = api
        .get(&admin(), "/v1/admin/users?search=bob&state=no_subscription")
        .await;
    assert_eq!(found.body["users"].as_array().map(Vec::len), Some(1));

    let events = api.get(&admin(), "/v1/admin/users/bob/events").await;
    assert_eq!(events.body["events"][0]["object_id"], "cs_bob");
    assert_eq!(
        events.body["events"].as_array().map(Vec::len),
        Some(1),
        "nobody else's"
    );
    assert_eq!(
        api.get(&admin(), "/v1/admin/users/bob/ledger").await.body["entries"][0]["kind"],
        "topup"
    );
    assert_eq!(
        api.get(&admin(), "/v1/admin/users/bob").await.body["user_id"],
        "bob"
    );
    for path in [
        "users",
        "users/bob",
        "users/bob/events",
        "users/bob/ledger",
        "audit-log",
        "switches/billing",
    ] {
        for token in [service(), user("bob")] {
            assert_eq!(
                api.get(&token, &format!("/v1/admin/{path}")).await.status,
                403,
                "{path}"
            );
        }
    }
}
