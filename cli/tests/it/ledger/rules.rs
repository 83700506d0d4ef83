//! Every rule of the check: broken on purpose it is found, with the right row; mended it is forgotten.

use std::fmt::Write;

use domain::Policy;
use store::Store;
use store::check::RULES;

use super::check::round;
use super::{NOW, TopUp, apply, sell, user};
use crate::support::{Rig, event};

/// Something is broken behind the database's back.
struct Breakage {
    what: &'static str,
    /// As the owner of the tables, with triggers switched off.
    spoil: &'static str,
    /// Queries for the rows that are then found, by rule.
    found: &'static [(&'static str, &'static str)],
    mend: &'static str,
}

const USER: &str = "SELECT concat('ledger_accounts ', id) FROM ledger_accounts WHERE owner_id = 'u1'";
const ISSUED: &str =
    "SELECT concat('ledger_accounts ', from_id) FROM ledger_transfers WHERE key = 'topup:cs_1'";
const FIRST_ACCOUNT: &str = "SELECT concat('ledger_accounts ', min(id)) FROM ledger_accounts";
const TOP_UP: &str = "SELECT concat('ledger_transfers ', id) FROM ledger_transfers WHERE key = 'topup:cs_1'";
const INVOICE: &str = "SELECT concat('ledger_transfers ', id) FROM ledger_transfers WHERE key = 'grant:in_1'";
const INTENT: &str =
    "SELECT concat('ledger_transfers ', id) FROM ledger_transfers WHERE key = 'topup:pi_own'";
const SESSION_1: &str = "SELECT 'money_sources checkout.session cs_1'";
const SESSION_2: &str = "SELECT 'money_sources checkout.session cs_2'";

const BREAKAGES: &[Breakage] = &[
    Breakage {
        what: "a balance that no transfer explains",
        spoil: "UPDATE ledger_accounts SET balance = balance + 7 WHERE owner_id = 'u1'",
        found: &[("balance_is_sum", USER), ("sum_is_zero", FIRST_ACCOUNT)],
        mend: "UPDATE ledger_accounts SET balance = balance - 7 WHERE owner_id = 'u1'",
    },
    Breakage {
        what: "two balances that make up for each other",
        spoil: "UPDATE ledger_accounts SET balance = balance + CASE owner_id WHEN 'u1' THEN 7 ELSE -7 END
                WHERE owner_id IN ('u1', ledger_platform('issued', 'u1'))",
        found: &[("balance_is_sum", USER), ("balance_is_sum", ISSUED)],
        mend: "UPDATE ledger_accounts SET balance = balance + CASE owner_id WHEN 'u1' THEN -7 ELSE 7 END
               WHERE owner_id IN ('u1', ledger_platform('issued', 'u1'))",
    },
    Breakage {
        what: "a transfer that moved nothing",
        spoil: "INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount)
                SELECT '', 'adjust:1', 1, 'adjust', to_id, from_id, 5 FROM ledger_transfers WHERE key = 'topup:cs_1'",
        found: &[("balance_is_sum", USER), ("balance_is_sum", ISSUED)],
        mend: "DELETE FROM ledger_transfers WHERE key = 'adjust:1'",
    },
    Breakage {
        what: "a transfer that is gone",
        spoil: "CREATE TABLE aside AS SELECT * FROM ledger_transfers WHERE key = 'spend:1';
                DELETE FROM ledger_transfers WHERE key = 'spend:1'",
        found: &[
            ("balance_is_sum", USER),
            ("balance_is_sum", "SELECT concat('ledger_accounts ', to_id) FROM aside"),
        ],
        mend: "INSERT INTO ledger_transfers OVERRIDING SYSTEM VALUE SELECT * FROM aside; DROP TABLE aside",
    },
    Breakage {
        what: "a session that is not paid any more, and nobody was told",
        spoil: "UPDATE checkout_sessions SET payment_status = 'unpaid' WHERE id = 'cs_1'",
        found: &[("grant_is_paid", TOP_UP)],
        mend: "UPDATE checkout_sessions SET payment_status = 'no_payment_required' WHERE id = 'cs_1'",
    },
    Breakage {
        what: "the same of an invoice",
        spoil: "UPDATE invoices SET status = 'open' WHERE id = 'in_1'",
        found: &[("grant_is_paid", INVOICE)],
        mend: "UPDATE invoices SET status = 'paid' WHERE id = 'in_1'",
    },
    Breakage {
        what: "the same of a payment intent",
        spoil: "UPDATE payment_intents SET status = 'canceled' WHERE id = 'pi_own'",
        found: &[("grant_is_paid", INTENT)],
        mend: "UPDATE payment_intents SET status = 'succeeded' WHERE id = 'pi_own'",
    },
    Breakage {
        what: "a grant without anything that was paid",
        spoil: "DELETE FROM invoices WHERE id = 'in_1'",
        found: &[("grant_is_paid", INVOICE)],
        mend: "INSERT INTO invoices (account, id, livemode, status, lines_complete, deleted, metadata, event_id, event_created)
               VALUES ('', 'in_1', false, 'paid', true, false, '{}', 'evt', now())",
    },
    Breakage {
        what: "a source nobody has noted",
        spoil: "CREATE TABLE aside AS SELECT * FROM money_sources WHERE id = 'cs_1';
                DELETE FROM money_sources WHERE id = 'cs_1'",
        found: &[("grant_is_paid", TOP_UP)],
        mend: "INSERT INTO money_sources SELECT * FROM aside; DROP TABLE aside",
    },
    Breakage {
        what: "a business key of two kinds of source",
        spoil: "UPDATE ledger_transfers SET source_kind = 'invoice' WHERE key = 'spend:two' AND seq = 2",
        found: &[(
            "key_of_one_source",
            "SELECT concat('ledger_transfers ', id) FROM ledger_transfers WHERE key = 'spend:two' AND seq = 2",
        )],
        mend: "UPDATE ledger_transfers SET source_kind = NULL WHERE key = 'spend:two' AND seq = 2",
    },
    Breakage {
        what: "a source that notes more than was granted",
        spoil: "UPDATE money_sources SET granted = granted + 1 WHERE id = 'cs_1'",
        found: &[("source_as_noted", SESSION_1)],
        mend: "UPDATE money_sources SET granted = granted - 1 WHERE id = 'cs_1'",
    },
    Breakage {
        what: "a source that notes less than was taken back",
        spoil: "UPDATE money_sources SET refunded = 0 WHERE id = 'cs_2'",
        found: &[("source_as_noted", SESSION_2)],
        mend: "UPDATE money_sources SET refunded = 40 WHERE id = 'cs_2'",
    },
    Breakage {
        what: "more taken back than was granted",
        spoil: "SET LOCAL session_replication_role = origin;
                INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount, source_kind, source_id)
                SELECT account, 'refund:pi_2', 2, 'refund', to_id, from_id, 61, source_kind, source_id
                FROM ledger_transfers WHERE key = 'topup:cs_2';
                UPDATE money_sources SET refunded = 101 WHERE id = 'cs_2'",
        found: &[("debits_within_grant", SESSION_2)],
        mend: "SET LOCAL session_replication_role = origin;
               INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount, source_kind, source_id)
               SELECT account, key, 3, kind, to_id, from_id, amount, source_kind, source_id
               FROM ledger_transfers WHERE key = 'refund:pi_2' AND seq = 2;
               UPDATE money_sources SET refunded = 40 WHERE id = 'cs_2'",
    },
];

/// Users and a team with one of everything, and a healthy ledger.
async fn healthy(rig: &Rig) -> Store {
    let store = rig.store();
    let second = TopUp::new("2", &user("u2"), 100);
    let sales: Vec<TopUp> = (3..8)
        .map(|n| TopUp::new(&n.to_string(), &user(&format!("u{n}")), 100))
        .chain([
            TopUp::new("1", &user("u1"), 100),
            second.clone(),
            TopUp::new("t", &super::team("t"), 50),
        ])
        .collect();
    sell(&store, &sales).await;
    let invoice = serde_json::json!({"id": "in_1", "object": "invoice", "status": "paid", "created": NOW,
        "billing_reason": "subscription_create", "amount_paid": 2000, "metadata": {"user_id": "u1"},
        "lines": {"data": [{"id": "il_1", "amount": 2000, "price": {"id": "price_1", "unit_amount": 2000,
            "currency": "usd", "metadata": {"credits": "200"}}}]}});
    let intent = serde_json::json!({"id": "pi_own", "object": "payment_intent", "status": "succeeded", "created": NOW,
        "amount_received": 500,
        "metadata": {"user_id": "u1", "credits": "500", "credits_source": "payment_intent"}});
    let events = [
        event("evt_in", "invoice.paid", NOW, &invoice),
        event("evt_pi", "payment_intent.succeeded", NOW, &intent),
        second.refund(1, 40, "succeeded", NOW + 1),
    ];
    apply(&store, &Policy::default(), &events).await;
    store.add_team_member("", "t", "u7").await.expect("added");
    for (who, credits, key) in [("u1", 10, "1"), ("u7", 120, "two")] {
        store.spend("", who, credits, key, None).await.expect("spent");
    }
    store
}

/// Changes what the triggers protect, as the owner of the tables could.
async fn behind_the_back(rig: &Rig, sql: &str) {
    rig.execute(&format!(
        "BEGIN; SET LOCAL session_replication_role = replica; {sql}; COMMIT"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_broken_is_found_named_and_forgotten_when_mended() {
    let rig = Rig::new().await;
    let store = healthy(&rig).await;
    let mut seen: Vec<&str> = Vec::new();
    for breakage in BREAKAGES {
        let what = breakage.what;
        assert_eq!(round(&store, 20, false).await, [], "before {what}");
        behind_the_back(&rig, breakage.spoil).await;
        let mut wanted = Vec::new();
        for (rule, subject) in breakage.found {
            wanted.push(((*rule).to_owned(), rig.text(subject).await.expect("a row")));
            seen.push(rule);
        }
        wanted.sort();
        // In steps of any size, and again: what is known stays known.
        for rows in [1, 20, 20, 2_000] {
            let mut found: Vec<(String, String)> = round(&store, rows, false)
                .await
                .into_iter()
                .map(|it| (it.rule, it.subject))
                .collect();
            found.sort();
            assert_eq!(found, wanted, "{what}, {rows} rows a step");
        }
        behind_the_back(&rig, breakage.mend).await;
        // The sums that were kept meanwhile are of what was broken.
        assert_eq!(round(&store, 20, true).await, [], "after {what}");
    }
    for rule in RULES {
        assert!(seen.contains(&rule), "nothing here breaks {rule}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_to_be_reckoned_is_not_broken() {
    let rig = Rig::new().await;
    let store = healthy(&rig).await;
    // An event just changed the status, and marked it; the reckoner comes next.
    rig.execute("UPDATE invoices SET status = 'void' WHERE id = 'in_1'")
        .await;
    rig.execute("INSERT INTO marks (account, kind, object_id) VALUES ('', 'invoice', 'in_1')")
        .await;
    assert_eq!(round(&store, 20, false).await, []);
    // Unless it cannot be.
    rig.execute("UPDATE marks SET trouble = 'for a person'").await;
    let found = round(&store, 20, false).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0].detail,
        "200 credits are granted for invoice in_1, which is not paid"
    );
    rig.execute("UPDATE marks SET trouble = NULL").await;
    super::settle(&store, &Policy::default()).await;
    assert_eq!(round(&store, 20, false).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_ledger_that_is_broken_everywhere_enough_is_kept() {
    const BROKEN: i64 = 1_500;
    let rig = Rig::new().await;
    let store = rig.store();
    let mut sql =
        String::from("INSERT INTO ledger_accounts (account, owner_kind, owner_id, balance) VALUES ");
    for number in 0..BROKEN {
        let comma = if number == 0 { "" } else { ", " };
        write!(sql, "{comma}('', 'user', 'u{number}', 1)").expect("memory");
    }
    behind_the_back(&rig, &sql).await;
    let found = round(&store, 2_000, false).await;
    let kept = found.iter().filter(|it| it.rule == "balance_is_sum").count();
    assert!((1_000..1_300).contains(&kept), "{kept}");
    assert!(found.iter().any(|it| it.rule == "sum_is_zero"));
    behind_the_back(&rig, "DELETE FROM ledger_accounts WHERE owner_id LIKE 'u%'").await;
    assert_eq!(round(&store, 2_000, false).await, []);
}
