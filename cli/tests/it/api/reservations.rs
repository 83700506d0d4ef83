//! Credits for work that may fail.

use std::sync::Arc;

use domain::credits::Owner;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Answer, Service, service, user};
use crate::ledger::TopUp;
use crate::ledger::check::round;
use crate::support::{Rig, wait_for};

const RESERVE: &str = "/v1/users/ann/credits/reservations";

/// Ann has 30 of her own, and her team has 100.
async fn with_credits(rig: &Rig) {
    rig.store()
        .add_team_member("", "crew", "ann")
        .await
        .expect("a member");
    let worker = rig.worker();
    rig.enqueue([
        &TopUp::new("1", &Owner::User("ann".into()), 30).event(),
        &TopUp::new("2", &Owner::Team("crew".into()), 100).event(),
    ])
    .await;
    rig.wait_for_count(BALANCES, 130).await;
    worker.stop().await.expect("it stops");
}

const BALANCES: &str =
    "SELECT coalesce(sum(balance), 0)::bigint FROM ledger_accounts WHERE owner_kind <> 'platform'";

async fn balances(rig: &Rig) -> (i64, i64) {
    let of = async |kind: &str| {
        rig.count(&format!(
            "SELECT balance FROM ledger_accounts WHERE owner_kind = '{kind}'"
        ))
        .await
    };
    (of("user").await, of("team").await)
}

async fn settle(api: &Service, id: &str, how: &str, body: &Value) -> Answer {
    api.post(&service(), &format!("{RESERVE}/{id}/{how}"), body).await
}

fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn what_was_not_used_goes_back_to_whom_it_was_taken_from() {
    let rig = Rig::new().await;
    with_credits(&rig).await;
    let api = Service::start(&rig).await;
    let reserved = api
        .post(&service(), RESERVE, &json!({"credits": 50, "reason": "a film"}))
        .await;
    let reservation = id(&reserved);
    assert_eq!(balances(&rig).await, (0, 80));
    // What was taken last goes back first.
    for _ in 0..2 {
        let answer = settle(&api, &reservation, "commit", &json!({"credits": 10})).await;
        assert_eq!(
            (&answer.body["status"], &answer.body["used"]),
            (&json!("committed"), &json!(10))
        );
        assert_eq!(balances(&rig).await, (20, 100));
    }
    let answer = settle(&api, &reservation, "release", &json!({})).await;
    assert_eq!((answer.status, answer.code()), (409, "conflict"));
    let answer = settle(&api, &reservation, "commit", &json!({"credits": 11})).await;
    assert_eq!((answer.status, answer.code()), (409, "conflict"));

    let reservation = id(&api.post(&service(), RESERVE, &json!({"credits": 120})).await);
    assert_eq!(balances(&rig).await, (0, 0));
    let shown = api.get(&user("ann"), &format!("{RESERVE}/{reservation}")).await;
    assert_eq!(
        (&shown.body["status"], &shown.body["used"]),
        (&json!("open"), &Value::Null)
    );
    assert_eq!(
        settle(&api, &reservation, "release", &json!({})).await.body["status"],
        "released"
    );
    assert_eq!(balances(&rig).await, (20, 100));
    assert_eq!(round(&rig.store(), 100, true).await, []);
}

#[tokio::test]
async fn a_reservation_nobody_settles_goes_back_by_itself() {
    let rig = Rig::new().await;
    with_credits(&rig).await;
    let api = Service::start(&rig).await;
    let body = json!({"credits": 100, "expires_in_seconds": 1});
    let reservation = id(&api.post(&service(), RESERVE, &body).await);
    assert_eq!(balances(&rig).await, (0, 30));
    assert!(
        wait_for(async || balances(&rig).await == (30, 100)).await,
        "it goes back"
    );
    let answer = settle(&api, &reservation, "commit", &json!({})).await;
    assert_eq!(
        (answer.status, &answer.body["reservation_status"]),
        (409, &json!("expired"))
    );
}

#[tokio::test]
async fn a_crowd_settles_each_reservation_once() {
    let rig = Rig::new().await;
    with_credits(&rig).await;
    let api = Arc::new(Service::start(&rig).await);
    let mut crowd = JoinSet::new();
    for number in 0..10 {
        let api = Arc::clone(&api);
        crowd.spawn(async move {
            let reservation = id(&api.post(&service(), RESERVE, &json!({"credits": 13})).await);
            let (release, nothing) = (format!("{RESERVE}/{reservation}/release"), json!({}));
            let token = service();
            let one = api.post(&token, &release, &nothing);
            let path = format!("{RESERVE}/{reservation}/commit");
            let body = json!({"credits": number});
            let other = api.post(&token, &path, &body);
            let (one, other) = tokio::join!(one, other);
            let is_committed = other.status == 200;
            assert_ne!(one.status == 200, is_committed, "{one:?} {other:?}");
            if is_committed { number } else { 0 }
        });
    }
    let used: i64 = crowd.join_all().await.into_iter().sum();
    assert_eq!(rig.count(BALANCES).await, 130 - used);
}

#[tokio::test]
async fn what_cannot_be_reserved_is_refused() {
    let rig = Rig::new().await;
    with_credits(&rig).await;
    let api = Service::start(&rig).await;
    let answer = api.post(&service(), RESERVE, &json!({"credits": 131})).await;
    assert_eq!(
        (answer.status, answer.code(), &answer.body["missing"]),
        (402, "insufficient_credits", &json!(1))
    );
    for body in [
        json!({"credits": 0}),
        json!({"credits": 1, "expires_in_seconds": 0}),
        json!({"credits": 1, "x": 1}),
    ] {
        assert_eq!(api.post(&service(), RESERVE, &body).await.status, 400, "{body}");
    }
    assert_eq!(
        api.post(&user("ann"), RESERVE, &json!({"credits": 1}))
            .await
            .status,
        403
    );
    let reservation = id(&api.post(&service(), RESERVE, &json!({"credits": 10})).await);
    assert_eq!(
        settle(&api, &reservation, "commit", &json!({"credits": 11}))
            .await
            .status,
        400
    );
    assert_eq!(
        api.get(
            &user("bob"),
            &format!("/v1/users/me/credits/reservations/{reservation}")
        )
        .await
        .status,
        404
    );
    let path = format!("/v1/users/bob/credits/reservations/{reservation}/release");
    assert_eq!(
        api.post(&service(), &path, &json!({})).await.status,
        404,
        "another user's"
    );
    for unknown in ["rsv_0", "x", "%00"] {
        assert_eq!(
            settle(&api, unknown, "release", &json!({})).await.status,
            404,
            "{unknown}"
        );
    }
    assert_eq!(balances(&rig).await, (20, 100));
}
