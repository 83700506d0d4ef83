//! `tollgate ledger`.

use std::time::Duration;

use domain::Policy;
use serde_json::{Value, json};
use shared::config::Env;

use super::{DAY, NOW, TopUp, apply, sell, team, user};
use crate::support::process::{Ended, Tollgate};
use crate::support::{Rig, wait_for};

/// With the database and nothing else.
fn env(rig: &Rig) -> Env {
    Env::default().with("DATABASE_URL", &rig.database_url)
}

async fn ledger(rig: &Rig, args: &[&str]) -> Ended {
    Tollgate::run(&[&["ledger"], args].concat(), &env(rig)).await
}

async fn ledger_json(rig: &Rig, args: &[&str]) -> Value {
    let ended = ledger(rig, &[args, &["--json"]].concat()).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

async fn behind_the_back(rig: &Rig, sql: &str) {
    rig.execute(&format!(
        "BEGIN; SET LOCAL session_replication_role = replica; {sql}; COMMIT"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_true_is_said_to_be() {
    let rig = Rig::new().await;
    for _ in 0..2 {
        for args in [&["check"][..], &["check", "--from-zero"]] {
            let ended = ledger(&rig, args).await;
            assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
            let wanted = "the ledger is true: all 6 rules hold (round ";
            assert!(ended.stdout.starts_with(wanted), "{ended:?}");
        }
        let said = ledger_json(&rig, &["check"]).await;
        assert_eq!(
            (&said["clean"], &said["broken"], &said["violations"]),
            (&json!(true), &json!({}), &json!([])),
            "{said}"
        );
        sell(&rig.store(), &[TopUp::new("1", &user("u"), 100)]).await;
    }
    // Several at once help each other.
    let (one, other) = tokio::join!(ledger(&rig, &["check", "--from-zero"]), ledger(&rig, &["check"]));
    assert_eq!((one.code, other.code), (Some(0), Some(0)), "{one:?} {other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_row_that_breaks_a_rule_is_named() {
    let rig = Rig::new().await;
    let sales: Vec<TopUp> = (0..12)
        .map(|n| TopUp::new(&n.to_string(), &user(&format!("u{n}")), 100))
        .collect();
    sell(&rig.store(), &sales).await;
    behind_the_back(
        &rig,
        "UPDATE ledger_accounts SET balance = balance + 1 WHERE owner_kind = 'user'",
    )
    .await;
    let first = rig
        .count("SELECT min(id) FROM ledger_accounts WHERE owner_kind = 'user'")
        .await;

    let ended = ledger(&rig, &["check", "--json"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        (&said["clean"], &said["broken"]),
        (&json!(false), &json!({"balance_is_sum": 12, "sum_is_zero": 1}))
    );
    let rows = said["violations"].as_array().expect("rows");
    assert_eq!(rows.len(), 13);
    assert_eq!(rows[0]["rule"], "sum_is_zero");
    assert_eq!(rows[0]["detail"], "all balances of account \"\" come to 12");
    assert_eq!(rows[1]["row"], format!("ledger_accounts {first}"));
    let detail = rows[1]["detail"].as_str().expect("words");
    assert!(
        detail.ends_with("the balance is 101, its transfers come to 100"),
        "{detail}"
    );
    let words = "tollgate: the ledger is broken: 13 rows; the first is ledger_accounts ";
    assert!(
        ended.stderr.starts_with(words) && ended.stderr.contains("which breaks sum_is_zero"),
        "{ended:?}"
    );

    let ended = ledger(&rig, &["check"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(
        (lines[0], lines[2]),
        ("sum_is_zero: 1 rows", "balance_is_sum: 12 rows")
    );
    assert!(
        lines[3].starts_with(&format!("  ledger_accounts {first}: user u")),
        "{ended:?}"
    );
    assert_eq!(lines.last(), Some(&"  ... and 2 more; --json shows them"));

    behind_the_back(
        &rig,
        "UPDATE ledger_accounts SET balance = balance - 1 WHERE owner_kind = 'user'",
    )
    .await;
    assert_eq!(ledger_json(&rig, &["check"]).await["clean"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_from_zero_reads_what_was_summed_up_before() {
    let rig = Rig::new().await;
    sell(&rig.store(), &[TopUp::new("1", &user("u"), 1_000)]).await;
    rig.execute(
        "DO $$ BEGIN FOR n IN 1..150 LOOP PERFORM spend_credits('', 'u', 2, n::text, NULL); END LOOP; END $$",
    )
    .await;
    let is_kept = wait_for(async || {
        ledger_json(&rig, &["check"]).await;
        rig.count("SELECT count(*) FROM ledger_checkpoints").await == 2
    });
    assert!(is_kept.await, "no sums are kept");
    behind_the_back(
        &rig,
        "UPDATE ledger_transfers SET amount = 1 WHERE key = 'spend:7'",
    )
    .await;
    assert_eq!(ledger_json(&rig, &["check"]).await["clean"], true);
    let ended = ledger(&rig, &["check", "--from-zero"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("the balance is 700, its transfers come to 701"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_takes_long_says_how_far_it_is() {
    let rig = Rig::new().await;
    let mut held = rig.pool.begin().await.expect("Postgres answers");
    sqlx::raw_sql("LOCK TABLE money_sources IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *held)
        .await
        .expect("locked");
    let mut check = Tollgate::start(&["ledger", "check"], &env(&rig));
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'tollgate-cli' AND wait_event_type = 'Lock'";
    rig.wait_for_count(waiting, 1).await;
    // Longer than it keeps silent.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    held.rollback().await.expect("let go");
    assert_eq!(
        check.end_within(Duration::from_secs(20)).await,
        Some(0),
        "{}",
        check.stderr()
    );
    assert!(
        check.stderr().contains("tollgate: checking sources\n"),
        "{}",
        check.stderr()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_shown_page_by_page() {
    let rig = Rig::new().await;
    let store = rig.store();
    let top_up = TopUp::new("1", &user("u"), 1_000).for_days(30);
    sell(&store, &[top_up.clone(), TopUp::new("2", &team("t"), 50)]).await;
    store
        .spend("", "u", 800, "job 1", Some("images"))
        .await
        .expect("spent");
    let refund = top_up.refund(1, 500, "succeeded", NOW + 1);
    apply(&store, &Policy::default(), &[refund]).await;

    let first = ledger_json(&rig, &["history", "user", "u", "--limit", "2"]).await;
    assert_eq!(
        (&first["owner_kind"], &first["owner_id"], &first["account"]),
        (&json!("user"), &json!("u"), &json!(""))
    );
    let brief = |page: &Value| -> Vec<Value> {
        let entries = page["entries"].as_array().expect("entries").iter();
        entries
            .map(|it| json!([it["kind"], it["credits"], it["balance"], it["key"]]))
            .collect()
    };
    let wanted = [
        json!(["refund", -500, -300, "refund:pi_1"]),
        json!(["spend", -800, 200, "spend:job 1"]),
    ];
    assert_eq!(brief(&first), wanted);
    let spend = &first["entries"][1];
    assert_eq!(
        (&spend["user_id"], &spend["reason"]),
        (&json!("u"), &json!("images"))
    );
    let next = first["next"].as_str().expect("more");
    let second = ledger_json(&rig, &["history", "user", "u", "--after", next]).await;
    assert_eq!(brief(&second), [json!(["topup", 1000, 1000, "topup:cs_1"])]);
    assert_eq!(second["next"], Value::Null);
    let top_up = &second["entries"][0];
    assert_eq!(
        (
            &top_up["source_kind"],
            &top_up["source_id"],
            &top_up["expires_at"]
        ),
        (
            &json!("checkout.session"),
            &json!("cs_1"),
            &json!("2027-02-14T08:00:00Z")
        )
    );
    assert_eq!(NOW + 30 * DAY, 1_802_592_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_shown_to_people() {
    let rig = Rig::new().await;
    let store = rig.store();
    sell(&store, &[TopUp::new("1", &user("u"), 100)]).await;
    store
        .spend("", "u", 30, "job 1", Some("images"))
        .await
        .expect("spent");
    let shown = ledger(&rig, &["history", "user", "u", "--limit", "1"]).await;
    let lines: Vec<&str> = shown.stdout.lines().collect();
    assert!(
        lines[0].contains("  -30  ") && lines[0].contains("  70  spend"),
        "{shown:?}"
    );
    assert!(lines[0].ends_with("spend:job 1  by u  for images"), "{shown:?}");
    assert!(lines[1].starts_with("more: --after "), "{shown:?}");
    let nobody = ledger(&rig, &["history", "user", "nobody"]).await;
    assert_eq!((nobody.code, nobody.stdout.as_str()), (Some(0), "nothing\n"));
    let elsewhere = ledger_json(&rig, &["history", "user", "u", "--account", "acct_1"]).await;
    assert_eq!(elsewhere["entries"], json!([]));

    for wrong in [
        &["history", "group", "g"][..],
        &["history", "user"],
        &["history", "user", "u", "--limit", "0"],
        &["history", "user", "u", "--limit", "501"],
        &["history", "user", "u", "--after", "yesterday"],
    ] {
        assert_eq!(ledger(&rig, wrong).await.code, Some(2), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_and_what_is_outstanding_are_shown() {
    let rig = Rig::new().await;
    let store = rig.store();
    let top_up = TopUp::new("1", &user("u"), 100);
    sell(&store, &[top_up.clone(), TopUp::new("2", &team("t"), 50)]).await;
    store.add_team_member("", "t", "u").await.expect("added");
    let shown = |balance: i64, teams: Value, available: i64| json!({"balance": balance, "teams": teams, "available": available});
    let balance = async |kind: &str, id: &str| {
        let mut said = ledger_json(&rig, &["balance", kind, id]).await;
        let members = said.as_object_mut().expect("an object");
        for (name, wanted) in [("account", ""), ("owner_kind", kind), ("owner_id", id)] {
            assert_eq!(members.remove(name), Some(json!(wanted)));
        }
        said
    };
    assert_eq!(balance("user", "u").await, shown(100, json!({"t": 50}), 150));
    assert_eq!(balance("team", "t").await, shown(50, json!({}), 50));
    assert_eq!(balance("user", "nobody").await, shown(0, json!({}), 0));
    store.spend("", "u", 120, "k", None).await.expect("spent");
    let refund = top_up.refund(1, 100, "succeeded", NOW + 1);
    apply(&store, &Policy::default(), &[refund]).await;
    assert_eq!(balance("user", "u").await, shown(-100, json!({"t": 30}), 0));
    let words = ledger(&rig, &["balance", "user", "u"]).await.stdout;
    let words: Vec<Vec<&str>> = words
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        words,
        [
            vec!["-100", "user", "u"],
            vec!["30", "team", "t"],
            vec!["0", "can", "be", "spent"]
        ]
    );

    let outstanding = ledger_json(&rig, &["outstanding"]).await;
    let wanted = json!({"account": "", "outstanding": -70, "max": null, "capacity_left": null});
    assert_eq!(outstanding, wanted);
    let limited = env(&rig).with("TOLLGATE_CREDITS_OUTSTANDING_MAX", "30");
    let ended = Tollgate::run(&["ledger", "outstanding"], &limited).await;
    let words: Vec<&str> = ended.stdout.split_whitespace().collect();
    let wanted = "-70 credits are outstanding 100 free ones may still be given, of 30";
    assert_eq!(words.join(" "), wanted, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn help_has_examples() {
    for (args, words) in [
        (
            &["ledger", "--help"][..],
            "tollgate ledger history user usr_7f3a1c",
        ),
        (
            &["ledger", "check", "--help"],
            "tollgate ledger check --from-zero",
        ),
        (&["ledger", "history", "--help"], "--after 48213.1500"),
    ] {
        let ended = Tollgate::run(args, &Env::default()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.stdout.contains(words) && ended.stdout.contains("Exit status: 0"),
            "{ended:?}"
        );
    }
}
