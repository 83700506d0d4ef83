//! Credits that expire by the clock.

use bytes::Bytes;
use domain::Policy;
use domain::credits::Owner;
use store::Spend;

use super::check::round;
use super::{DAY, NOW, TopUp, apply, balance, sell, swept, swept_together, team, user};
use crate::support::Rig;

const POLICY: fn() -> Policy = Policy::default;
/// What was told of expiries: which, and how many credits.
const TOLD: &str =
    "SELECT string_agg(concat_ws(' ', type, data ->> 'key', data ->> 'credits'), ', ' ORDER BY id)
                    FROM outbox WHERE data ->> 'key' LIKE 'expire:%'";
/// What was noted of grants that are over.
const NOTED: &str = "SELECT string_agg(concat_ws(' ', key, 'used', used, 'expired', credits), ', ' ORDER BY key) FROM expired_grants";

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_first_is_used_first_and_only_the_rest_expires() {
    let rig = Rig::new().await;
    let store = rig.store();
    let sales = [
        TopUp::new("c", &user("u"), 100),
        TopUp::new("b", &user("u"), 100).for_days(20),
        TopUp::new("a", &user("u"), 100).for_days(10),
    ];
    sell(&store, &sales).await;
    let spent = store.spend("", "u", 130, "k", None).await.expect("an answer");
    assert_eq!(spent, Spend::Spent { available: 170 });

    // When, how many grants are over by then, and what is left.
    let cases = [
        (10 * DAY - 1, 0, 170),
        (10 * DAY, 1, 170),
        (10 * DAY, 0, 170),
        (20 * DAY - 1, 0, 170),
        (20 * DAY, 1, 100),
        (20 * DAY, 0, 100),
        (5_000 * DAY, 0, 100),
    ];
    for (after, expired, left) in cases {
        let swept = swept(&store, &POLICY(), NOW + after).await;
        assert_eq!(
            (swept.expired, balance(&rig, &user("u")).await),
            (expired, left),
            "{after}"
        );
    }
    // All that was used counts against the first, should it grow again.
    assert_eq!(
        rig.text(NOTED).await.as_deref(),
        Some("topup:cs_a used 130 expired 0, topup:cs_b used 30 expired 70")
    );
    assert_eq!(
        rig.text(TOLD).await.as_deref(),
        Some("credits.expired expire:topup:cs_b -70")
    );
    assert_eq!(round(&store, 50, true).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_at_once_expire_as_one_after_the_other() {
    let rig = Rig::new().await;
    let store = rig.store();
    let sales = [
        TopUp::new("a", &team("t"), 100).for_days(10),
        TopUp::new("b", &team("t"), 100).for_days(20),
        TopUp::new("c", &team("t"), 100),
    ];
    sell(&store, &sales).await;
    store.add_team_member("", "t", "u").await.expect("added");
    store.spend("", "u", 130, "k", None).await.expect("spent");
    assert_eq!(swept(&store, &POLICY(), NOW + 20 * DAY).await.expired, 2);
    assert_eq!(balance(&rig, &team("t")).await, 100);
    assert_eq!(
        rig.text(TOLD).await.as_deref(),
        Some("credits.expired expire:topup:cs_b -70")
    );
}

/// Of 1000 credits that last ten days, 300 are used. Money goes back before or after they expire.
async fn left_with(expires_first: bool, reversals: &[Bytes]) -> (i64, Option<String>) {
    let rig = Rig::new().await;
    let store = rig.store();
    sell(&store, &[TopUp::new("1", &user("u"), 1000).for_days(10)]).await;
    store.spend("", "u", 300, "k", None).await.expect("spent");
    let expire = async || assert_eq!(swept(&store, &POLICY(), NOW + 10 * DAY).await.expired, 1);
    if expires_first {
        expire().await;
        assert_eq!(balance(&rig, &user("u")).await, 0);
    }
    for reversal in reversals {
        apply(&store, &POLICY(), std::slice::from_ref(reversal)).await;
    }
    if !expires_first {
        expire().await;
    }
    assert_eq!(swept(&store, &POLICY(), NOW + 900 * DAY).await.expired, 0);
    assert_eq!(round(&store, 50, true).await, []);
    (balance(&rig, &user("u")).await, rig.text(TOLD).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_takes_back_only_what_is_left_whenever_it_comes() {
    let top_up = TopUp::new("1", &user("u"), 1000);
    let refund = |cents: i64| vec![top_up.refund(1, cents, "succeeded", NOW + 1)];
    // What is not used is enough for a refund of 700.
    for (cents, left, told) in [
        (
            200,
            0,
            "credits.expired expire:topup:cs_1 -700, credits.restored expire:topup:cs_1 200",
        ),
        (
            700,
            0,
            "credits.expired expire:topup:cs_1 -700, credits.restored expire:topup:cs_1 700",
        ),
        (
            1000,
            -300,
            "credits.expired expire:topup:cs_1 -700, credits.restored expire:topup:cs_1 700",
        ),
    ] {
        let (late, news) = left_with(true, &refund(cents)).await;
        assert_eq!((late, news.as_deref()), (left, Some(told)), "{cents}");
        assert_eq!(left_with(false, &refund(cents)).await.0, left, "{cents}");
    }
    // A refund that fails afterwards: what it gives back has expired.
    let failed = [refund(1000).remove(0), top_up.refund(1, 1000, "failed", NOW + 2)];
    assert_eq!(left_with(true, &failed).await.0, 0);
    assert_eq!(left_with(false, &failed).await.0, 0);
    // The same of a dispute that is won.
    let won = [
        top_up.dispute(1000, "needs_response", NOW + 1),
        top_up.dispute(1000, "won", NOW + 2),
    ];
    assert_eq!(left_with(true, &won).await.0, 0);
    assert_eq!(left_with(false, &won).await.0, 0);
    let open = &won[..1];
    assert_eq!(left_with(true, open).await.0, -300);
    assert_eq!(left_with(false, open).await.0, -300);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sweepers_and_spenders_let_each_credit_go_once() {
    const OWNERS: i64 = 260;
    const CREDITS: i64 = 40;
    let rig = Rig::new().await;
    let store = rig.store();
    let sales: Vec<TopUp> = (0..OWNERS)
        .map(|number| {
            let owner = if number % 5 == 0 {
                team(&format!("t{number}"))
            } else {
                user(&format!("u{number}"))
            };
            TopUp::new(&number.to_string(), &owner, CREDITS).for_days(1)
        })
        .collect();
    sell(&store, &sales).await;
    let spender = rig.store();
    let spending = tokio::spawn(async move {
        for number in 0..OWNERS {
            let who = format!("u{}", number * 7 % OWNERS);
            for part in 0..2 {
                let key = format!("{number} {part}");
                spender.spend("", &who, 10, &key, None).await.expect("an answer");
            }
        }
    });
    let mut expired = swept_together(&rig, 3, &POLICY(), NOW + DAY).await.expired;
    spending.await.expect("spent");
    // Whoever was held then.
    expired += swept(&store, &POLICY(), NOW + DAY).await.expired;
    assert_eq!(expired, OWNERS as u64);
    assert_eq!(rig.count("SELECT count(*) FROM expired_grants").await, OWNERS);
    let left = "SELECT sum(balance)::bigint FROM ledger_accounts WHERE owner_kind <> 'platform'";
    assert_eq!(rig.count(left).await, 0);
    let gone = |kind: &str| {
        format!("SELECT coalesce(sum(amount), 0)::bigint FROM ledger_transfers WHERE kind = '{kind}'")
    };
    let (spent, lost) = (rig.count(&gone("spend")).await, rig.count(&gone("expire")).await);
    assert_eq!(spent + lost, OWNERS * CREDITS);
    assert_eq!(round(&store, 500, true).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_that_turn_out_to_be_somebody_elses_expire_there() {
    let rig = Rig::new().await;
    let store = rig.store();
    let sale = |owner: &Owner| TopUp::new("1", owner, 100).for_days(10);
    sell(&store, &[sale(&user("u"))]).await;
    store.spend("", "u", 30, "k", None).await.expect("spent");
    assert_eq!(swept(&store, &POLICY(), NOW + 10 * DAY).await.expired, 1);
    // The session says something else now.
    rig.execute(
        "UPDATE checkout_sessions SET user_id = 'v', metadata = jsonb_set(metadata, '{user_id}', '\"v\"')",
    )
    .await;
    rig.execute("INSERT INTO marks (account, kind, object_id) VALUES ('', 'checkout.session', 'cs_1')")
        .await;
    super::settle(&store, &POLICY()).await;
    assert_eq!(balance(&rig, &user("u")).await, -30, "what was used is owed");
    assert_eq!(swept(&store, &POLICY(), NOW + 10 * DAY).await.expired, 1);
    assert_eq!(balance(&rig, &user("v")).await, 0);
    assert_eq!(swept(&store, &POLICY(), NOW + 11 * DAY).await.expired, 0);
    assert_eq!(round(&store, 50, true).await, []);
}
