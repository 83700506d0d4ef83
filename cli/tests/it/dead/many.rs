//! Thousands of dead letters: nothing is missing, whoever is asked; and twice is once. What it costs with a million is
//! `tollgate bench --only none --dead-letters`.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::json;
use store::dead::{Deed, Filter, Letter, NewJob};
use store::yardstick::Tally;
use store::{Store, StoreError};

use super::unreadable;
use crate::support::{Rig, event};

/// Set aside by a worker; then copied so many times.
const ORIGINALS: usize = 300;
const COPIES: usize = 11;
/// Letters, and those among them that nobody can read.
const ALL: u64 = (ORIGINALS * (COPIES + 1)) as u64;
const UNREADABLE: u64 = ALL / 10;
const MARK: &str = "bad";
const PAGE: u32 = 250;

/// One in ten is a charge no build can read; the others are about customers, three in a row about the same.
fn body(number: usize) -> Bytes {
    if number.is_multiple_of(10) {
        return unreadable(number);
    }
    let customer = format!("cus_{MARK}_{}", number / 3);
    let (event_type, object) = if number.is_multiple_of(2) {
        ("customer.updated", json!({"id": customer, "object": "customer"}))
    } else {
        let id = format!("pm_{MARK}_{number}");
        (
            "charge.failed",
            json!({"id": id, "object": "charge", "customer": {"id": customer, "object": "customer"}}),
        )
    };
    event(
        &format!("evt_{MARK}_{number}"),
        event_type,
        number as i64,
        &object,
    )
}

async fn thousands() -> (Rig, Store) {
    let rig = Rig::new().await;
    let store = rig.store();
    let tables = ["customers", "charges"];
    store.refuse(&tables).await.expect("refused from now on");
    rig.enqueue(&(0..ORIGINALS).map(body).collect::<Vec<_>>()).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    worker.stop().await.expect("a clean end");
    store.accept(&tables).await.expect("mended");
    store.copy_letters(MARK, COPIES).await.expect("copied");
    (rig, store)
}

/// All that fit, page by page.
async fn every(store: &Store, filter: &Filter) -> Vec<Letter> {
    let mut all = Vec::<Letter>::new();
    loop {
        let after = all.last().map(|last| store::dead::Cursor {
            at_us: last.parked_us,
            id: last.id.clone(),
        });
        let mut tx = store.begin().await.expect("Postgres answers");
        let page = tx.dead().letters(filter, after.as_ref(), PAGE).await;
        let page = page.expect("a page");
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

async fn count(store: &Store, filter: &Filter) -> u64 {
    let mut tx = store.begin().await.expect("Postgres answers");
    tx.dead().count(filter).await.expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_counts_and_causes_of_thousands_agree() {
    let (_rig, store) = thousands().await;
    let letters = every(&store, &Filter::default()).await;
    assert_eq!(letters.len() as u64, ALL);
    let mut listed = BTreeMap::<String, u64>::new();
    for letter in &letters {
        *listed.entry(letter.fingerprint.clone()).or_default() += 1;
    }
    let mut tx = store.begin().await.expect("Postgres answers");
    let groups = tx.dead().groups(&Filter::default(), 200).await.expect("causes");
    drop(tx);
    let grouped: BTreeMap<String, u64> = groups
        .iter()
        .map(|it| (it.fingerprint.clone(), it.letters))
        .collect();
    assert_eq!(grouped, listed);
    assert_eq!(grouped.len(), 3 * (COPIES + 1), "{groups:?}");

    let typed = |event_type: &str| Filter {
        event_type: Some(event_type.to_owned()),
        ..Filter::default()
    };
    let of_customer = Filter {
        customer: Some(format!("cus_{MARK}_1")),
        ..Filter::default()
    };
    let middle = letters[letters.len() / 3].parked_us;
    for (filter, wanted) in [
        (typed("customer.updated"), 4 * ALL / 10),
        (typed("charge.failed"), 5 * ALL / 10),
        (
            Filter {
                reason: Some("unreadable_object".to_owned()),
                ..Filter::default()
            },
            UNREADABLE,
        ),
        (of_customer.clone(), 3),
        (
            Filter {
                event_type: Some("charge.failed".to_owned()),
                ..of_customer
            },
            2,
        ),
        (
            Filter {
                since_us: Some(middle),
                ..typed("charge.failed")
            },
            letters
                .iter()
                .filter(|it| it.parked_us >= middle && it.event_type.as_deref() == Some("charge.failed"))
                .count() as u64,
        ),
    ] {
        assert_eq!(count(&store, &filter).await, wanted, "{filter:?}");
        let found = every(&store, &filter).await;
        assert_eq!(found.len() as u64, wanted, "{filter:?}");
        assert!(found.iter().all(|letter| letters.contains(letter)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_asked_for_twice_are_run_again_once() {
    let (rig, store) = thousands().await;
    for _ in 0..2 {
        ask(&store, &Filter::default()).await.expect("a job");
    }
    let worker = rig.worker();
    let done = "SELECT count(*) FROM dead_jobs WHERE state = 'done'";
    rig.wait_for_count(done, 2).await;
    let mended = ALL - UNREADABLE;
    let tally = Tally {
        waiting: UNREADABLE,
        grouped: UNREADABLE,
        replayed: mended,
        // What cannot be read was tried by both.
        replays: mended + 2 * UNREADABLE,
        applied: mended,
        deeds: mended,
    };
    assert_eq!(store.tally_letters().await.expect("counted"), tally);
    let newest = "SELECT count(*) FROM customers c WHERE NOT EXISTS (SELECT FROM events e
                  WHERE (e.account, e.object_id) = (c.account, c.id) AND e.status = 'applied')";
    assert_eq!(rig.count(newest).await, 0);
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_about_a_customer_is_about_nobody_else() {
    let (rig, store) = thousands().await;
    for (customer, letters) in [(format!("cus_{MARK}_1"), 3), ("cus_nobody".to_owned(), 0)] {
        let filter = Filter {
            customer: Some(customer),
            ..Filter::default()
        };
        ask(&store, &filter).await.expect("a job");
        let counted = "SELECT counted FROM dead_jobs ORDER BY id DESC LIMIT 1";
        assert_eq!(rig.count(counted).await, letters);
    }
    let worker = rig.worker();
    rig.wait_for_count("SELECT count(*) FROM dead_jobs WHERE state = 'done'", 2)
        .await;
    assert_eq!(rig.count(super::WAITING).await.unsigned_abs(), ALL - 3);
    worker.stop().await.expect("a clean end");
}

async fn ask(store: &Store, filter: &Filter) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    let new = NewJob {
        deed: Deed::Replay,
        filter,
        rate: None,
        why: "a test",
        actor: "test",
        counted: ALL,
    };
    tx.dead().open_job(new).await?;
    tx.commit().await
}
