//! Where a user stands, and that nobody is told what was.

use domain::credits::Owner;
use serde_json::json;

use redis::AsyncCommands;

use super::{JWT_SECRET, Service, service, user};
use crate::ledger::TopUp;
use crate::support::{Rig, wait_for};

const PATH: &str = "/v1/users/ann/subscription-state";

#[tokio::test]
async fn whoever_nobody_has_heard_of_may_buy() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let answer = api.get(&user("ann"), "/v1/users/me/subscription-state").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        json!({
            "user_id": "ann", "state": "no_subscription", "entitled": false, "subscription": null,
            "correction": null,
            "permissions": {
                "can_use_credits": {"allowed": false, "reason": "no_credits"},
                "can_purchase": {"allowed": true, "reason": "ok"},
                "can_subscribe": {"allowed": true, "reason": "ok"},
            },
        })
    );
}

#[tokio::test]
async fn what_is_kept_is_never_older_than_what_is_committed() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let worker = rig.worker();
    let reason = async || {
        let answer = api.get(&service(), PATH).await;
        answer.body["permissions"]["can_use_credits"]["reason"]
            .as_str()
            .map(str::to_owned)
    };
    for _ in 0..3 {
        assert_eq!(reason().await.as_deref(), Some("no_credits"));
    }
    assert!(kept(&rig).await, "or this test would say nothing");
    rig.enqueue([&TopUp::new("1", &Owner::User("ann".into()), 100).event()])
        .await;
    // Seen in Postgres is committed; from then on nobody may be told otherwise.
    rig.wait_for_count(
        "SELECT coalesce(max(balance), 0) FROM ledger_accounts WHERE owner_kind = 'user'",
        100,
    )
    .await;
    assert_eq!(reason().await.as_deref(), Some("bought_credits"));
    for left in [50, 0] {
        let answer = api
            .post(&service(), "/v1/users/ann/credits/spend", &json!({"credits": 50}))
            .await;
        assert_eq!(answer.body["available"], left);
        let wanted = if left == 0 { "no_credits" } else { "bought_credits" };
        assert_eq!(reason().await.as_deref(), Some(wanted));
    }
    worker.stop().await.expect("it stops");
}

/// Whether an answer about `ann` is kept.
async fn kept(rig: &Rig) -> bool {
    let key = format!("{{{}:v1:state}}::ann", rig.prefix);
    let value: Option<String> = rig.redis().await.get(key).await.expect("Redis is there");
    value.is_some_and(|value| value.starts_with('v'))
}

#[tokio::test]
async fn nothing_is_kept_before_everybody_can_have_seen_that_states_are_kept() {
    let rig = Rig::new().await;
    assert!(!rig.state_cache().is_kept().await.expect("Redis is there"));
    let settings = [("TOLLGATE_API_JWT_SECRET", JWT_SECRET)];
    let api = Service::serve(Service::config(&rig, &settings)).await;
    let cache = rig.state_cache();
    let is_told = async || cache.is_kept().await.expect("Redis is there");
    assert!(wait_for(is_told).await, "the API says that it keeps states");

    assert_eq!(api.get(&service(), PATH).await.status, 200);
    assert!(
        !kept(&rig).await,
        "a change that is under way may not have heard of it"
    );

    let notice = format!("{{{}:v1:state}}:kept", rig.prefix);
    let _: () = rig.redis().await.set(&notice, 1).await.expect("Redis is there");
    assert_eq!(api.get(&service(), PATH).await.status, 200);
    assert!(
        !kept(&rig).await,
        "a notice that nobody renews would outlive its API"
    );

    let _: () = rig.redis().await.del(&notice).await.expect("Redis is there");
    cache.announce_before_anybody().await.expect("Redis is there");
    // The claim of the last one, which was not allowed to fill it, has to run out.
    let is_kept = async || {
        api.get(&service(), PATH).await;
        kept(&rig).await
    };
    assert!(wait_for(is_kept).await);
}
