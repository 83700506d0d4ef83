//! The worker as a process: it sweeps and checks by itself, and `/metrics` says so.

use std::time::Duration;

use bytes::Bytes;
use domain::Policy;
use serde_json::{Value, json};
use shared::clock::Clock;

use super::{DAY, TopUp, apply, sell, subscription, user};
use crate::support::process::Tollgate;
use crate::support::{Rig, event, http};

/// What `/metrics` shows in the end.
const SERIES: [&str; 15] = [
    // The tests' servers are quick, and worth nothing after a power cut.
    "tollgate_db_durable 0",
    "tollgate_swept_total{job=\"canceled\"} 1",
    "tollgate_swept_total{job=\"expiring\"} 1",
    "tollgate_swept_total{job=\"free\"} 1",
    "tollgate_swept_total{job=\"problems\"} 0",
    "tollgate_free_grants_refused_total 0",
    "tollgate_ledger_violations{rule=\"balance_is_sum\"} 1",
    "tollgate_ledger_violations{rule=\"sum_is_zero\"} 1",
    "tollgate_ledger_violations{rule=\"grant_is_paid\"} 0",
    "tollgate_ledger_violations{rule=\"key_of_one_source\"} 0",
    "tollgate_ledger_violations{rule=\"source_as_noted\"} 0",
    "tollgate_ledger_violations{rule=\"debits_within_grant\"} 0",
    // As much has expired as was given.
    "tollgate_ledger_outstanding_credits 500",
    "tollgate_ledger_capacity_left_credits 150",
    "tollgate_money_problems{problem=\"unknown_price\"} 0",
];

/// The value of a series that need not be a whole number.
async fn gauge(admin: &str, series: &str) -> Option<f64> {
    let (_, text) = http::get(&format!("{admin}/metrics")).await.expect("an answer");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map(|value| value.parse().expect("a number"))
}

/// Something for each job to do, and something that is broken.
async fn prepare(rig: &Rig) {
    let store = rig.store();
    let price = json!({"id": "price_1", "object": "price", "unit_amount": 2000, "currency": "usd",
        "metadata": {"credits": "2000", "free_monthly_credits": "100"}});
    let now = Clock::system().unix_seconds();
    let events: [Bytes; 3] = [
        event("evt_price", "price.created", 1, &price),
        subscription("sub_1", &json!({"user_id": "u"}), "active", None),
        subscription("sub_2", &json!({"user_id": "v"}), "canceled", Some(now - DAY)),
    ];
    apply(&store, &Policy::default(), &events).await;
    sell(
        &store,
        &[
            TopUp::new("1", &user("u"), 400),
            TopUp::new("2", &user("v"), 100).for_days(1),
        ],
    )
    .await;
    // Bought long ago, and one account that nobody can explain.
    rig.execute(
        "BEGIN; SET LOCAL session_replication_role = replica;
         UPDATE ledger_transfers SET expires_at = now() - interval '1 hour' WHERE expires_at IS NOT NULL;
         INSERT INTO ledger_accounts (account, owner_kind, owner_id, balance) VALUES ('', 'user', 'w', 1); COMMIT",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_sweeps_and_checks_by_itself() {
    let rig = Rig::new().await;
    prepare(&rig).await;
    let env = rig
        .env()
        .with("TOLLGATE_WORKER_SWEEP_SECONDS", "1")
        .with("TOLLGATE_CREDITS_OUTSTANDING_MAX", "650")
        .with("TOLLGATE_CREDITS_LOW", "10");
    let mut worker = Tollgate::start(&["worker"], &env);
    let admin = worker.ready().await;
    let states = "SELECT string_agg(subscription_id || ' ' || state, ', ' ORDER BY subscription_id) FROM subscription_states";
    rig.wait_for_text(states, "sub_1 active, sub_2 expired").await;
    let balances = "SELECT string_agg(owner_id || ' ' || balance, ', ' ORDER BY owner_id)
                    FROM ledger_accounts WHERE owner_kind = 'user'";
    rig.wait_for_text(balances, "u 500, v 0, w 1").await;
    let told = "SELECT string_agg(type || ' ' || user_id, ', ' ORDER BY type, user_id) FROM outbox
                WHERE type IN ('subscription.expired', 'credits.expired', 'credits.low')";
    rig.wait_for_text(told, "credits.expired v, credits.low v, subscription.expired v")
        .await;

    for series in SERIES {
        http::wait_for_text(&format!("{admin}/metrics"), series).await;
    }
    let age = gauge(&admin, "tollgate_ledger_check_age_seconds").await;
    assert!(age.is_some_and(|age| (0.0..60.0).contains(&age)), "{age:?}");
    let log = worker.stderr();
    let found: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["rule"].is_string())
        .collect();
    assert_eq!(found.len(), 2, "each is said once: {log}");
    assert!(found.iter().all(|line| line["level"] == "ERROR"), "{found:?}");
    assert_eq!(worker.terminate(Duration::from_secs(10)).await, Some(0));
}
