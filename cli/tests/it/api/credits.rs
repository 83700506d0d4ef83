//! Balances, histories, spending.

use std::sync::Arc;

use domain::credits::Owner;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Service, service, user};
use crate::ledger::TopUp;
use crate::support::Rig;

const SPEND: &str = "/v1/users/ann/credits/spend";

async fn with_credits(rig: &Rig, credits: i64) {
    let worker = rig.worker();
    rig.enqueue([&TopUp::new("1", &Owner::User("ann".into()), credits).event()])
        .await;
    rig.wait_for_count(
        "SELECT coalesce(max(balance), 0) FROM ledger_accounts WHERE owner_kind = 'user'",
        credits,
    )
    .await;
    worker.stop().await.expect("it stops");
}

#[tokio::test]
async fn credits_are_shown_and_spent() {
    let rig = Rig::new().await;
    with_credits(&rig, 100).await;
    let api = Service::start(&rig).await;
    let answer = api.get(&user("ann"), "/v1/users/me/credits").await;
    assert_eq!(
        answer.body,
        json!({"user_id": "ann", "available": 100, "balance": 100, "teams": []})
    );

    let answer = api
        .post(&service(), SPEND, &json!({"credits": 30, "reason": "a picture"}))
        .await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &json!({"spent": 30, "available": 70}))
    );
    let answer = api.post(&service(), SPEND, &json!({"credits": 71})).await;
    assert_eq!((answer.status, answer.code()), (402, "insufficient_credits"));
    assert_eq!(
        (&answer.body["available"], &answer.body["missing"]),
        (&json!(70), &json!(1))
    );

    let page = api
        .get(&user("ann"), "/v1/users/me/credits/history?limit=1")
        .await;
    let newest = &page.body["entries"][0];
    assert_eq!(
        (&newest["kind"], &newest["credits"], &newest["balance"]),
        (&json!("spend"), &json!(-30), &json!(70))
    );
    assert_eq!(newest["reason"], "a picture");
    let next = page.body["next"].as_str().expect("another page");
    let page = api
        .get(
            &user("ann"),
            &format!("/v1/users/me/credits/history?after={next}"),
        )
        .await;
    assert_eq!(page.body["entries"][0]["kind"], "topup");
    assert_eq!(page.body.get("next"), None);
}

#[tokio::test]
async fn what_makes_no_sense_is_named() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let bodies = [
        json!({"credits": 0}),
        json!({"credits": -5}),
        json!({"credits": 1.5}),
        json!({"credits": "1"}),
        json!({"credits": 1_000_000_001}),
        json!({}),
        json!([]),
        json!({"credits": 1, "reason": "x".repeat(501)}),
        json!({"credits": 1, "reason": "\0"}),
    ];
    for body in bodies {
        let answer = api.post(&service(), SPEND, &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid_request"),
            "{body}: {answer:?}"
        );
        assert!(answer.body["detail"].is_string(), "{body}");
    }
    for query in ["limit=0", "limit=201", "limit=x", "after=x"] {
        let answer = api
            .get(&service(), &format!("/v1/users/ann/credits/history?{query}"))
            .await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid_request"),
            "{query}"
        );
    }
    for user in ["%00", &"x".repeat(201)] {
        assert_eq!(
            api.get(&service(), &format!("/v1/users/{user}/credits"))
                .await
                .status,
            400,
            "{user}"
        );
    }
}

#[tokio::test]
async fn a_crowd_never_spends_more_than_there_is() {
    let rig = Rig::new().await;
    with_credits(&rig, 100).await;
    let api = Arc::new(Service::start(&rig).await);
    let mut spends = JoinSet::new();
    for _ in 0..30 {
        let api = Arc::clone(&api);
        spends.spawn(async move { api.post(&service(), SPEND, &json!({"credits": 7})).await.status });
    }
    let statuses = spends.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 14);
    assert_eq!(statuses.iter().filter(|status| **status == 402).count(), 16);
    assert_eq!(
        rig.count("SELECT balance FROM ledger_accounts WHERE owner_kind = 'user'")
            .await,
        2
    );
}
