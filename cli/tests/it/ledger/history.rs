//! An owner's history, page by page.

use std::time::Duration;

use domain::Policy;
use domain::credits::Owner;
use simulator::dice::Dice;
use store::sweep::ProblemAfter;
use store::{HISTORY_MAX, History, HistoryCursor, HistoryEntry, Store};
use worker::sweeper::sweep;

use super::{DAY, NOW, TopUp, apply, balance, sell, team, user};
use crate::support::{Rig, wait_for};

async fn page(store: &Store, owner: &Owner, after: Option<HistoryCursor>, limit: u32) -> History {
    store.history("", owner, after, limit).await.expect("a history")
}

/// All pages of so many entries, one after another.
async fn pages(store: &Store, owner: &Owner, limit: u32) -> Vec<HistoryEntry> {
    let mut entries = Vec::new();
    let mut after = None;
    loop {
        let page = page(store, owner, after, limit).await;
        assert!(page.entries.len() <= limit as usize);
        entries.extend(page.entries);
        if page.next.is_none() {
            return entries;
        }
        // As text and back, as clients have it.
        after = page
            .next
            .map(|cursor| cursor.to_string().parse().expect("a cursor"));
    }
}

/// Each entry begins where the one before it in time ended; the first of all begins at nothing.
fn assert_whole(entries: &[HistoryEntry], now: i64) {
    assert_eq!(entries.first().map_or(0, |entry| entry.balance), now);
    for pair in entries.windows(2) {
        assert_eq!(pair[0].balance - pair[0].credits, pair[1].balance, "{pair:?}");
        assert!(pair[0].transfer_id > pair[1].transfer_id, "{pair:?}");
    }
    if let Some(first) = entries.last() {
        assert_eq!(first.balance, first.credits, "{first:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_are_one_history() {
    let rig = Rig::new().await;
    let store = rig.store();
    let mut dice = Dice::new(3);
    store.add_team_member("", "t", "u").await.expect("added");
    for round in 0..16 {
        let owner = if dice.chance(0.5) { team("t") } else { user("u") };
        let top_up = TopUp::new(&round.to_string(), &owner, 100).for_days(dice.seconds(1, 30));
        sell(&store, std::slice::from_ref(&top_up)).await;
        for spend in 0..dice.below(4) {
            let credits = dice.seconds(1, 40);
            store
                .spend("", "u", credits, &format!("{round} {spend}"), Some("because"))
                .await
                .expect("an answer");
        }
        if dice.chance(0.4) {
            let refund = top_up.refund(1, dice.seconds(1, 60), "succeeded", NOW + 1);
            apply(&store, &Policy::default(), &[refund]).await;
        }
        if dice.chance(0.3) {
            sweep(
                &store,
                &Policy::default(),
                NOW + 10 * DAY,
                &mut ProblemAfter::default(),
            )
            .await
            .expect("swept");
        }
    }
    for owner in [user("u"), team("t")] {
        let all = page(&store, &owner, None, HISTORY_MAX).await;
        assert!(all.next.is_none() && all.entries.len() >= 5, "{all:?}");
        assert_whole(&all.entries, balance(&rig, &owner).await);
        for limit in [1, 2, 3, 7, 1_000_000] {
            assert_eq!(
                pages(&store, &owner, limit).await,
                all.entries,
                "pages of {limit}"
            );
        }
    }
    let kinds: Vec<String> = page(&store, &user("u"), None, 500)
        .await
        .entries
        .into_iter()
        .map(|entry| entry.kind)
        .collect();
    for kind in ["topup", "spend", "refund", "expire"] {
        assert!(kinds.iter().any(|seen| seen == kind), "{kind}: {kinds:?}");
    }
    assert_eq!(page(&store, &user("nobody"), None, 10).await, History::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_says_what_it_was_for() {
    let rig = Rig::new().await;
    let store = rig.store();
    sell(&store, &[TopUp::new("1", &user("u"), 100).for_days(2)]).await;
    store
        .spend("", "u", 30, "job 7", Some("images"))
        .await
        .expect("spent");
    let entries = page(&store, &user("u"), None, 10).await.entries;
    let [spend, top_up] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (
            spend.kind.as_str(),
            spend.credits,
            spend.balance,
            spend.key.as_str(),
            spend.seq
        ),
        ("spend", -30, 70, "spend:job 7", 1)
    );
    assert_eq!(
        (
            spend.user_id.as_deref(),
            spend.reason.as_deref(),
            spend.expires_at
        ),
        (Some("u"), Some("images"), None)
    );
    assert_eq!(
        (top_up.kind.as_str(), top_up.credits, top_up.key.as_str()),
        ("topup", 100, "topup:cs_1")
    );
    assert_eq!(
        (top_up.source_kind.as_deref(), top_up.source_id.as_deref()),
        (Some("checkout.session"), Some("cs_1"))
    );
    assert_eq!((top_up.expires_at, &top_up.user_id), (Some(NOW + 2 * DAY), &None));
    assert!(spend.created_at >= top_up.created_at && top_up.created_at > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_between_two_pages_does_not_change_the_second() {
    let rig = Rig::new().await;
    let store = rig.store();
    sell(&store, &[TopUp::new("1", &user("u"), 100)]).await;
    for number in 0..9 {
        let key = number.to_string();
        store.spend("", "u", 1, &key, None).await.expect("spent");
    }
    let before = pages(&store, &user("u"), 4).await;
    let first = page(&store, &user("u"), None, 4).await;
    sell(&store, &[TopUp::new("2", &user("u"), 100)]).await;
    let second = page(&store, &user("u"), first.next, 4).await;
    assert_eq!(second.entries, before[4..8]);
}

/// Ids are taken before locks, unless somebody sees to it: then a transfer could appear among older ones, and every
/// balance beyond it would be another one than a client has been shown.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_during_the_first_page_does_not_appear_in_the_second() {
    let rig = Rig::new().await;
    let store = rig.store();
    // The platform's account is older than the user's: whoever locks in id order waits for it first.
    rig.execute("SELECT ledger_account_of('', 'platform', ledger_platform('issued', 'u'))")
        .await;
    sell(&store, &[TopUp::new("1", &user("u"), 100)]).await;
    let mut held = rig.pool.begin().await.expect("Postgres answers");
    sqlx::query(
        "SELECT FROM ledger_accounts WHERE owner_kind = 'platform' AND owner_id LIKE 'issued:%' FOR NO KEY UPDATE",
    )
    .execute(&mut *held)
    .await
    .expect("locked");
    let seller = rig.store();
    let sale = tokio::spawn(async move { sell(&seller, &[TopUp::new("2", &user("u"), 50)]).await });
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let is_waiting = wait_for(async || rig.count(waiting).await == 1).await;
    assert!(is_waiting, "the sale does not wait");

    store.spend("", "u", 10, "k", None).await.expect("spent");
    let first = page(&store, &user("u"), None, 1).await;
    assert_eq!(first.entries[0].key, "spend:k");
    drop(held);
    tokio::time::timeout(Duration::from_secs(30), sale)
        .await
        .expect("in time")
        .expect("sold");

    let second = page(&store, &user("u"), first.next, 10).await;
    let keys: Vec<&str> = second.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["topup:cs_1"]);
    assert_eq!(second.entries[0].balance, 100);
    assert_whole(&pages(&store, &user("u"), 1).await, 140);
}
