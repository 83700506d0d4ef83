//! `tollgate reckon`.

use bytes::Bytes;
use serde_json::{Value, json};
use store::{Store, Taken};

use crate::state::{work, work_with};
use crate::support::process::Tollgate;
use crate::support::{Rig, customer, scenario};

/// After five executions of a statement Postgres may keep its plan.
pub const LOOKS: usize = 10;

async fn reckon(rig: &Rig, args: &[&str]) -> Value {
    let ended = Tollgate::run(&[&["reckon", "--all", "--json"], args].concat(), &rig.env()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_takes_effect_once_everything_is_reckoned() {
    let Some((_, deliveries)) = scenario("payment_failure_open__2026-10-28.endive") else {
        return;
    };
    let rig = Rig::new().await;
    work(&rig, &deliveries).await;
    let before = rig.store().state("").await.expect("a state");
    let entitled = "SELECT count(*) FROM users WHERE entitled";
    assert_eq!(rig.count(entitled).await, 1);

    let would = reckon(&rig, &["--dry-run"]).await;
    assert_eq!(
        rig.count("SELECT count(*) FROM marks").await,
        0,
        "a dry run changed something"
    );
    let did = reckon(&rig, &[]).await;
    assert_eq!(did["marked"], would["marked"]);
    assert_eq!(
        Some(rig.count("SELECT count(*) FROM marks").await),
        did["total"].as_i64()
    );
    for kind in [
        "customer",
        "subscription",
        "invoice",
        "charge",
        "payment_intent",
        "user",
    ] {
        assert!(did["marked"][kind].as_i64() >= Some(1), "{kind}: {did}");
    }
    work(&rig, &[]).await;
    assert_eq!(
        rig.store().state("").await.expect("a state"),
        before,
        "the same policy, another outcome"
    );

    let stop = rig.env().with("TOLLGATE_POLICY_PAST_DUE", "stop");
    work_with(&rig, stop.clone(), &[]).await;
    assert_eq!(rig.count(entitled).await, 1, "nobody has looked again");
    reckon(&rig, &[]).await;
    work_with(&rig, stop, &[]).await;
    assert_eq!(rig.count(entitled).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_have_everything_once() {
    let rig = Rig::new().await;
    let customers: Vec<Bytes> = (0..5).map(|number| customer(number, 1)).collect();
    work(&rig, &customers).await;
    rig.execute("UPDATE customers SET account = 'acct_1' WHERE id IN ('cus_0', 'cus_3')")
        .await;
    let store = rig.store();
    let mut last = (String::new(), String::new());
    let mut counts = Vec::new();
    while let Some((count, through)) = store
        .mark_next(("customer", "customers"), (&last.0, &last.1), 2)
        .await
        .expect("marked")
    {
        counts.push(count);
        last = through;
    }
    assert_eq!(counts, [2, 2, 1]);
    let marked =
        "SELECT string_agg(concat(account, ' ', object_id), ',' ORDER BY account, object_id) FROM marks";
    let wanted = " cus_1, cus_2, cus_4,acct_1 cus_0,acct_1 cus_3";
    assert_eq!(rig.text(marked).await.as_deref(), Some(wanted));
}

/// A worker looks at the queue when it is empty, again and again; that is what Postgres plans for.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_taken_in_portions_however_long_it_is() {
    let rig = Rig::new().await;
    let store = Store::for_working(&rig.database_url, 1).expect("an URL");
    rig.execute("VACUUM (ANALYZE) marks").await;
    for _ in 0..LOOKS {
        let mut tx = store.begin().await.expect("Postgres answers");
        assert_eq!(tx.take_marks(10).await.expect("none"), Taken::default());
    }
    rig.execute(
        "INSERT INTO marks (account, kind, object_id)
         SELECT '', 'invoice', 'in_' || number FROM generate_series(1, 1000) AS number",
    )
    .await;
    for portion in [1, 10] {
        let mut tx = store.begin().await.expect("Postgres answers");
        let mut taken = tx.take_marks(portion).await.expect("marks");
        taken.rows.sort_unstable();
        assert_eq!(taken.rows, Vec::from_iter(1..=i64::from(portion)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_marked_unless_it_is_said_what() {
    let ended = Tollgate::run(&["reckon"], &shared::config::Env::default()).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
    assert!(ended.stderr.contains("--all"), "{ended:?}");
    let rig = Rig::new().await;
    assert_eq!(reckon(&rig, &[]).await["total"], json!(0));
}
