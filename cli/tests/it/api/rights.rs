//! What the database itself refuses, whatever a handler forgets.

use domain::credits::Owner;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use store::Store;
use store::api::{Actor, ActorRole};

use crate::ledger::TopUp;
use crate::support::Rig;

/// A login of its own that is only a member, as in production.
async fn api_login(rig: &Rig) -> String {
    let login = format!("api_{}", crate::support::unique());
    rig.execute(&format!(
        "CREATE ROLE {login} LOGIN PASSWORD 'word' IN ROLE tollgate_api"
    ))
    .await;
    let (scheme, rest) = rig.database_url.split_once("://").expect("an URL");
    let (_, place) = rest.split_once('@').expect("a user");
    format!("{scheme}://{login}:word@{place}")
}

async fn two_users(rig: &Rig) {
    let worker = rig.worker();
    for user in ["ann", "bob"] {
        rig.enqueue([&TopUp::new(user, &Owner::User(user.into()), 100).event()])
            .await;
    }
    rig.wait_for_count(
        "SELECT count(*) FROM ledger_accounts WHERE owner_kind = 'user' AND balance = 100",
        2,
    )
    .await;
    worker.stop().await.expect("it stops");
}

/// Everything a session of the API's login may see of a table, as `role` and `user`.
async fn seen(connection: &mut PgConnection, role: &str, user: &str, table: &str) -> i64 {
    let mut tx = connection.begin().await.expect("a transaction");
    sqlx::query(
        "SELECT set_config('tollgate.actor_account', '', true), set_config('tollgate.actor_role', $1, true),
                set_config('tollgate.actor_user', $2, true)",
    )
    .bind(role)
    .bind(user)
    .execute(&mut *tx)
    .await
    .expect("settings");
    let sql = format!("SELECT count(*) FROM {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(&mut *tx)
        .await
        .expect("a number")
}

#[tokio::test]
async fn a_user_sees_their_own_rows_and_nobody_elses() {
    let rig = Rig::new().await;
    two_users(&rig).await;
    let login = api_login(&rig).await;
    let mut connection = PgConnection::connect(&login).await.expect("it may log in");
    // Tables that have rows of both, how many a user sees, how many the application does.
    let expected = [
        ("users", 1, 2),
        ("checkout_sessions", 1, 2),
        ("money_sources", 1, 2),
        ("ledger_transfers", 1, 2),
        ("ledger_entries", 2, 4),
        ("events", 0, 2),
        ("outbox", 0, 2),
    ];
    for (table, own, all) in expected {
        assert_eq!(
            seen(&mut connection, "user", "ann", table).await,
            own,
            "{table}, ann"
        );
        assert_eq!(
            seen(&mut connection, "service", "", table).await,
            all,
            "{table}, the application"
        );
        assert_eq!(
            seen(&mut connection, "user", "carl", table).await,
            0,
            "{table}, a stranger"
        );
        assert_eq!(
            seen(&mut connection, "user", "", table).await,
            0,
            "{table}, nobody"
        );
        assert_eq!(
            seen(&mut connection, "", "ann", table).await,
            0,
            "{table}, without a role"
        );
        let sql = format!("SELECT count(*) FROM {table}");
        let unasked: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .expect("a number");
        assert_eq!(unasked, 0, "{table}, before anybody was named");
    }
}

#[tokio::test]
async fn every_table_with_somebodys_rows_is_guarded() {
    let rig = Rig::new().await;
    // What is for everybody to see, or of the installation itself.
    let open =
        "'_sqlx_migrations', 'schema_compatibility', 'products', 'prices', 'price_terms', 'catalog_offers',
                'api_requests', 'switches', 'ledger_checkpoints', 'ledger_check', 'ledger_violations'";
    let unguarded = format!(
        "SELECT string_agg(relname::text, ', ') FROM pg_class
         WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND NOT relrowsecurity
           AND relname NOT IN ({open})"
    );
    assert_eq!(rig.text(&unguarded).await, None);
}

#[tokio::test]
async fn the_apis_role_cannot_write_what_follows_from_events() {
    let rig = Rig::new().await;
    two_users(&rig).await;
    let login = api_login(&rig).await;
    let mut connection = PgConnection::connect(&login).await.expect("it may log in");
    let refused = [
        "UPDATE users SET entitled = true",
        "UPDATE ledger_accounts SET balance = 1000000",
        "INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount)
         SELECT '', 'x', 1, 'adjust', 1, 2, 5",
        "DELETE FROM events",
        "INSERT INTO marks (account, kind, object_id) VALUES ('', 'user', 'ann')",
        "UPDATE audit_log SET reason = 'another'",
        "UPDATE parked_events SET state = 'discarded'",
        "UPDATE dead_jobs SET done = 9",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "ALTER ROLE tollgate_api BYPASSRLS",
        "CREATE TABLE mine ()",
    ];
    for sql in refused {
        let result = sqlx::raw_sql(sql).execute(&mut connection).await;
        let error = result.expect_err(sql).to_string();
        assert!(
            error.contains("permission denied") || error.contains("must be "),
            "{sql}: {error}"
        );
    }
    // Only staff ask for replays.
    let ask = "SELECT set_config('tollgate.actor_account', '', true), set_config('tollgate.actor_role', 'service', true);
         INSERT INTO dead_jobs (account, deed, of_state, ids, until, why, actor, counted)
         VALUES ('', 'replay', 'waiting', '{}', now(), 'x', 'x', 0)";
    let refused = sqlx::raw_sql(ask).execute(&mut connection).await;
    let error = refused.expect_err("the application").to_string();
    assert!(error.contains("row-level security"), "{error}");
    let past_the_api = "SELECT set_config('tollgate.actor_account', '', true), set_config('tollgate.actor_role', 'admin', true);
         SELECT * FROM spend_credits('', 'ann', 1, 'k', NULL)";
    let error = sqlx::raw_sql(past_the_api)
        .execute(&mut connection)
        .await
        .expect_err("not even staff")
        .to_string();
    assert!(error.contains("permission denied"), "{error}");
    // The one way to spend looks at who asks.
    let spend = "SELECT outcome FROM api_spend('', 'ann', 1, 'k', NULL)";
    let error = sqlx::raw_sql(spend)
        .execute(&mut connection)
        .await
        .expect_err("nobody")
        .to_string();
    assert!(error.contains("only the application may spend"), "{error}");
}

#[tokio::test]
async fn a_handler_that_forgets_to_ask_learns_nothing() {
    let rig = Rig::new().await;
    two_users(&rig).await;
    let store = Store::for_api(&rig.database_url, 1).expect("an URL");
    store.check_api_role().await.expect("it protects");
    let bob = Actor {
        account: String::new(),
        role: ActorRole::User,
        subject: "bob".into(),
    };
    let mut tx = store.begin_as(&bob).await.expect("a transaction");
    assert_eq!(tx.position_of("ann").await.expect("an answer").balance, 0);
    assert_eq!(tx.balance_of("ann").await.expect("an answer").own, 0);
    let history = tx
        .history(&Owner::User("ann".into()), None, 10)
        .await
        .expect("an answer");
    assert!(history.entries.is_empty());
    assert_eq!(tx.balance_of("bob").await.expect("an answer").own, 100);
    assert!(
        tx.spend("bob", 1, "k", None).await.is_err(),
        "a user does not spend"
    );
    drop(tx);
    // The connection goes back to the pool as nobody.
    let elsewhere = Actor {
        account: "acct_2".into(),
        role: ActorRole::Admin,
        subject: "staff".into(),
    };
    let mut tx = store.begin_as(&elsewhere).await.expect("a transaction");
    assert_eq!(
        tx.balance_of("bob").await.expect("an answer").own,
        0,
        "another account's staff"
    );
}

#[tokio::test]
async fn a_role_that_does_not_protect_is_refused() {
    let rig = Rig::new().await;
    let store = rig.store();
    let error = store.check_api_role().await.expect_err("a superuser").to_string();
    assert!(error.contains("bypass row-level security"), "{error}");
}

#[tokio::test]
async fn staff_may_stop_a_replay_and_nothing_else() {
    let rig = Rig::new().await;
    let login = api_login(&rig).await;
    let mut connection = PgConnection::connect(&login).await.expect("it may log in");
    rig.execute(
        "INSERT INTO dead_jobs (account, deed, of_state, ids, until, why, actor, counted)
         VALUES ('', 'replay', 'waiting', '{}', now(), 'x', 'x', 0)",
    )
    .await;
    let stopped = "SELECT count(*) FROM dead_jobs WHERE state = 'stopped'";
    for (role, state, outcome) in [
        ("admin", "done", Err("row-level security")),
        ("service", "stopped", Ok(0)),
        ("admin", "stopped", Ok(1)),
        // What is over is over.
        ("admin", "stopped", Ok(1)),
    ] {
        let sql = format!(
            "SELECT set_config('tollgate.actor_account', '', true), set_config('tollgate.actor_role', '{role}', true);
             UPDATE dead_jobs SET state = '{state}', finished_at = now()"
        );
        let result = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
        match outcome {
            Err(said) => assert!(
                result.expect_err(role).to_string().contains(said),
                "{role} {state}"
            ),
            Ok(count) => {
                result.expect("nothing to refuse");
                assert_eq!(rig.count(stopped).await, count, "{role} {state}");
            }
        }
    }
}
