//! The views of `reporting`, as the role that may read them: numbers worked out by hand, and nothing else.

use bytes::Bytes;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Postgres, Transaction};

use crate::support::crew::{Crew, Delivery};
use crate::support::{Rig, event};

/// 2026-01-05, a Monday: the last second of it, and the first of the next day.
const MONDAY_LAST: i64 = 1_767_657_599;
const TUESDAY_FIRST: i64 = 1_767_657_600;
const NOON: i64 = TUESDAY_FIRST + 43_200;
const DAY: i64 = 86_400;

const VIEWS: [&str; 5] = [
    "revenue_daily",
    "payments_daily",
    "churn_monthly",
    "credits",
    "webhooks_daily",
];

fn told(event_type: &str, object: Value) -> Bytes {
    let created = object["created"].as_i64().expect("when");
    let id = object["id"].as_str().expect("an id");
    event(&format!("evt_{id}"), event_type, created, &object)
}

fn invoice(id: &str, created: i64, status: &str, paid: i64, currency: &str) -> Bytes {
    told(
        "invoice.updated",
        json!({"id": id, "object": "invoice", "created": created, "status": status, "currency": currency,
               "amount_paid": paid, "amount_due": 2000, "customer": "cus_1", "subscription": "sub_a",
               "lines": {"object": "list", "data": [], "has_more": false}}),
    )
}

fn payment(id: &str, created: i64, status: &str, amount: i64, error: Option<&str>) -> Bytes {
    let received = if status == "succeeded" { amount } else { 0 };
    let error = error.map_or(Value::Null, |code| json!({"code": code, "message": "no"}));
    told(
        "payment_intent.created",
        json!({"id": id, "object": "payment_intent", "created": created, "status": status, "currency": "usd",
               "amount": amount, "amount_received": received, "last_payment_error": error}),
    )
}

fn refund(id: &str, created: i64, status: &str) -> Bytes {
    told(
        "refund.created",
        json!({"id": id, "object": "refund", "created": created, "status": status, "currency": "usd", "amount": 300,
               "payment_intent": "pi_2"}),
    )
}

fn subscription(id: &str, created: i64, status: &str, ended_at: Option<i64>) -> Bytes {
    told(
        "customer.subscription.created",
        json!({"id": id, "object": "subscription", "created": created, "status": status, "ended_at": ended_at,
               "customer": "cus_1", "items": {"object": "list", "data": [], "has_more": false}}),
    )
}

fn of_live_mode(body: &Bytes) -> Bytes {
    let text = std::str::from_utf8(body).expect("text");
    Bytes::from(text.replace(r#""livemode":false"#, r#""livemode":true"#))
}

fn session() -> Bytes {
    told(
        "checkout.session.completed",
        json!({"id": "cs_1", "object": "checkout.session", "created": NOON, "mode": "payment", "status": "complete",
               "payment_status": "paid", "currency": "usd", "amount_total": 1000, "payment_intent": "pi_2"}),
    )
}

/// Two days of a small business, and the year's first month.
fn scenario() -> Vec<Bytes> {
    vec![
        invoice("in_1", MONDAY_LAST, "paid", 2000, "usd"),
        invoice("in_2", TUESDAY_FIRST, "paid", 2500, "usd"),
        invoice("in_3", NOON, "paid", 900, "eur"),
        invoice("in_open", NOON, "open", 0, "usd"),
        of_live_mode(&invoice("in_live", NOON, "paid", 7000, "usd")),
        session(),
        payment("pi_1", MONDAY_LAST, "succeeded", 2000, None),
        payment("pi_2", NOON, "succeeded", 1000, Some("card_declined")),
        payment(
            "pi_3",
            NOON,
            "requires_payment_method",
            500,
            Some("card_declined"),
        ),
        payment("pi_left", NOON, "requires_payment_method", 500, None),
        refund("re_1", NOON, "succeeded"),
        refund("re_2", NOON, "failed"),
        // From November; from December to January; within January; never begun.
        subscription("sub_a", TUESDAY_FIRST - 57 * DAY, "active", None),
        subscription(
            "sub_b",
            TUESDAY_FIRST - 36 * DAY,
            "canceled",
            Some(TUESDAY_FIRST + 14 * DAY),
        ),
        subscription(
            "sub_c",
            TUESDAY_FIRST - 3 * DAY,
            "canceled",
            Some(TUESDAY_FIRST + 4 * DAY),
        ),
        subscription("sub_d", TUESDAY_FIRST - 3 * DAY, "incomplete_expired", Some(NOON)),
    ]
}

async fn filled() -> Rig {
    let rig = Rig::new().await;
    let crew = Crew::new(&rig, 1);
    crew.one_by_one([scenario().into_iter().map(Delivery::plain).collect()])
        .await;
    assert_eq!(
        rig.count("SELECT count(*) FROM events WHERE status = 'applied'")
            .await,
        16
    );
    // As if each had come a second after it happened, and taken two.
    rig.execute(
        "UPDATE events SET received_at = created + interval '1 second', settled_at = created + interval '3 seconds'",
    )
    .await;
    rig
}

/// A transaction as the role.
async fn as_reader(rig: &Rig) -> Transaction<'static, Postgres> {
    let mut tx = rig.pool.begin().await.expect("Postgres answers");
    let role = sqlx::raw_sql("SET LOCAL ROLE tollgate_reporting");
    role.execute(&mut *tx).await.expect("the role is there");
    tx
}

/// Rows as text, in their order.
async fn rows(rig: &Rig, sql: &str) -> Vec<String> {
    let mut tx = as_reader(rig).await;
    let sql = format!(
        "SELECT concat_ws(' ', VARIADIC ARRAY(SELECT value FROM json_each_text(row_to_json(t)))) FROM ({sql}) t"
    );
    let rows = sqlx::query_scalar(AssertSqlSafe(sql.clone())).fetch_all(&mut *tx);
    rows.await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_view_says_what_was_worked_out_by_hand() {
    let rig = filled().await;
    let revenue = "SELECT day, livemode, currency, payments, gross, refunds, refunded, net
                   FROM reporting.revenue_daily ORDER BY 1, 2, 3";
    let expected = [
        "2026-01-05 false usd 1 2000 0 0 2000",
        "2026-01-06 false eur 1 900 0 0 900",
        "2026-01-06 false usd 2 3500 1 300 3200",
        "2026-01-06 true usd 1 7000 0 0 7000",
    ];
    assert_eq!(rows(&rig, revenue).await, expected);

    let payments =
        "SELECT day, currency, tried, succeeded, failed, success_rate, amount_succeeded, amount_failed
                    FROM reporting.payments_daily ORDER BY 1, 2";
    let expected = [
        "2026-01-05 usd 1 1 0 1.0000 2000 0",
        "2026-01-06 usd 2 1 1 0.5000 1000 500",
    ];
    assert_eq!(rows(&rig, payments).await, expected);

    let churn =
        "SELECT month, active_at_start, began, ended, churned, churn_rate FROM reporting.churn_monthly
                 WHERE month <= '2026-02-01' ORDER BY 1";
    let expected = [
        "2025-11-01 0 1 0 0",
        "2025-12-01 1 1 0 0 0.0000",
        "2026-01-01 2 1 2 1 0.5000",
        "2026-02-01 1 0 0 0 0.0000",
    ];
    assert_eq!(rows(&rig, churn).await, expected);

    let webhooks =
        "SELECT day, livemode, received, applied, parked, success_rate, average_seconds, longest_seconds
                    FROM reporting.webhooks_daily WHERE day BETWEEN '2026-01-05' AND '2026-01-06' ORDER BY 1, 2";
    // What happened in the last second of Monday came a second later.
    let expected = [
        "2026-01-06 false 11 11 0 1.000000 2.000 2.000",
        "2026-01-06 true 1 1 0 1.000000 2.000 2.000",
    ];
    assert_eq!(rows(&rig, webhooks).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_and_webhooks_that_failed_are_counted() {
    let rig = filled().await;
    rig.execute(
        "SET session_replication_role = replica;
         INSERT INTO ledger_accounts (account, owner_kind, owner_id, balance)
         VALUES ('', 'user', 'ann', 10), ('', 'user', 'bob', 25), ('', 'user', 'cid', -5), ('', 'team', 'acme', 7);
         SET session_replication_role = origin;
         UPDATE events SET status = 'parked', reason = 'unreadable_object' WHERE id = 'evt_in_3';
         UPDATE events SET status = 'ignored', reason = 'livemode', settled_at = received_at + interval '13 seconds'
         WHERE id = 'evt_re_1'",
    )
    .await;
    let credits =
        "SELECT owner_kind, owners, credits, average, median, owing FROM reporting.credits ORDER BY 1";
    assert_eq!(
        rows(&rig, credits).await,
        ["team 1 7 7.00 7 0", "user 3 30 10.00 10 1"]
    );
    let webhooks = "SELECT received, applied, ignored, parked, success_rate, average_seconds, longest_seconds
                    FROM reporting.webhooks_daily WHERE day = '2026-01-06' AND NOT livemode";
    assert_eq!(rows(&rig, webhooks).await, ["11 9 1 1 0.909091 3.000 13.000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_reads_the_views_and_nothing_else() {
    let rig = filled().await;
    for view in VIEWS {
        rows(&rig, &format!("SELECT * FROM reporting.{view}")).await;
    }
    let rights = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('public', 'reporting') AND c.relkind IN ('r', 'p', 'v', 'm')";
    let may = |what: &str| format!("{rights} AND has_table_privilege('tollgate_reporting', c.oid, '{what}')");
    assert_eq!(rig.count(&may("SELECT")).await, VIEWS.len() as i64);
    assert_eq!(rig.count(&may("INSERT, UPDATE, DELETE, TRUNCATE")).await, 0);
    assert!(rig.count(rights).await > 40, "the catalogue was read");
    let functions = "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname = 'public' AND p.prosecdef AND p.prorettype <> 'trigger'::regtype AND has_function_privilege('tollgate_reporting', p.oid, 'EXECUTE')";
    assert_eq!(
        rig.count(functions).await,
        0,
        "functions with their owner's rights"
    );
    let login = "SELECT count(*) FROM pg_roles WHERE rolname = 'tollgate_reporting'
         AND (rolcanlogin OR rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole)";
    assert_eq!(rig.count(login).await, 0);
    let personal = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'reporting'
         AND column_name ~ '(user|customer|email|name|phone|address|owner_id|metadata|body)'";
    assert_eq!(rig.count(personal).await, 0);
}

/// Whether some scan of an index is bounded by time.
fn reads_a_range_of(plan: &str, index: &str) -> bool {
    let mut scans = plan
        .split("->  ")
        .filter(|node| node.contains(&format!("using {index} on")));
    scans.any(|node| {
        let condition = node.lines().find(|line| line.contains("Index Cond:"));
        condition.is_some_and(|line| line.contains(">=") && line.contains("<"))
    })
}

/// Which indexes are read for a day; on small tables only where nothing else is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_a_day_reads_that_day_of_an_index() {
    let rig = filled().await;
    let cases: [(&str, &[&str]); 3] = [
        (
            "revenue_daily",
            &[
                "invoices_paid",
                "checkout_sessions_paid",
                "payment_intents_sold",
                "refunds_created",
            ],
        ),
        ("payments_daily", &["payment_intents_created"]),
        ("webhooks_daily", &["events_received"]),
    ];
    for (view, indexes) in cases {
        let mut tx = rig.pool.begin().await.expect("Postgres answers");
        let off = sqlx::raw_sql("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off");
        off.execute(&mut *tx).await.expect("set");
        let sql = format!("EXPLAIN (VERBOSE) SELECT * FROM reporting.{view} WHERE day = '2026-01-06'");
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&mut *tx)
            .await
            .expect("a plan");
        let plan = plan.join("\n");
        assert!(
            plan.contains("Function Scan on pg_catalog.generate_series"),
            "{plan}"
        );
        assert!(!plan.contains("Seq Scan"), "{plan}");
        for index in indexes {
            assert!(reads_a_range_of(&plan, index), "{index}: {plan}");
        }
    }
}
