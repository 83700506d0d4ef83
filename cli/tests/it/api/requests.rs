//! `Idempotency-Key`, limits, and what is refused before anybody looks at it.

use std::sync::Arc;

use bytes::Bytes;
use domain::credits::Owner;
use hyper::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Service, service, token, user};
use crate::ledger::TopUp;
use crate::support::Rig;

const SPEND: &str = "/v1/users/ann/credits/spend";

async fn with_credits(rig: &Rig) {
    let worker = rig.worker();
    rig.enqueue([&TopUp::new("1", &Owner::User("ann".into()), 100).event()])
        .await;
    rig.wait_for_count(
        "SELECT coalesce(max(balance), 0) FROM ledger_accounts WHERE owner_kind = 'user'",
        100,
    )
    .await;
    worker.stop().await.expect("it stops");
}

#[tokio::test]
async fn the_same_request_is_carried_out_once_and_answered_the_same() {
    let rig = Rig::new().await;
    with_credits(&rig).await;
    let api = Arc::new(Service::start(&rig).await);
    let mut same = JoinSet::new();
    for _ in 0..20 {
        let api = Arc::clone(&api);
        same.spawn(async move {
            api.post_with_key(&service(), SPEND, "one", &json!({"credits": 10}))
                .await
        });
    }
    for answer in same.join_all().await {
        let is_done = answer.status == 200 && answer.body["available"] == 90;
        assert!(
            is_done || (answer.status, answer.code()) == (409, "request_running"),
            "{answer:?}"
        );
    }
    let again = api
        .post_with_key(&service(), SPEND, "one", &json!({"credits": 10}))
        .await;
    assert_eq!((again.status, &again.body["available"]), (200, &json!(90)));
    assert_eq!(again.headers["idempotent-replayed"], "true");

    let other = api
        .post_with_key(&service(), SPEND, "one", &json!({"credits": 11}))
        .await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    // Another application's key is another key.
    let other = api
        .post_with_key(
            &token("service", "another"),
            SPEND,
            "one",
            &json!({"credits": 10}),
        )
        .await;
    assert_eq!((other.status, &other.body["available"]), (200, &json!(80)));
    // A refusal is an answer, too.
    let refusal = api
        .post_with_key(&service(), SPEND, "two", &json!({"credits": 500}))
        .await;
    let again = api
        .post_with_key(&service(), SPEND, "two", &json!({"credits": 500}))
        .await;
    assert_eq!(
        (refusal.status, again.status, &refusal.body),
        (402, 402, &again.body)
    );
    assert_eq!(again.headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn what_nobody_finished_is_carried_out_by_who_comes_next() {
    let rig = Rig::new().await;
    with_credits(&rig).await;
    let api = Service::start(&rig).await;
    let spend = async || {
        api.post_with_key(&service(), SPEND, "one", &json!({"credits": 10}))
            .await
    };
    assert_eq!(spend().await.status, 200);
    // As if the process had died before it kept the answer.
    rig.execute("UPDATE api_requests SET status = NULL, body = NULL")
        .await;
    assert_eq!(
        spend().await.code(),
        "request_running",
        "perhaps somebody is at it"
    );
    rig.execute("UPDATE api_requests SET locked_until = now() - interval '1 second'")
        .await;
    let again = spend().await;
    assert_eq!(
        (again.status, &again.body["available"]),
        (200, &json!(90)),
        "done once"
    );
}

#[tokio::test]
async fn requests_without_sense_are_refused() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let (token, body) = (service(), Bytes::from_static(b"{\"credits\": 1}"));
    let post = || api.request(Method::POST, SPEND, Some(&token));
    let keyed = || post().header("Idempotency-Key", "k");
    assert_eq!(
        api.send(post(), body.clone()).await.code(),
        "idempotency_key_missing"
    );
    assert_eq!(
        api.send(post().header("Idempotency-Key", "x".repeat(256)), body.clone())
            .await
            .status,
        400
    );
    assert_eq!(
        api.send(keyed(), Bytes::from(vec![b' '; 65 * 1024])).await.code(),
        "body_too_large"
    );
    let text = hyper::Request::post(format!("{}{SPEND}", api.url))
        .header("Authorization", format!("Bearer {token}"))
        .header("Idempotency-Key", "text");
    assert_eq!(api.send(text, body.clone()).await.status, 415);
    let wrong = api.request(Method::DELETE, "/v1/users/ann/credits", Some(&token));
    assert_eq!(api.send(wrong, Bytes::new()).await.code(), "method_not_allowed");
    assert_eq!(api.get(&token, "/v1/nothing").await.code(), "not_found");
}

#[tokio::test]
async fn too_many_are_told_when_to_come_again() {
    let rig = Rig::new().await;
    let (one, two) = (Service::start(&rig).await, Service::start(&rig).await);
    let path = "/v1/users/me/credits/spend";
    let mut refused = None;
    // One comes free each second meanwhile.
    for number in 0..1_000 {
        // Replicas count together.
        let api = if number % 2 == 0 { &one } else { &two };
        let answer = api.post(&user("ann"), path, &json!({"credits": 1})).await;
        if answer.status == 429 {
            refused = Some((number, answer));
            break;
        }
    }
    let (number, answer) = refused.expect("a limit");
    assert!(number >= 60, "{number} were free");
    let wait: u64 = answer.headers["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert_eq!((answer.code(), wait), ("too_many_requests", 1));
    assert_eq!(
        one.post(&user("bob"), path, &json!({"credits": 1})).await.status,
        403,
        "others are not concerned"
    );
}
