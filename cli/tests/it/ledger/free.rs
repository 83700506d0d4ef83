//! Free credits: once a month for each subscription, within what the platform may hand out.

use bytes::Bytes;
use domain::Policy;
use serde_json::json;

use super::check::round;
use super::{DAY, NOW, TopUp, apply, balance, sell, subscription, swept, swept_together, team, user};
use crate::support::{Rig, event};

const FREE: i64 = 100;
const GIVEN: &str = "SELECT coalesce(sum(amount), 0)::bigint FROM ledger_transfers WHERE kind = 'free'";

fn price(days: Option<i64>) -> Bytes {
    let mut object = json!({"id": "price_1", "object": "price", "unit_amount": 2000, "currency": "usd",
        "metadata": {"credits": "2000", "free_monthly_credits": FREE.to_string()}});
    if let Some(days) = days {
        object["metadata"]["credits_expire_days"] = json!(days.to_string());
    }
    event("evt_price", "price.created", NOW - 100 * DAY, &object)
}

fn active(id: &str) -> Bytes {
    subscription(id, &json!({"user_id": format!("usr_{id}")}), "active", None)
}

fn limited(most: i64) -> Policy {
    Policy {
        outstanding_max: Some(most),
        ..Policy::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_month_brings_free_credits_once() {
    let rig = Rig::new().await;
    let store = rig.store();
    let policy = Policy::default();
    let owner = |id: &str| json!({"user_id": id});
    let events = [
        price(None),
        active("sub_1"),
        subscription("sub_2", &owner("usr_2"), "trialing", None),
        subscription(
            "sub_3",
            &json!({"user_id": "usr_3", "team_id": "t"}),
            "active",
            None,
        ),
        subscription("sub_4", &owner("usr_4"), "past_due", None),
        subscription("sub_5", &owner("usr_5"), "canceled", Some(NOW + 900 * DAY)),
        subscription("sub_6", &json!({}), "active", None),
    ];
    apply(&store, &policy, &events).await;
    // 15 January, its last second, and the first of February.
    let last = NOW - NOW % DAY + 17 * DAY - 1;
    for (now, free) in [
        (NOW, 3),
        (NOW, 0),
        (last, 0),
        (last + 1, 3),
        (last + 2, 0),
        (last + DAY, 0),
    ] {
        assert_eq!(swept(&store, &policy, now).await.free, free, "{now}");
    }
    for (owner, credits) in [
        (user("usr_sub_1"), 2 * FREE),
        (user("usr_2"), 2 * FREE),
        (team("t"), 2 * FREE),
        (user("usr_3"), 0),
        (user("usr_4"), 0),
        (user("usr_5"), 0),
    ] {
        assert_eq!(balance(&rig, &owner).await, credits, "{owner:?}");
    }
    let keys = "SELECT string_agg(key || ' ' || seq, ', ' ORDER BY id) FROM ledger_transfers WHERE key LIKE '%sub_1:%'";
    assert_eq!(
        rig.text(keys).await.as_deref(),
        Some("free:sub_1:2027-01 1, free:sub_1:2027-02 1")
    );
    let told = "SELECT count(*) FROM outbox WHERE type = 'credits.granted' AND data ->> 'key' LIKE 'free:%'";
    assert_eq!(rig.count(told).await, 6);
    assert_eq!(round(&store, 50, true).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn free_credits_expire_like_others() {
    let rig = Rig::new().await;
    let store = rig.store();
    let policy = Policy::default();
    apply(&store, &policy, &[price(Some(31)), active("sub_1")]).await;
    assert_eq!(swept(&store, &policy, NOW).await.free, 1);
    store.spend("", "usr_sub_1", 30, "k", None).await.expect("spent");
    let later = swept(&store, &policy, NOW + 31 * DAY).await;
    assert_eq!((later.expired, later.free), (1, 1));
    assert_eq!(balance(&rig, &user("usr_sub_1")).await, FREE);
    let expired = "SELECT string_agg(key || ' ' || amount, ', ') FROM ledger_transfers WHERE kind = 'expire'";
    assert_eq!(
        rig.text(expired).await.as_deref(),
        Some("expire:free:sub_1:2027-01 70")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sweepers_give_each_subscription_its_credits_once() {
    const SUBSCRIPTIONS: i64 = 450;
    let rig = Rig::new().await;
    let store = rig.store();
    let policy = Policy::default();
    let mut events: Vec<Bytes> = (0..SUBSCRIPTIONS)
        .map(|number| active(&format!("sub_{number}")))
        .collect();
    events.push(price(None));
    apply(&store, &policy, &events).await;
    let mut given = swept_together(&rig, 4, &policy, NOW).await.free;
    given += swept(&store, &policy, NOW).await.free;
    assert_eq!(given, SUBSCRIPTIONS as u64);
    assert_eq!(rig.count(GIVEN).await, SUBSCRIPTIONS * FREE);
    let least = "SELECT min(balance) FROM ledger_accounts WHERE owner_kind = 'user'";
    assert_eq!(rig.count(least).await, FREE);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_given_than_may_be_outstanding() {
    const SUBSCRIPTIONS: i64 = 230;
    const MOST: i64 = 1_550;
    let rig = Rig::new().await;
    let store = rig.store();
    let policy = limited(MOST);
    let mut events: Vec<Bytes> = (0..SUBSCRIPTIONS)
        .map(|number| active(&format!("sub_{number}")))
        .collect();
    events.push(price(None));
    apply(&store, &policy, &events).await;
    sell(&store, &[TopUp::new("1", &user("usr_sub_0"), 500)]).await;
    assert_eq!(
        store
            .capacity_left("", policy.outstanding_max)
            .await
            .expect("asked"),
        Some(1_050)
    );

    let given = swept_together(&rig, 4, &policy, NOW).await.free;
    assert_eq!((given, rig.count(GIVEN).await), (10, 10 * FREE));
    assert_eq!(store.outstanding("").await.expect("asked"), 1_500);
    assert_eq!(swept(&store, &policy, NOW).await.free, 0);
    assert_eq!(
        store
            .capacity_left("", policy.outstanding_max)
            .await
            .expect("asked"),
        Some(50)
    );

    // What is used makes room; what is paid for is granted all the same.
    store.spend("", "usr_sub_0", 250, "k", None).await.expect("spent");
    assert_eq!(swept_together(&rig, 4, &policy, NOW).await.free, 3);
    assert_eq!(store.outstanding("").await.expect("asked"), 1_550);
    sell(&store, &[TopUp::new("2", &user("usr_sub_0"), 1_000)]).await;
    assert_eq!(swept(&store, &policy, NOW).await.free, 0);
    assert_eq!(
        store
            .capacity_left("", policy.outstanding_max)
            .await
            .expect("asked"),
        Some(-1_000)
    );
    assert_eq!(store.capacity_left("", None).await.expect("asked"), None);
    assert_eq!(round(&store, 500, true).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_give_at_the_same_moment_do_not_use_up_the_same_room() {
    const SUBSCRIPTIONS: i64 = 400;
    let rig = Rig::new().await;
    let store = rig.store();
    let policy = limited(1_050);
    let mut events: Vec<Bytes> = (0..SUBSCRIPTIONS)
        .map(|number| active(&format!("sub_{number}")))
        .collect();
    events.push(price(None));
    apply(&store, &policy, &events).await;
    // Nobody can give anything yet: one is about to, and what another does meanwhile is the question.
    rig.execute(
        "SELECT ledger_account_of('', 'platform', 'issued:' || part) FROM generate_series(0, 15) AS part",
    )
    .await;
    let mut held = rig.pool.begin().await.expect("Postgres answers");
    sqlx::query("SELECT FROM ledger_accounts FOR NO KEY UPDATE")
        .execute(&mut *held)
        .await
        .expect("held");
    let sweeping = async || swept_together(&rig, 2, &policy, NOW).await.free;
    let release = async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        rig.wait_for_count(waiting, 2).await;
        held.rollback().await.expect("let go");
    };
    let (given, ()) = tokio::join!(sweeping(), release());
    assert_eq!((given, rig.count(GIVEN).await), (10, 1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_corrected_to_have_no_plan_gets_none() {
    let rig = Rig::new().await;
    let (store, policy) = (rig.store(), Policy::default());
    let events = [price(None), active("1"), active("2"), active("3")];
    apply(&store, &policy, &events).await;
    rig.execute(
        "INSERT INTO plan_corrections
             (account, id, key, user_id, plan, price_id, reason, made_by, ended_at, ended_how)
         VALUES ('', 'cor_1', '1', 'usr_1', NULL, NULL, 'x', 'staff', NULL, NULL),
                ('', 'cor_2', '2', 'usr_2', 'pro', 'price_1', 'x', 'staff', NULL, NULL),
                ('', 'cor_3', '3', 'usr_3', NULL, NULL, 'x', 'staff', now(), 'withdrawn')",
    )
    .await;
    assert_eq!(swept(&store, &policy, NOW).await.free, 2);
    assert_eq!(balance(&rig, &user("usr_1")).await, 0);
}
