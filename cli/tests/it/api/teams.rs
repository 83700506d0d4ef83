//! Teams, and what their members may know.

use bytes::Bytes;
use domain::credits::Owner;
use hyper::Method;
use serde_json::json;

use super::{Answer, Service, service, user};
use crate::ledger::TopUp;
use crate::support::{Rig, unique};

async fn set(api: &Service, token: &str, member: &str, is_member: bool) -> Answer {
    let path = format!("/v1/teams/crew/members/{member}");
    let request = api
        .request(Method::PUT, &path, Some(token))
        .header("Idempotency-Key", unique());
    api.send(request, Bytes::from(json!({"member": is_member}).to_string()))
        .await
}

async fn reason(api: &Service, who: &str) -> String {
    let answer = api.get(&user(who), "/v1/users/me/subscription-state").await;
    answer.body["permissions"]["can_use_credits"]["reason"]
        .as_str()
        .expect("a reason")
        .to_owned()
}

#[tokio::test]
async fn members_share_credits_and_everybodys_answer_follows() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let worker = rig.worker();
    assert_eq!(
        set(&api, &user("ann"), "ann", true).await.status,
        403,
        "nobody joins by themselves"
    );
    for member in ["ann", "bob"] {
        assert_eq!(set(&api, &service(), member, true).await.status, 200);
        assert_eq!(reason(&api, member).await, "no_credits");
    }
    rig.enqueue([&TopUp::new("1", &Owner::Team("crew".into()), 60).event()])
        .await;
    rig.wait_for_count(
        "SELECT coalesce(max(balance), 0) FROM ledger_accounts WHERE owner_kind = 'team'",
        60,
    )
    .await;
    assert_eq!(
        (reason(&api, "ann").await, reason(&api, "bob").await),
        ("team_credits".into(), "team_credits".into())
    );
    let spent = api
        .post(&service(), "/v1/users/ann/credits/spend", &json!({"credits": 60}))
        .await;
    assert_eq!(spent.body["available"], 0);
    assert_eq!(
        reason(&api, "bob").await,
        "no_credits",
        "what ann spent, bob cannot"
    );

    let team = api.get(&service(), "/v1/teams/crew").await;
    assert_eq!(
        team.body,
        json!({"team_id": "crew", "balance": 0, "members": ["ann", "bob"]})
    );
    assert_eq!(api.get(&user("ann"), "/v1/teams/crew").await.status, 403);
    let history = api.get(&service(), "/v1/teams/crew/credits/history").await;
    assert_eq!(history.body["entries"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        set(&api, &service(), "bob", false).await.body["members"],
        json!(["ann"])
    );
    worker.stop().await.expect("it stops");
}
