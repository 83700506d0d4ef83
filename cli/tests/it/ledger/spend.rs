//! Whose credits a spend takes. The database decides; nobody who calls it has a say.

use domain::Policy;
use store::{Balance, Spend, Store};

use super::{NOW, TopUp, apply, balance, refusal, sell, team, user};
use crate::support::Rig;

async fn spend(store: &Store, who: &str, credits: i64, key: &str) -> Spend {
    store
        .spend("", who, credits, key, Some("a test"))
        .await
        .expect("an answer")
}

/// What transfers of a spend took: owner and credits, in their order.
async fn parts(rig: &Rig, key: &str) -> String {
    let parts = rig
        .text(&format!(
            "SELECT string_agg(concat_ws(' ', f.owner_kind, f.owner_id, t.amount, 'for', t.user_id), ', ' ORDER BY t.seq)
             FROM ledger_transfers t JOIN ledger_accounts f ON f.id = t.from_id
             JOIN ledger_accounts o ON o.id = t.to_id AND o.owner_kind = 'platform' AND o.owner_id LIKE 'spent:%'
             WHERE t.key = 'spend:{key}' AND t.reason = 'a test'"
        ))
        .await;
    parts.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn own_credits_come_first_then_teams_by_name() {
    let rig = Rig::new().await;
    let store = rig.store();
    let sales = [
        TopUp::new("2", &team("team_2"), 100),
        TopUp::new("1", &team("team_1"), 50),
        TopUp::new("u", &user("u"), 30),
    ];
    sell(&store, &sales).await;
    for team in ["team_2", "team_1", "team_0"] {
        assert!(store.add_team_member("", team, "u").await.expect("added"));
    }
    assert!(!store.add_team_member("", "team_1", "u").await.expect("known"));
    let had = store.balance_of("", "u").await.expect("a balance");
    let teams = [("team_0", 0), ("team_1", 50), ("team_2", 100)];
    let teams = teams.map(|(name, credits)| (name.to_owned(), credits)).to_vec();
    assert_eq!((had.of_teams(), &had), (150, &Balance { own: 30, teams }));

    let cases = [
        (10, Spend::Spent { available: 170 }, "user u 10 for u"),
        (
            25,
            Spend::Spent { available: 145 },
            "user u 20 for u, team team_1 5 for u",
        ),
        (
            145,
            Spend::Spent { available: 0 },
            "team team_1 45 for u, team team_2 100 for u",
        ),
        (1, Spend::Insufficient { available: 0 }, ""),
    ];
    for (number, (credits, wanted, took)) in cases.into_iter().enumerate() {
        let key = number.to_string();
        assert_eq!(spend(&store, "u", credits, &key).await, wanted);
        assert_eq!(parts(&rig, &key).await, took);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_member_cannot_draw() {
    let rig = Rig::new().await;
    let store = rig.store();
    sell(&store, &[TopUp::new("1", &team("t"), 100)]).await;
    // Others may all the time.
    store.add_team_member("", "t", "other").await.expect("added");
    let nothing = Spend::Insufficient { available: 0 };
    assert_eq!(spend(&store, "stranger", 1, "a").await, nothing);
    // A team of the same name elsewhere, and a user with the team's name.
    store
        .add_team_member("acct_1", "t", "stranger")
        .await
        .expect("added");
    assert_eq!(spend(&store, "stranger", 1, "a").await, nothing);
    assert_eq!(spend(&store, "t", 1, "a").await, nothing);

    store.add_team_member("", "t", "member").await.expect("added");
    assert_eq!(
        spend(&store, "member", 60, "b").await,
        Spend::Spent { available: 40 }
    );
    assert!(
        store
            .remove_team_member("", "t", "member")
            .await
            .expect("removed")
    );
    assert!(!store.remove_team_member("", "t", "member").await.expect("gone"));
    assert_eq!(spend(&store, "member", 1, "c").await, nothing);
    assert_eq!(
        spend(&store, "member", 60, "b").await,
        Spend::Repeated { available: 0 }
    );
    assert_eq!(balance(&rig, &team("t")).await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_once_and_says_so() {
    let rig = Rig::new().await;
    let store = rig.store();
    sell(
        &store,
        &[TopUp::new("1", &user("u"), 100), TopUp::new("2", &user("v"), 100)],
    )
    .await;
    assert_eq!(
        spend(&store, "u", 101, "k").await,
        Spend::Insufficient { available: 100 }
    );
    assert_eq!(spend(&store, "u", 100, "k").await, Spend::Spent { available: 0 });
    assert_eq!(
        spend(&store, "u", 100, "k").await,
        Spend::Repeated { available: 0 }
    );
    assert_eq!(spend(&store, "u", 99, "k").await, Spend::Conflict);
    assert_eq!(spend(&store, "v", 100, "k").await, Spend::Conflict);
    // Keys of another account are others.
    let elsewhere = store
        .spend("acct_1", "u", 100, "k", None)
        .await
        .expect("an answer");
    assert_eq!(elsewhere, Spend::Insufficient { available: 0 });
    assert_eq!(
        rig.count("SELECT count(*) FROM ledger_transfers WHERE kind = 'spend'")
            .await,
        1
    );

    for call in [
        "'', 'u', 0, 'k', NULL",
        "'', 'u', -1, 'k', NULL",
        "'', 'u', NULL, 'k', NULL",
        "'', '', 1, 'k', NULL",
        "'', NULL, 1, 'k', NULL",
        "'', 'u', 1, '', NULL",
        "'', 'u', 1, NULL, NULL",
    ] {
        let sql = format!("SELECT * FROM spend_credits({call})");
        assert_eq!(refusal(&rig, &sql).await, "22023", "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_owes_spends_nothing_until_it_is_made_up_for() {
    let rig = Rig::new().await;
    let store = rig.store();
    let top_up = TopUp::new("1", &user("u"), 100);
    sell(&store, &[top_up.clone(), TopUp::new("2", &team("t"), 500)]).await;
    store.add_team_member("", "t", "u").await.expect("added");
    assert_eq!(spend(&store, "u", 80, "a").await, Spend::Spent { available: 520 });
    let refund = top_up.refund(1, 50, "succeeded", NOW + 1);
    apply(&store, &Policy::default(), &[refund]).await;

    assert_eq!(spend(&store, "u", 1, "b").await, Spend::Owing { balance: -30 });
    assert_eq!(store.balance_of("", "u").await.expect("a balance").own, -30);
    sell(&store, &[TopUp::new("3", &user("u"), 31)]).await;
    assert_eq!(spend(&store, "u", 2, "b").await, Spend::Spent { available: 499 });
    assert_eq!(parts(&rig, "b").await, "user u 1 for u, team t 1 for u");
}
