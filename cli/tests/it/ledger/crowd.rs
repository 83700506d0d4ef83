//! Many spenders at once, each with a connection of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use simulator::dice::Dice;
use store::{Spend, Store};
use tokio::sync::{Barrier, Mutex};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{TopUp, balance, sell, team, user};
use crate::support::Rig;

const SPENDERS: u64 = 64;
/// Spends each of them tries, beside repetitions.
const SPENDS: u64 = 12;
/// How many of them have a key that others use, too.
const SHARED: f64 = 0.3;
/// Keys that several spenders use.
const SHARED_KEYS: u64 = 40;
const MOST_CREDITS: u64 = 9;

/// One crowd at a time: the server has so many connections.
static GATE: Mutex<()> = Mutex::const_new(());

/// What was spent: by key, who and how much.
type Accepted = BTreeMap<String, (String, i64)>;

/// Lets a crowd spend what `users` have, until it is gone. Returns what was spent, and how often there was too little.
async fn crowd(rig: &Rig, users: &[&str]) -> (Accepted, u64) {
    let users: Arc<[String]> = users.iter().map(|user| (*user).to_owned()).collect();
    let start = Arc::new(Barrier::new(SPENDERS as usize));
    let mut spenders = JoinSet::new();
    for number in 0..SPENDERS {
        let store = Store::new(&rig.database_url, "test", 1).expect("an URL");
        spenders.spawn(spender(store, number, Arc::clone(&users), Arc::clone(&start)));
    }
    let mut accepted = Accepted::new();
    let mut refused = 0;
    while let Some(ended) = spenders.join_next().await {
        let (spent, too_little) = ended.expect("no spender fails");
        for (key, what) in spent {
            assert_eq!(accepted.insert(key.clone(), what), None, "{key} was spent twice");
        }
        refused += too_little;
    }
    (accepted, refused)
}

async fn spender(
    store: Store,
    number: u64,
    users: Arc<[String]>,
    start: Arc<Barrier>,
) -> (Vec<(String, (String, i64))>, u64) {
    let mut dice = Dice::new(number);
    let (mut spent, mut refused) = (Vec::new(), 0);
    store.outstanding("").await.expect("connected");
    start.wait().await;
    for round in 0..SPENDS {
        let (key, user, credits) = if dice.chance(SHARED) {
            let which = dice.below(SHARED_KEYS);
            let user = &users[usize::try_from(which).expect("few") % users.len()];
            (format!("shared-{which}"), user, which % MOST_CREDITS + 1)
        } else {
            let credits = dice.below(MOST_CREDITS) + 1;
            (format!("own-{number}-{round}"), dice.pick(&users), credits)
        };
        let credits = i64::try_from(credits).expect("few");
        let spend = async |credits| {
            let spend = store.spend("", user, credits, &key, None).await;
            spend.expect("neither deadlock nor refusal by the ledger")
        };
        match spend(credits).await {
            Spend::Spent { available } => {
                assert!(available >= 0, "{available}");
                assert!(matches!(spend(credits).await, Spend::Repeated { .. }), "{key}");
                assert_eq!(spend(credits + 1).await, Spend::Conflict, "{key}");
                spent.push((key, (user.clone(), credits)));
            }
            Spend::Insufficient { available } => {
                assert!((0..credits).contains(&available), "{available} for {credits}");
                refused += 1;
            }
            Spend::Repeated { .. } => assert!(key.starts_with("shared"), "{key}"),
            other => panic!("{key}: {other:?}"),
        }
    }
    store.close().await;
    (spent, refused)
}

/// Looks all the time whether anybody is below zero, or the sum is not zero.
fn watch(rig: &Rig, stop: CancellationToken) -> tokio::task::JoinHandle<u32> {
    let pool = rig.pool.clone();
    tokio::spawn(async move {
        let mut looks = 0;
        while !stop.is_cancelled() {
            let (least, sum): (i64, i64) = sqlx::query_as(
                "SELECT min(balance) FILTER (WHERE owner_kind <> 'platform'), sum(balance)::bigint FROM ledger_accounts",
            )
            .fetch_one(&pool)
            .await
            .expect("balances");
            assert!(least >= 0 && sum == 0, "least {least}, sum {sum}");
            looks += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        looks
    })
}

/// What the database says was spent.
async fn recorded(rig: &Rig) -> Accepted {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT substr(key, 7), min(user_id), sum(amount)::bigint FROM ledger_transfers WHERE kind = 'spend' GROUP BY key",
    )
    .fetch_all(&rig.pool)
    .await
    .expect("transfers");
    rows.into_iter()
        .map(|(key, user, credits)| (key, (user, credits)))
        .collect()
}

fn sum(accepted: &Accepted) -> i64 {
    accepted.values().map(|(_, credits)| credits).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_spends_what_a_user_has_once_and_no_more() {
    const START: i64 = 1_500;
    let _gate = GATE.lock().await;
    let rig = Rig::new().await;
    let store = rig.store();
    sell(&store, &[TopUp::new("1", &user("u"), START)]).await;

    let stop = CancellationToken::new();
    let watcher = watch(&rig, stop.clone());
    let (accepted, refused) = crowd(&rig, &["u"]).await;
    stop.cancel();
    assert!(watcher.await.expect("never below zero") > 0);

    assert!(refused > 0, "there was enough for all");
    assert_eq!(recorded(&rig).await, accepted);
    assert_eq!(sum(&accepted) + balance(&rig, &user("u")).await, START);
    let history = store
        .history("", &user("u"), None, store::HISTORY_MAX)
        .await
        .expect("a history");
    let least = history.entries.iter().map(|entry| entry.balance).min();
    assert!(least >= Some(0), "{least:?}");
    assert_eq!(history.entries.len(), accepted.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_shares_what_teams_have() {
    const USERS: [&str; 8] = ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"];
    const OWN: i64 = 30;
    const NEAR: i64 = 200;
    const FAR: i64 = 1_000;
    let _gate = GATE.lock().await;
    let rig = Rig::new().await;
    let store = rig.store();
    // Teams first, and in an order that is not that of their names: locks are taken by id, credits by name.
    let mut sales = vec![
        TopUp::new("far", &team("team_b"), FAR),
        TopUp::new("near", &team("team_a"), NEAR),
    ];
    sales.extend(USERS.map(|id| TopUp::new(id, &user(id), OWN)));
    sell(&store, &sales).await;
    for (number, id) in USERS.iter().enumerate() {
        assert!(store.add_team_member("", "team_b", id).await.expect("added"));
        if number % 2 == 0 {
            store.add_team_member("", "team_a", id).await.expect("added");
        }
    }

    let stop = CancellationToken::new();
    let watcher = watch(&rig, stop.clone());
    let (accepted, refused) = crowd(&rig, &USERS).await;
    stop.cancel();
    assert!(watcher.await.expect("never below zero") > 0);

    assert!(refused > 0, "there was enough for all");
    assert_eq!(recorded(&rig).await, accepted);
    let left = rig
        .count("SELECT sum(balance)::bigint FROM ledger_accounts WHERE owner_kind <> 'platform'")
        .await;
    let start = OWN * i64::try_from(USERS.len()).expect("few") + NEAR + FAR;
    assert_eq!(sum(&accepted) + left, start);
    // Of each spend, the parts in their order: own credits, then teams by name, each only once.
    let orders = rig
        .text(
            "SELECT string_agg(DISTINCT parts, ' ' ORDER BY parts) FROM (
                 SELECT string_agg(CASE WHEN f.owner_kind = 'user' AND f.owner_id = t.user_id THEN 'own'
                                        WHEN f.owner_kind = 'user' THEN 'stolen' ELSE right(f.owner_id, 1) END,
                                   '>' ORDER BY t.seq) AS parts
                 FROM ledger_transfers t JOIN ledger_accounts f ON f.id = t.from_id
                 WHERE t.kind = 'spend' GROUP BY t.key) AS orders",
        )
        .await
        .expect("spends");
    let allowed = ["own", "own>a", "own>b", "own>a>b", "a", "a>b", "b"];
    assert!(
        orders.split(' ').all(|order| allowed.contains(&order)),
        "{orders}"
    );
    assert!(orders.contains("own>") && orders.contains('b'), "{orders}");
}
