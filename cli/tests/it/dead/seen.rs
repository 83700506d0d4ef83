//! What is shown of events and dead letters.

use super::{dead, lines, mend, set_aside, unreadable};
use crate::support::process::Tollgate;
use crate::support::{Rig, customer};

/// Eight letters.
async fn of_three_causes(rig: &Rig) {
    set_aside(rig, 5).await;
    rig.xadd(&[("hello", b"world")]).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_listed_by_cause_page_and_time() {
    let rig = Rig::new().await;
    of_three_causes(&rig).await;
    let groups = lines(&dead(&rig, &["list", "--groups", "--json"]).await);
    let told: Vec<_> = groups
        .iter()
        .map(|it| (it["letters"].as_i64(), it["reason"].as_str(), it["type"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Some(5), Some("rejected_by_database"), Some("customer.updated")),
            (Some(2), Some("unreadable_object"), Some("charge.succeeded")),
            (Some(1), Some("malformed_entry"), None),
        ]
    );
    let kept =
        "SELECT string_agg(letters::text, ' ' ORDER BY letters DESC) FROM dead_groups WHERE letters > 0";
    let counted = "SELECT string_agg(n::text, ' ' ORDER BY n DESC) FROM
                   (SELECT count(*) AS n FROM parked_events GROUP BY fingerprint) AS groups";
    assert_eq!(rig.text(kept).await, rig.text(counted).await);

    let fingerprint = groups[0]["fingerprint"].as_str().expect("text");
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut args = vec!["list", "--fingerprint", fingerprint, "--limit", "2", "--json"];
        if let Some(after) = &after {
            args.extend(["--after", after]);
        }
        let page = lines(&dead(&rig, &args).await);
        let Some(last) = page.last() else { break };
        after = last["cursor"].as_str().map(str::to_owned);
        seen.extend(page.iter().map(|it| it["id"].as_str().expect("text").to_owned()));
    }
    seen.sort();
    assert_eq!(
        seen,
        ["evt_1_1", "evt_2_1", "evt_3_1", "evt_4_1", "evt_5_1"],
        "each once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_found_by_what_is_known_of_them_and_shown() {
    let rig = Rig::new().await;
    of_three_causes(&rig).await;
    for (args, wanted) in [
        (&["--type", "charge.succeeded"][..], 2),
        (&["--reason", "malformed_entry"], 1),
        (&["--since", "1h"], 8),
        (&["--until", "1h"], 0),
        (&["--id", "evt_1_1", "--id", "evt_2_1"], 2),
        (&["--type", "charge.succeeded", "--until", "1h"], 0),
        (&["--discarded"], 0),
    ] {
        let args: Vec<&str> = ["list", "--json"].iter().chain(args).copied().collect();
        assert_eq!(lines(&dead(&rig, &args).await).len(), wanted, "{args:?}");
    }

    let raw = rig
        .text("SELECT id FROM parked_events WHERE id LIKE 'raw:%'")
        .await
        .expect("one");
    let shown = dead(&rig, &["show", &raw]).await;
    assert!(
        shown.stdout.contains("malformed_entry") && !shown.stdout.contains("world"),
        "{shown:?}"
    );
    let shown = dead(&rig, &["show", &raw, "--body"]).await;
    assert!(shown.stdout.contains("world"), "{shown:?}");
    assert_eq!(dead(&rig, &["show", "evt_none"]).await.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_repeat_an_id_keep_both_letters() {
    let rig = Rig::new().await;
    for id in ["one", "two"] {
        redis::cmd("DEL")
            .arg(rig.keys().events)
            .query_async::<()>(&mut rig.redis().await)
            .await
            .expect("deleted");
        let mut add = redis::cmd("XADD");
        add.arg(rig.keys().events).arg("5-1").arg("hello").arg(id);
        add.query_async::<()>(&mut rig.redis().await)
            .await
            .expect("added");
        let worker = rig.worker();
        rig.wait_until_drained().await;
        worker.stop().await.expect("a clean end");
    }
    assert_eq!(
        rig.count("SELECT count(*) FROM parked_events WHERE entry_id = '5-1'")
            .await,
        2
    );
}

/// Seven events of three customers, one of them delivered twice and one that cannot be read.
async fn with_events() -> Rig {
    let rig = Rig::new().await;
    let worker = rig.worker();
    let bodies: Vec<_> = (1..=3)
        .flat_map(|n| [customer(n, 1), customer(n, 2)])
        .chain([unreadable(1)])
        .collect();
    rig.enqueue(&bodies).await;
    rig.enqueue([&bodies[0]]).await;
    rig.wait_until_drained().await;
    worker.stop().await.expect("a clean end");
    rig
}

async fn found(rig: &Rig, args: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["events", "list", "--json"].iter().chain(args).copied().collect();
    let found = Tollgate::run(&args, &rig.env()).await;
    assert_eq!(found.code, Some(0), "{found:?}");
    let mut ids: Vec<String> = lines(&found)
        .iter()
        .map(|it| it["id"].as_str().expect("text").to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_by_what_is_known_of_them() {
    let rig = with_events().await;
    let find = async |args: &[&str]| found(&rig, args).await;
    assert_eq!(find(&[]).await.len(), 7);
    assert_eq!(find(&["--id", "evt_2_1"]).await, ["evt_2_1"]);
    assert_eq!(find(&["--customer", "cus_3"]).await, ["evt_3_1", "evt_3_2"]);
    assert_eq!(
        find(&["--object", "cus_1", "--status", "applied"]).await,
        ["evt_1_1", "evt_1_2"]
    );
    assert_eq!(find(&["--status", "parked"]).await, ["evt_bad_1"]);
    assert_eq!(find(&["--type", "charge.*"]).await, ["evt_bad_1"]);
    assert_eq!(
        find(&[
            "--type",
            "customer.updated",
            "--created-since",
            "1970-01-01T00:00:02Z"
        ])
        .await
        .len(),
        3
    );
    assert_eq!(find(&["--endpoint", "other"]).await.len(), 0);
    assert_eq!(find(&["--until", "1h"]).await.len(), 0);
    let page = Tollgate::run(&["events", "list", "--limit", "4", "--json"], &rig.env()).await;
    let page = lines(&page);
    let after = page[3]["cursor"].as_str().expect("text");
    assert_eq!(find(&["--after", after]).await.len(), 3, "pages fit together");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_a_story() {
    let rig = with_events().await;
    let shown = Tollgate::run(&["events", "show", "evt_1_1", "--json"], &rig.env()).await;
    let story = &lines(&shown)[0];
    let words: Vec<_> = story["moments"]
        .as_array()
        .expect("moments")
        .iter()
        .map(|it| it["what"].as_str())
        .collect();
    let wanted = [
        Some("created"),
        Some("received"),
        Some("redelivered"),
        Some("applied"),
    ];
    assert!(wanted.iter().all(|what| words.contains(what)), "{words:?}");
    assert_eq!(story["changes"][0]["today"], "event evt_1_2 stands");
    assert_eq!(story["related"][0]["id"], "evt_1_2");
    assert!(
        story.get("body").is_none() && !shown.stdout.contains("@example.com"),
        "{shown:?}"
    );
    let shown = Tollgate::run(&["events", "show", "evt_1_1", "--body"], &rig.env()).await;
    assert!(shown.stdout.contains("@example.com"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_the_truth_and_changes_nothing() {
    let rig = Rig::new().await;
    set_aside(&rig, 2).await;
    let before = rig
        .text("SELECT string_agg(to_jsonb(p)::text, ',' ORDER BY id) FROM parked_events p")
        .await;
    let told = dead(&rig, &["replay", "--all", "--dry-run", "--json"]).await;
    assert_eq!(told.code, Some(3), "all would fail again: {told:?}");
    mend(&rig).await;

    let told = dead(&rig, &["replay", "--all", "--dry-run", "--json"]).await;
    assert_eq!(told.code, Some(3), "{told:?}");
    let told = lines(&told);
    assert_eq!(told.len(), 4);
    let one = told.iter().find(|it| it["id"] == "evt_1_1").expect("told");
    assert_eq!(one["outcome"], "applied");
    let row = |table: &str| {
        let rows = one["rows"].as_array().expect("rows");
        rows.iter()
            .find(|it| it["table"] == table)
            .unwrap_or_else(|| panic!("{table}: {one}"))["columns"]
            .clone()
    };
    assert_eq!(
        row("events")["status"],
        serde_json::json!({"before": "parked", "after": "applied"})
    );
    assert_eq!(
        row("customers")["email"],
        serde_json::json!({"before": null, "after": "1@example.com"})
    );
    let bad = told.iter().find(|it| it["id"] == "evt_bad_1").expect("told");
    assert_eq!(bad["outcome"], "parked");

    assert_eq!(rig.count("SELECT count(*) FROM customers").await, 0);
    let after = rig
        .text("SELECT string_agg(to_jsonb(p)::text, ',' ORDER BY id) FROM parked_events p")
        .await;
    assert_eq!(before, after);
    assert_eq!(rig.count("SELECT count(*) FROM dead_jobs").await, 0);

    // What was told comes true.
    let worker = rig.worker();
    let done = dead(&rig, &["replay", "--id", "evt_1_1", "--why", "mended", "--yes"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        rig.text("SELECT email FROM customers").await.as_deref(),
        Some("1@example.com")
    );
    worker.stop().await.expect("a clean end");
}
