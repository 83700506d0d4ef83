//! `tollgate state`.

use bytes::Bytes;
use serde_json::{Value, json};
use shared::config::Env;

use crate::support::crew::{Crew, Delivery};
use crate::support::process::{Ended, Tollgate};
use crate::support::{Rig, event, scenario};

/// Everything `state` can be asked about.
const WORDS: [&str; 11] = [
    "users",
    "subs",
    "invoices",
    "payments",
    "charges",
    "refunds",
    "disputes",
    "checkout_sessions",
    "grants",
    "debits",
    "events",
];

async fn state(rig: &Rig, args: &[&str]) -> Ended {
    let only_postgres = Env::default().with("DATABASE_URL", &rig.database_url);
    let ended = Tollgate::run(&[&["state"], args].concat(), &only_postgres).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    ended
}

pub async fn state_json(rig: &Rig, args: &[&str]) -> Value {
    let ended = state(rig, &[&["--json"], args].concat()).await;
    serde_json::from_str(&ended.stdout).expect("JSON")
}

/// Lets a worker apply and reckon events.
pub async fn work(rig: &Rig, events: &[Bytes]) {
    work_with(rig, rig.env(), events).await;
}

/// The same, with settings of its own.
pub async fn work_with(rig: &Rig, env: Env, events: &[Bytes]) {
    let worker = rig.worker_with(env);
    rig.enqueue(events).await;
    rig.wait_until_drained().await;
    rig.wait_for_count("SELECT count(*) FROM marks", 0).await;
    worker.stop().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_installation_has_every_word() {
    let rig = Rig::new().await;
    let state = state_json(&rig, &[]).await;
    for word in WORDS {
        let nothing = if word == "events" {
            json!({"deliveries": 0, "distinct": 0, "not_applied": 0})
        } else {
            json!({})
        };
        assert_eq!(state[word], nothing, "{word}");
    }
    assert_eq!(
        state.as_object().map(serde_json::Map::len),
        Some(WORDS.len()),
        "{state}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_after_a_scenario_is_what_the_scenario_expects() {
    let Some((scenario, deliveries)) = scenario("dispute_lost__2026-10-28.endive") else {
        return;
    };
    let rig = Rig::new().await;
    work(&rig, &deliveries).await;

    let all = state_json(&rig, &[]).await;
    assert_eq!(all, scenario["expected"]);
    let users = all["users"].as_object().expect("users");
    assert_eq!(users.len(), 1, "{all}");
    let (user, about) = users.iter().next().expect("one");
    assert_eq!(
        state_json(&rig, &["--user", user]).await,
        all,
        "all of it is theirs"
    );

    let nobody = state_json(&rig, &["--user", "usr_nobody"]).await;
    let elsewhere = state_json(&rig, &["--account", "acct_other"]).await;
    for word in WORDS.into_iter().filter(|word| *word != "events") {
        assert_eq!(nobody[word], json!({}), "{word}");
        assert_eq!(elsewhere[word], json!({}), "{word}");
    }

    let summary = state(&rig, &[]).await.stdout;
    let line = summary
        .lines()
        .find(|line| line.contains(user))
        .expect("the user");
    assert!(
        line.contains(about["state"].as_str().expect("a state")),
        "{summary}"
    );
    assert!(
        line.contains(&format!("{} credits", about["credits"])),
        "{summary}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_users_one_is_shown() {
    let rig = Rig::new().await;
    let mut events = Vec::new();
    for number in [1, 2] {
        let customer = json!({"id": format!("cus_{number}"), "object": "customer",
            "metadata": {"user_id": format!("usr_{number}")}});
        let charge = json!({"id": format!("ch_{number}"), "object": "charge", "status": "succeeded", "amount": 5,
            "customer": format!("cus_{number}")});
        let refund = json!({"id": format!("re_{number}"), "object": "refund", "status": "succeeded", "amount": 5,
            "charge": format!("ch_{number}")});
        events.push(event(&format!("evt_c{number}"), "customer.created", 1, &customer));
        events.push(event(&format!("evt_h{number}"), "charge.succeeded", 2, &charge));
        events.push(event(&format!("evt_r{number}"), "refund.created", 3, &refund));
    }
    work(&rig, &events).await;
    let one = state_json(&rig, &["--user", "usr_2"]).await;
    let ids = |word: &str| {
        one[word]
            .as_object()
            .map(|it| it.keys().cloned().collect::<Vec<_>>())
    };
    for (word, id) in [("users", "usr_2"), ("charges", "ch_2"), ("refunds", "re_2")] {
        assert_eq!(ids(word), Some(vec![id.to_owned()]), "{one}");
    }
    let both = state_json(&rig, &[]).await;
    assert_eq!(
        both["users"].as_object().map(serde_json::Map::len),
        Some(2),
        "{both}"
    );
    assert_eq!(one["events"], both["events"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_refuse_a_schema_that_does_not_suit_and_a_missing_database() {
    let rig = Rig::unmigrated().await;
    let commands: [&[&str]; 9] = [
        &["customer", "show", "cus_1"],
        &["ledger", "check"],
        &["ledger", "history", "user", "u"],
        &["ledger", "balance", "user", "u"],
        &["ledger", "outstanding"],
        &["reckon", "--all"],
        &["state"],
        &["catalog", "show"],
        &["idle", "--timeout", "10s"],
    ];
    for command in commands {
        let ended = Tollgate::run(command, &rig.env()).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains("run `tollgate migrate`"), "{ended:?}");

        let unset = Tollgate::run(command, &Env::default()).await;
        assert_eq!((unset.code, unset.stdout.as_str()), (Some(78), ""), "{unset:?}");
        assert!(unset.stderr.contains("DATABASE_URL is not set"), "{unset:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_shown_with_user_and_subscriptions_and_without_address() {
    let rig = Rig::new().await;
    let crew = Crew::new(&rig, 1);
    let told = |id: &str, event_type: &str, object: Value| {
        Delivery::plain(event(id, event_type, 1_767_571_200, &object))
    };
    let customer = json!({"id": "cus_1", "object": "customer", "email": "canary@example.com",
        "name": "Canary", "delinquent": true, "metadata": {"user_id": "usr_1"}});
    let subscription = json!({"id": "sub_1", "object": "subscription", "customer": "cus_1",
        "status": "past_due", "created": 1_767_571_200, "cancel_at_period_end": true,
        "current_period_start": 1_767_571_200, "current_period_end": 1_767_657_600,
        "items": {"object": "list", "data": [], "has_more": false}});
    crew.one_by_one([vec![
        told("evt_1", "customer.updated", customer),
        told("evt_2", "customer.subscription.created", subscription),
    ]])
    .await;
    let show = async |args: &[&str]| Tollgate::run(&[&["customer", "show"], args].concat(), &rig.env()).await;

    let shown = show(&["cus_1", "--json"]).await;
    let told: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(
        (shown.code, &told["delinquent"]),
        (Some(0), &true.into()),
        "{told}"
    );
    assert_eq!(
        (&told["user"]["id"], &told["user"]["state"]),
        (&"usr_1".into(), &"past_due".into()),
        "{told}"
    );
    let first = &told["subscriptions"][0];
    assert_eq!(
        (&first["id"], &first["status"]),
        (&"sub_1".into(), &"past_due".into())
    );
    assert_eq!(first["current_period_end"], "2026-01-06T00:00:00Z");
    assert_eq!(told["known"]["subscription"], 1);

    let words = show(&["cus_1"]).await;
    assert!(
        words
            .stdout
            .starts_with("cus_1 (test, delinquent)\n  user usr_1: past_due, "),
        "{words:?}"
    );
    assert!(!format!("{words:?}{shown:?}").to_lowercase().contains("canary"));
    let unknown = show(&["cus_2"]).await;
    assert_eq!(
        (unknown.code, unknown.stdout.as_str()),
        (Some(1), ""),
        "{unknown:?}"
    );
}
