//! Plans that staff correct; asserted through the API alone.

use serde_json::{Value, json};
use shared::clock::Clock;

use super::street::{MONTH, Street};
use super::{admin, service, user};

const STATE: &str = "/v1/users/ann/subscription-state";
const CORRECTIONS: &str = "/v1/admin/users/ann/plan-corrections";

async fn correct(street: &Street, body: &Value) -> String {
    let made = street.api.post(&admin(), CORRECTIONS, body).await;
    assert_eq!(made.status, 200, "{made:?}");
    let id = made.body["id"].as_str().expect("an id").to_owned();
    street.wait(STATE, "/correction/id", &json!(id)).await;
    id
}

/// What staff did to ann, the newest first.
async fn deeds(street: &Street) -> Vec<Value> {
    let log = street
        .api
        .get(&admin(), "/v1/admin/audit-log?user=ann")
        .await
        .body;
    let deeds = log["deeds"].as_array().expect("deeds").iter();
    deeds
        .map(|deed| json!([deed["action"], deed["reason"], deed["subject"]]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_stands_whatever_stripe_says_until_it_is_withdrawn() {
    let street = Street::open().await;
    let (api, ann) = (&street.api, user("ann"));
    let session = street.checkout(&ann, &json!({"plan": "pro"})).await;
    street.till.pay(&session).await;
    street.wait_for_credits("ann", 2000).await;
    street.wait(STATE, "/state", &json!("active")).await;

    let id = correct(
        &street,
        &json!({"no_plan": true, "reason": "a contract that was ended on paper"}),
    )
    .await;
    let state = api.get(&ann, STATE).await.body;
    assert_eq!(
        (
            &state["state"],
            &state["entitled"],
            &state["subscription"]["status"]
        ),
        (&json!("no_subscription"), &json!(false), &json!("active")),
        "{state}"
    );
    assert_eq!(
        (
            &state["permissions"]["can_use_credits"]["reason"],
            &state["permissions"]["can_subscribe"]["reason"]
        ),
        (&json!("bought_credits"), &json!("has_subscription")),
        "Stripe still charges for the one it has: {state}"
    );
    let refused = street.checkout(&ann, &json!({"plan": "team"})).await;
    assert_eq!((refused.status, refused.code()), (409, "has_subscription"));
    assert_eq!(
        api.get(&ann, "/v1/users/me/billing").await.body["usage"]["limit"],
        json!(null)
    );

    // A month of webhooks later.
    street.till.advance(MONTH).await;
    street.wait_for_credits("ann", 4000).await;
    assert_eq!(api.get(&service(), STATE).await.body["state"], "no_subscription");
    assert_eq!(street.till.count("subscription"), 1);

    let withdraw = format!("{CORRECTIONS}/{id}/withdraw");
    let why = json!({"reason": "the contract goes on"});
    for _ in 0..2 {
        assert_eq!(
            api.post(&admin(), &withdraw, &why).await.status,
            200,
            "once or twice"
        );
    }
    street.wait(STATE, "/state", &json!("active")).await;
    street.wait(STATE, "/correction", &json!(null)).await;
    assert_eq!(
        deeds(&street).await,
        [
            json!(["plan.withdraw", "the contract goes on", id]),
            json!(["plan.correct", "a contract that was ended on paper", id]),
        ]
    );
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_given_to_somebody_stripe_never_heard_of() {
    let street = Street::open().await;
    let api = &street.api;
    correct(
        &street,
        &json!({"plan": "pro", "reason": "paid by bank transfer"}),
    )
    .await;
    let state = api.get(&user("ann"), STATE).await.body;
    assert_eq!(
        (
            &state["state"],
            &state["entitled"],
            &state["correction"]["plan"],
            &state["subscription"]
        ),
        (&json!("active"), &json!(true), &json!("pro"), &json!(null)),
        "{state}"
    );
    assert_eq!(
        state["permissions"]["can_subscribe"]["reason"],
        "has_subscription"
    );
    // As soon as Stripe has told of the price.
    street
        .wait("/v1/users/ann/billing", "/usage/limit", &json!(2000))
        .await;
    let billing = api.get(&service(), "/v1/users/ann/billing").await.body;
    assert_eq!(
        &billing["credits"]["balance"],
        &json!(0),
        "what it would give; credits are given by adjustments: {billing}"
    );
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_gives_way_to_the_next_and_to_the_clock() {
    let street = Street::open().await;
    let api = &street.api;
    let first = correct(
        &street,
        &json!({"plan": "pro", "reason": "paid by bank transfer"}),
    )
    .await;
    let until = Clock::system().unix_seconds() + 3600;
    let second = correct(
        &street,
        &json!({"plan": "team", "until": until, "reason": "and more"}),
    )
    .await;
    assert_eq!(
        api.get(&user("ann"), STATE).await.body["correction"]["until"],
        until
    );
    let list = api.get(&admin(), CORRECTIONS).await.body;
    let shown = |index: usize| {
        let it = &list["corrections"][index];
        (
            it["id"].as_str(),
            it["in_force"].as_bool(),
            it["ended_how"].as_str(),
        )
    };
    assert_eq!(
        [shown(0), shown(1)]
            .iter()
            .filter(|it| **it == (Some(second.as_str()), Some(true), None))
            .count(),
        1,
        "{list}"
    );
    assert!(
        [shown(0), shown(1)].contains(&(Some(first.as_str()), Some(false), Some("replaced"))),
        "{list}"
    );
    let over = api
        .post(
            &admin(),
            &format!("{CORRECTIONS}/{first}/withdraw"),
            &json!({"reason": "x"}),
        )
        .await;
    assert_eq!((over.status, over.code()), (409, "conflict"));
    // Of what the clock does, a moment after it is over.
    let (store, policy) = (street.till.rig.store(), domain::Policy::default());
    let mut problems = store::sweep::ProblemAfter::default();
    let swept = worker::sweeper::sweep(&store, &policy, until + 1, &mut problems).await;
    assert_eq!(swept.expect("swept").corrected, 1);
    street.wait(STATE, "/state", &json!("no_subscription")).await;
    street.close().await;
}

#[tokio::test]
async fn only_staff_correct_and_they_say_what_and_why() {
    let street = Street::open().await;
    let api = &street.api;
    let good = json!({"plan": "pro", "reason": "x"});
    for token in [service(), user("ann")] {
        for answer in [
            api.post(&token, CORRECTIONS, &good).await,
            api.get(&token, CORRECTIONS).await,
        ] {
            assert_eq!((answer.status, answer.code()), (403, "forbidden"));
        }
    }
    let now = Clock::system().unix_seconds();
    let cases = [
        (json!({"plan": "pro"}), 400),
        (json!({"plan": "pro", "reason": " "}), 400),
        (json!({"reason": "x"}), 400),
        (json!({"plan": "pro", "no_plan": true, "reason": "x"}), 400),
        (json!({"plan": "pro", "until": now - 1, "reason": "x"}), 400),
        (json!({"plan": "credits_1000", "reason": "x"}), 404),
        (json!({"plan": "platinum", "reason": "x"}), 404),
    ];
    for (body, status) in cases {
        assert_eq!(
            api.post(&admin(), CORRECTIONS, &body).await.status,
            status,
            "{body}"
        );
    }
    let unknown = api
        .post(
            &admin(),
            &format!("{CORRECTIONS}/cor_1/withdraw"),
            &json!({"reason": "x"}),
        )
        .await;
    assert_eq!((unknown.status, unknown.code()), (404, "not_found"));
    // As if the answer had never been kept.
    let one = api.post_with_key(&admin(), CORRECTIONS, "one", &good).await;
    street.till.rig.execute("DELETE FROM api_requests").await;
    assert_eq!(
        api.post_with_key(&admin(), CORRECTIONS, "one", &good).await.body,
        one.body
    );
    assert_eq!(
        street
            .till
            .rig
            .count("SELECT count(*) FROM plan_corrections")
            .await,
        1
    );
    street.close().await;
}
