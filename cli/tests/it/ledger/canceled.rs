//! Cancellations that expire by the clock.

use bytes::Bytes;
use domain::Policy;
use serde_json::json;
use worker::sweeper::Swept;

use super::{DAY, NOW, apply, settle, subscription, swept, swept_together};
use crate::support::{Rig, customer, event};

/// Until when the last invoice was paid.
const PAID_THROUGH: i64 = NOW + 20 * DAY;

fn ended(id: &str) -> Bytes {
    let owner = json!({"user_id": format!("usr_{id}")});
    subscription(id, &owner, "canceled", Some(NOW))
}

fn paid(id: &str) -> Bytes {
    let line = |number: i64, end: i64| json!({"id": format!("il_{number}"), "amount": 0, "price": "price_1", "period": {"start": NOW - DAY, "end": end}});
    let object = json!({"id": format!("in_{id}"), "object": "invoice", "status": "paid", "created": NOW - DAY,
        "billing_reason": "subscription_cycle", "subscription": id, "amount_paid": 2000,
        "lines": {"data": [line(1, NOW), line(2, PAID_THROUGH)]}});
    event(&format!("evt_{id}"), "invoice.paid", NOW - DAY, &object)
}

const SUBSCRIPTIONS: &str =
    "SELECT string_agg(concat_ws(' ', state, entitled, extract(epoch FROM expired_at)::bigint), ', ')
                             FROM subscription_states";
const USERS: &str = "SELECT string_agg(state, ', ') FROM users";
const TOLD: &str = "SELECT count(*) FROM outbox WHERE type = 'subscription.expired'";

fn canceled(swept: Swept) -> u64 {
    assert_eq!((swept.expired, swept.free, swept.problems), (0, 0, 0));
    swept.canceled
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_expires_when_the_policy_says() {
    // Grace, whether paid time is honoured, whether any was paid, and when it is expired.
    let cases = [
        (0, true, true, PAID_THROUGH),
        (3 * DAY, true, true, PAID_THROUGH + 3 * DAY),
        (0, false, true, NOW),
        (3 * DAY, false, true, NOW + 3 * DAY),
        (0, true, false, NOW),
        (30 * DAY, true, false, NOW + 30 * DAY),
    ];
    for (expire_grace_seconds, honour_paid_time, was_paid, at) in cases {
        let policy = Policy {
            expire_grace_seconds,
            honour_paid_time,
            ..Policy::default()
        };
        let rig = Rig::new().await;
        let store = rig.store();
        let mut events = vec![ended("sub_1")];
        events.extend(was_paid.then(|| paid("sub_1")));
        apply(&store, &policy, &events).await;
        assert_eq!(canceled(swept(&store, &policy, at - 1).await), 0, "{policy:?}");
        assert_eq!(
            rig.text(SUBSCRIPTIONS).await.as_deref(),
            Some("canceled f"),
            "{policy:?}"
        );
        assert_eq!(rig.text(USERS).await.as_deref(), Some("canceled"));

        // Later than it had to be: it is expired since then all the same, and once.
        assert_eq!(canceled(swept(&store, &policy, at + 7).await), 1, "{policy:?}");
        assert_eq!(canceled(swept(&store, &policy, at + 9).await), 0);
        let wanted = format!("expired f {at}");
        assert_eq!(rig.text(SUBSCRIPTIONS).await, Some(wanted.clone()), "{policy:?}");
        assert_eq!(rig.text(USERS).await.as_deref(), Some("expired"));
        assert_eq!(rig.count(TOLD).await, 1);

        // What comes again changes nothing.
        rig.execute("INSERT INTO marks (account, kind, object_id) VALUES ('', 'subscription', 'sub_1')")
            .await;
        apply(&store, &policy, &[ended("sub_1")]).await;
        assert_eq!(rig.text(SUBSCRIPTIONS).await, Some(wanted));
        assert_eq!(rig.count(TOLD).await, 1);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_canceled_expires_and_a_new_subscription_counts() {
    let rig = Rig::new().await;
    let store = rig.store();
    let owner = |id: &str| json!({"user_id": id});
    let policy = Policy::default();
    let events = [
        ended("sub_1"),
        subscription("sub_2", &owner("usr_sub_1"), "active", None),
        subscription("sub_3", &owner("usr_3"), "past_due", None),
        subscription("sub_4", &owner("usr_4"), "incomplete_expired", Some(NOW)),
    ];
    apply(&store, &policy, &events).await;
    assert_eq!(canceled(swept(&store, &policy, NOW + 100 * DAY).await), 1);
    let states = "SELECT string_agg(subscription_id || ' ' || state, ', ' ORDER BY subscription_id) FROM subscription_states";
    assert_eq!(
        rig.text(states).await.as_deref(),
        Some("sub_1 expired, sub_2 active, sub_3 past_due, sub_4 expired")
    );
    let users = "SELECT string_agg(id || ' ' || state, ', ' ORDER BY id) FROM users";
    assert_eq!(
        rig.text(users).await.as_deref(),
        Some("usr_3 past_due, usr_4 expired, usr_sub_1 active")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sweepers_expire_each_cancellation_once() {
    const CANCELED: u32 = 450;
    let rig = Rig::new().await;
    let store = rig.store();
    let policy = Policy::default();
    let ids: Vec<String> = (0..CANCELED).map(|number| format!("sub_{number}")).collect();
    let events: Vec<Bytes> = ids.iter().map(|id| ended(id)).collect();
    apply(&store, &policy, &events).await;
    let mut done = canceled(swept_together(&rig, 3, &policy, NOW).await);
    // What one of them held, the others passed over, and nobody waited.
    done += canceled(swept(&store, &policy, NOW).await);
    assert_eq!(done, u64::from(CANCELED));
    settle(&store, &policy).await;
    let expired = "SELECT count(*) FROM subscription_states WHERE state = 'expired'";
    assert_eq!(rig.count(expired).await, i64::from(CANCELED));
    assert_eq!(rig.count(TOLD).await, i64::from(CANCELED));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_reckoned_is_left_for_the_next_sweep() {
    let rig = Rig::new().await;
    let store = rig.store();
    let policy = Policy::default();
    apply(&store, &policy, &[customer(1, 1), ended("sub_1"), ended("sub_2")]).await;
    let mut held = rig.pool.begin().await.expect("Postgres answers");
    sqlx::query("SELECT FROM customer_users WHERE customer_id = 'cus_sub_1' FOR UPDATE")
        .execute(&mut *held)
        .await
        .expect("held");
    assert_eq!(canceled(swept(&store, &policy, NOW).await), 1);
    held.rollback().await.expect("let go");
    assert_eq!(canceled(swept(&store, &policy, NOW).await), 1);
}
