//! What a sweep and a fall of a balance leave for others: marks, and news.

use domain::Policy;
use serde_json::json;
use store::Store;

use super::{NOW, TopUp, apply, balance, sell, swept, team, user};
use crate::support::{Rig, event};

const LOW: &str =
    "SELECT string_agg(concat_ws(' ', subject_kind, subject_id, coalesce(user_id, '-'), data ->> 'balance',
                       'of', data ->> 'low'), ', ' ORDER BY id) FROM outbox WHERE type = 'credits.low'";

async fn spend(store: &Store, who: &str, credits: i64) {
    let key = crate::support::unique();
    store.spend("", who, credits, &key, None).await.expect("spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_that_falls_low_is_told_once_for_each_fall() {
    let rig = Rig::new().await;
    let store = rig.store().telling_low_credits(50);
    let first = TopUp::new("1", &user("u"), 100);
    sell(&store, std::slice::from_ref(&first)).await;
    let mut told = String::new();
    // What is spent, and whether that is news.
    for (credits, news) in [(49, ""), (1, "user u u 50 of 50"), (1, ""), (30, "")] {
        spend(&store, "u", credits).await;
        told += news;
        assert_eq!(rig.text(LOW).await.unwrap_or_default(), told, "after {credits}");
    }
    sell(&store, &[TopUp::new("2", &user("u"), 100)]).await;
    assert_eq!(balance(&rig, &user("u")).await, 119);
    spend(&store, "u", 100).await;
    told += ", user u u 19 of 50";
    assert_eq!(rig.text(LOW).await.as_ref(), Some(&told));

    // By whatever way it falls, and of a team.
    sell(
        &store,
        &[TopUp::new("3", &user("u"), 100), TopUp::new("4", &team("t"), 60)],
    )
    .await;
    apply(
        &store,
        &Policy::default(),
        &[first.refund(1, 100, "succeeded", NOW + 1)],
    )
    .await;
    store.add_team_member("", "t", "v").await.expect("added");
    spend(&store, "v", 60).await;
    told += ", user u u 19 of 50, team t - 0 of 50";
    assert_eq!(rig.text(LOW).await.as_ref(), Some(&told));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_who_does_not_want_to_know() {
    let rig = Rig::new().await;
    for store in [rig.store(), rig.store().telling_low_credits(0)] {
        sell(&store, &[TopUp::new("1", &user("u"), 100)]).await;
        spend(&store, "u", 50).await;
        store.close().await;
    }
    assert_eq!(balance(&rig, &user("u")).await, 0);
    assert_eq!(rig.text(LOW).await, None);
    // Applications that spend have connections of their own: the database can be told as well.
    rig.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET tollgate.credits_low = 5', current_database()); END $$",
    )
    .await;
    let store = rig.store();
    sell(&store, &[TopUp::new("2", &user("v"), 6)]).await;
    spend(&store, "v", 1).await;
    assert_eq!(rig.text(LOW).await.as_deref(), Some("user v v 5 of 5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_with_a_problem_are_looked_at_again() {
    const INVOICES: u32 = 250;
    let rig = Rig::new().await;
    let store = rig.store();
    let policy = Policy::default();
    let invoice = |number: u32| {
        let object = json!({"id": format!("in_{number}"), "object": "invoice", "status": "paid", "created": NOW,
            "billing_reason": "subscription_create", "amount_paid": 2000, "metadata": {"user_id": "u"},
            "lines": {"data": [{"id": "il_1", "amount": 2000, "price": "price_1"}]}});
        event(&format!("evt_{number}"), "invoice.paid", NOW, &object)
    };
    let events: Vec<_> = (0..INVOICES).map(invoice).collect();
    apply(&store, &policy, &events).await;
    let open = "SELECT count(*) FROM money_sources WHERE problem = 'unknown_price'";
    assert_eq!(rig.count(open).await, i64::from(INVOICES));
    assert_eq!(swept(&store, &policy, NOW).await.problems, u64::from(INVOICES));
    assert_eq!(
        rig.count(open).await,
        i64::from(INVOICES),
        "nothing is known now, either"
    );

    // What is learned without anybody being told.
    rig.execute(
        "INSERT INTO price_terms (account, price_id, origin, since, credits) VALUES ('', 'price_1', 'file', '-infinity', 7)",
    )
    .await;
    super::settle(&store, &policy).await;
    assert_eq!(balance(&rig, &user("u")).await, 0);
    assert_eq!(swept(&store, &policy, NOW).await.problems, u64::from(INVOICES));
    assert_eq!(rig.count(open).await, 0);
    assert_eq!(balance(&rig, &user("u")).await, 7 * i64::from(INVOICES));
    assert_eq!(swept(&store, &policy, NOW).await.problems, 0);
}
