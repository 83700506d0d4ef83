//! A million dead letters. Takes minutes, so it is asked for by name:
//! `cargo test -p cli --test it dead::many -- --ignored --nocapture`.

#![expect(clippy::print_stdout, reason = "numbers are for whoever asked for them")]

use std::time::Instant;

use store::dead::Filter;

use super::{APPLIED, WAITING};
use crate::support::Rig;

/// How many, and of how many causes.
const LETTERS: i64 = 1_000_000;
const CAUSES: i64 = 20;
/// How many of them are run again.
const REPLAYED: i64 = 20_000;

/// Numbers, not promises: what each question takes, and that nothing is missing after a replay.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: minutes, and numbers"]
async fn a_million_dead_letters_are_listed_grouped_and_replayed() {
    let rig = Rig::new().await;
    fill(&rig).await;
    for round in 0..3 {
        ask(&rig, round).await;
    }
    replay(&rig).await;
}

async fn fill(rig: &Rig) {
    let body = r#"'{"id":"evt_' || n || '","object":"event","type":"customer.updated","created":5,"livemode":false,
        "data":{"object":{"id":"cus_' || n || '","object":"customer","email":"a@b.c"}}}'"#;
    let started = Instant::now();
    rig.execute(&format!(
        "SET statement_timeout = 0;
         INSERT INTO events (account, id, type, rendering, created, livemode, object_type, object_id, endpoint, received_at,
                             status, reason, body, entry_id)
         SELECT '', 'evt_' || n, 'customer.updated', 'snapshot', to_timestamp(5), false, 'customer', 'cus_' || n, 'default',
                to_timestamp(n), 'parked', 'unreadable_object', {body}, n || '-0' FROM generate_series(1, {LETTERS}) AS n;
         INSERT INTO parked_events (account, id, entry_id, event_id, event_type, class, reason, fingerprint, detail, deliveries,
                                    parked_at)
         SELECT '', 'evt_' || n, n || '-0', 'evt_' || n, 'customer.updated', 'permanent', 'unreadable_object',
                'cause' || n % {CAUSES}, 'a detail', 1, to_timestamp(n) FROM generate_series(1, {LETTERS}) AS n;
         ANALYZE events; ANALYZE parked_events; ANALYZE dead_groups"
    ))
    .await;
    println!("filled in {:?}", started.elapsed());
}

fn filters() -> [(&'static str, Filter); 4] {
    let cause = Filter {
        fingerprint: Some("cause7".into()),
        ..Filter::default()
    };
    let range = Filter {
        since_us: Some(400_000_000_000),
        until_us: Some(500_000_000_000),
        ..Filter::default()
    };
    let typed = Filter {
        event_type: Some("customer.updated".into()),
        ..Filter::default()
    };
    [
        ("all", Filter::default()),
        ("cause", cause),
        ("range", range),
        ("type", typed),
    ]
}

async fn ask(rig: &Rig, round: usize) {
    let store = rig.store();
    for (name, filter) in &filters() {
        let mut tx = store.begin().await.expect("Postgres answers");
        let at = Instant::now();
        let first = tx.dead().letters(filter, None, 50).await.expect("a page");
        let listed = at.elapsed();
        let middle = store::dead::Cursor {
            at_us: 450_000_000_000,
            id: "evt_450000".into(),
        };
        let at = Instant::now();
        let page = tx
            .dead()
            .letters(filter, Some(&middle), 50)
            .await
            .expect("a page");
        let paged = at.elapsed();
        let at = Instant::now();
        let counted = tx.dead().count(filter).await.expect("a number");
        println!(
            "round {round} {name}: list {listed:?} ({}), page in the middle {paged:?} ({}), count {counted} {:?}",
            first.len(),
            page.len(),
            at.elapsed()
        );
    }
    let mut tx = store.begin().await.expect("Postgres answers");
    let at = Instant::now();
    let groups = tx.dead().groups(&Filter::default(), 50).await.expect("groups");
    println!("round {round} groups: {} {:?}", groups.len(), at.elapsed());
    assert_eq!(
        groups.iter().map(|group| group.letters).sum::<u64>(),
        LETTERS.unsigned_abs()
    );
    let at = Instant::now();
    tx.dead()
        .letter("", "evt_77777")
        .await
        .expect("an answer")
        .expect("there");
    println!("round {round} one: {:?}", at.elapsed());
}

async fn replay(rig: &Rig) {
    rig.execute(&format!(
        "INSERT INTO dead_jobs (account, deed, of_state, ids, until, why, actor, counted)
         VALUES ('', 'replay', 'waiting', '{{}}', to_timestamp({REPLAYED} + 0.5), 'a test', 'test', {REPLAYED})"
    ))
    .await;
    let worker = rig.worker();
    let at = Instant::now();
    rig.wait_for_count("SELECT count(*) FROM dead_jobs WHERE state = 'done'", 1)
        .await;
    let took = at.elapsed();
    println!(
        "replayed {REPLAYED} in {took:?}: {:.0}/s",
        REPLAYED as f64 / took.as_secs_f64()
    );
    assert_eq!(rig.count(APPLIED).await, REPLAYED);
    assert_eq!(rig.count(WAITING).await, LETTERS - REPLAYED);
    worker.stop().await.expect("a clean end");
}
