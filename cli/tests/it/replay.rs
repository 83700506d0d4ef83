//! `tollgate replay`: stored events once more.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use crate::crashes::history;
use crate::state::work;
use crate::support::Rig;
use crate::support::process::{Ended, Tollgate};

/// What customers live through: everything that moves credits, and orders that end.
const STORIES: [&str; 3] = ["refund_subscription", "dispute_lost", "payment_recovers"];
/// Bookkeeping: who asked, what waits, what was looked at when.
const BOOKKEEPING: [&str; 9] = [
    "_sqlx_migrations",
    "schema_compatibility",
    "audit_log",
    "marks",
    "ledger_check",
    "ledger_checkpoints",
    "coverage",
    "api_requests",
    "refetches",
];

/// Every row of every table, as JSON.
async fn rows(rig: &Rig) -> BTreeMap<String, Vec<String>> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&rig.pool)
            .await
            .expect("tables");
    let mut all = BTreeMap::new();
    for table in tables {
        if BOOKKEEPING.contains(&table.as_str()) {
            continue;
        }
        let sql = format!(
            "SELECT (to_jsonb(t) - 'reckoned_at' - 'updated_at')::text AS row FROM {table} t ORDER BY 1"
        );
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        all.insert(table, rows.fetch_all(&rig.pool).await.expect("rows"));
    }
    all
}

fn differing(a: &BTreeMap<String, Vec<String>>, b: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let tables = a.iter().filter(|(table, rows)| b.get(*table) != Some(rows));
    tables
        .map(|(table, rows)| {
            let there = &b[table];
            let one = rows.iter().find(|row| !there.contains(row));
            format!("{table}: {one:?} of {} and {}", rows.len(), there.len())
        })
        .collect()
}

async fn replay(rig: &Rig, args: &[&str]) -> Ended {
    let args: Vec<&str> = ["replay"].iter().chain(args).copied().collect();
    Tollgate::run(&args, &rig.env_with(&[("USER", "olga")])).await
}

async fn replay_all(rig: &Rig) -> Value {
    let ended = replay(rig, &["--all", "--why", "a test", "--json"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // The workers draw the consequences.
    work(rig, &[]).await;
    serde_json::from_str(&ended.stdout).expect("JSON")
}

async fn shop() -> Rig {
    let rig = Rig::new().await;
    let mut bodies: Vec<Bytes> = history(&STORIES).into_iter().map(|event| event.body).collect();
    // Later ones came first.
    bodies.reverse();
    work(&rig, &bodies).await;
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn replaying_all_events_twice_changes_nothing() {
    let rig = shop().await;
    let before = rows(&rig).await;
    assert!(before["ledger_transfers"].len() > 2, "money moved");
    let counted = replay(&rig, &["--all", "--dry-run", "--json"]).await;
    let counted: Value = serde_json::from_str(&counted.stdout).expect("JSON");
    for _ in 0..2 {
        let told = replay_all(&rig).await;
        assert_eq!(told["objects"], counted["objects"]);
        assert_eq!(told["unreadable"], 0);
        assert_eq!(
            told["objects"].as_i64(),
            Some(rig.count("SELECT count(*) FROM objects").await),
            "each once"
        );
        assert_eq!(differing(&before, &rows(&rig).await), [""; 0]);
    }
    let asked =
        "SELECT string_agg(actor || ' ' || reason, ', ') FROM audit_log WHERE action = 'events.replay'";
    assert_eq!(rig.text(asked).await.as_deref(), Some("olga a test, olga a test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spoilt_by_hand_is_put_right() {
    let rig = shop().await;
    let before = rows(&rig).await;
    rig.execute(
        "DELETE FROM customers; DELETE FROM invoice_lines; DELETE FROM charges;
         UPDATE subscriptions SET status = 'active', customer_id = 'cus_of_nobody';
         UPDATE invoices SET amount_paid = 1",
    )
    .await;
    assert!(differing(&before, &rows(&rig).await).len() >= 5);
    replay_all(&rig).await;
    assert_eq!(differing(&before, &rows(&rig).await), [""; 0]);

    // One event is about one object.
    let event = rig
        .text("SELECT event_id FROM objects WHERE kind = 'customer' LIMIT 1")
        .await
        .expect("one");
    rig.execute("DELETE FROM customers").await;
    let ended = replay(&rig, &[&event, "--why", "a test"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, 1);
    assert_eq!(replay(&rig, &["evt_none", "--why", "a test"]).await.code, Some(1));
    assert_eq!(replay(&rig, &["--why", "a test"]).await.code, Some(2), "which?");
}
