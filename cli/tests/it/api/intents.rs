//! Killed between Stripe's answer and the commit, again and again: Stripe holds one object for each intent.

use api::ApiConfig;
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use simulator::api::Faults;
use sqlx::PgConnection;
use tokio::runtime::Runtime;

use super::flow_purchases::package;
use super::street::{Street, Till};
use super::{Service, answered, service};
use crate::support::{Rig, wait_for};

/// How often the API is killed on each part of a request's way.
const KILLS: usize = 10;

/// Whoever is about to commit that an intent is done waits for whoever holds the lock of its kind.
const STAND_STILL: &str = "
    CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(hashtext(NEW.kind));
        RETURN NEW;
    END $$;
    CREATE TRIGGER stand_still BEFORE UPDATE ON stripe_intents
        FOR EACH ROW WHEN (NEW.state = 'done') EXECUTE FUNCTION stand_still()";

/// A request, and the kinds of intents on its way, in their order.
struct Deed {
    path: String,
    body: Value,
    way: &'static [&'static str],
}

impl Deed {
    fn new(path: &str, body: Value, way: &'static [&'static str]) -> Self {
        let path = path.to_owned();
        Self { path, body, way }
    }

    /// Everything that Stripe is asked to do; `payment` was paid by ann.
    fn all(payment: &str) -> [Self; 8] {
        let package = json!({"package": "credits_1000"});
        let refund = |amount: Value| json!({"amount": amount, "reason": "duplicate", "note": "a test"});
        let refunds = format!("/v1/payments/{payment}/refunds");
        let sessions = |user: &str| format!("/v1/users/{user}/checkout-sessions");
        [
            Self::new(&sessions("one"), package.clone(), &["customer", "buy"]),
            Self::new(
                &sessions("two"),
                json!({"topup": {"amount": 1000}}),
                &["customer", "buy"],
            ),
            Self::new(
                "/v1/users/three/payment-intents",
                package,
                &["customer", "payment"],
            ),
            Self::new(
                &sessions("four"),
                json!({"plan": "pro"}),
                &["customer", "subscribe"],
            ),
            // There is one at a time, so the other one ends.
            Self::new(
                &sessions("four"),
                json!({"plan": "team"}),
                &["expire", "subscribe"],
            ),
            Self::new(&refunds, refund(json!(400)), &["refund"]),
            Self::new(&refunds, refund(Value::Null), &["refund"]),
            Self::new("/v1/users/ann/portal-sessions", json!({}), &["portal"]),
        ]
    }
}

/// An API in a runtime of its own, which can be killed: each of its tasks ends where it stands.
struct Doomed {
    service: Service,
    runtime: Runtime,
}

impl Doomed {
    async fn start(config: ApiConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let service = runtime.spawn(Service::serve(config)).await.expect("it starts");
        Self { service, runtime }
    }

    /// Sends a request that nobody will wait for.
    fn send(&self, path: &str, key: &str, body: &Value) {
        let request = self
            .service
            .request(Method::POST, path, Some(&service()))
            .header("Idempotency-Key", key);
        let body = Bytes::from(body.to_string());
        tokio::spawn(crate::support::http::exchange(request, body));
    }

    /// As SIGKILL would, and its connections with it.
    async fn kill(self, rig: &Rig) {
        self.runtime.shutdown_background();
        drop(self.service);
        let gone = wait_for(async || {
            let left = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name = 'tollgate-api'";
            rig.count(left).await == 0
        });
        assert!(gone.await, "Postgres ends what nobody waits for");
        // As time would: leases run out, and the client may try again.
        rig.execute(
            "UPDATE stripe_intents SET leased_until = NULL, due_at = now() WHERE state = 'open'; DELETE FROM api_requests",
        )
        .await;
    }
}

/// Somebody has Stripe's answer, and is about to commit it.
async fn wait_until_answered(rig: &Rig) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'tollgate-api' AND wait_event = 'advisory'";
    assert!(
        wait_for(async || rig.count(waiting).await > 0).await,
        "Stripe answers"
    );
}

/// Takes, or lets go, the lock of each kind.
async fn hold(held: &mut PgConnection, what: &str, kinds: &[&str]) {
    for kind in kinds {
        let sql = format!("SELECT {what}(hashtext('{kind}'))");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut *held)
            .await
            .expect("it answers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_a_hundred_times_stripe_holds_one_object_for_each_intent() {
    let street = Street::open().await;
    let payment = package(&street).await;
    let (till, api) = street.without_worker().await;
    api.stop();
    let rig = &till.rig;
    let made_before = till.stripe.shop().tally().by_key.len();
    rig.execute(STAND_STILL).await;
    let mut held = rig.pool.acquire().await.expect("a connection");
    let config = Service::config(rig, &till.settings());
    let mut kills = 0;
    for (number, deed) in Deed::all(&payment).iter().enumerate() {
        let key = format!("key-{number}");
        hold(&mut held, "pg_advisory_lock", deed.way).await;
        for kind in deed.way {
            for _ in 0..KILLS {
                let api = Doomed::start(config.clone()).await;
                api.send(&deed.path, &key, &deed.body);
                wait_until_answered(rig).await;
                api.kill(rig).await;
                kills += 1;
            }
            hold(&mut held, "pg_advisory_unlock", &[kind]).await;
        }
        let api = Service::serve(config.clone()).await;
        let answer = api.post_with_key(&service(), &deed.path, &key, &deed.body).await;
        assert_eq!(answer.status, 200, "{} {}: {answer:?}", deed.path, deed.body);
        api.stop();
    }
    assert!(kills >= 100, "{kills} kills");
    let attempts = rig
        .count("SELECT sum(attempts)::bigint FROM stripe_intents")
        .await;
    assert!(attempts >= kills, "{attempts} attempts");
    let ways = "SELECT string_agg(concat_ws(' ', n, kind, state), ', ' ORDER BY kind, state)
                FROM (SELECT kind, state, count(*) AS n FROM stripe_intents GROUP BY kind, state) AS counts";
    assert_eq!(
        rig.text(ways).await.as_deref(),
        // One customer and one package are ann's, who bought undisturbed.
        Some(
            "3 buy done, 5 customer done, 1 expire done, 1 payment done, 1 portal done, 2 refund done, 2 subscribe done"
        )
    );
    let shop = till.stripe.shop();
    let by_key = &shop.tally().by_key;
    // All but the one that ended a session made something.
    assert_eq!(by_key.len() - made_before, 12, "{by_key:?}");
    for (key, made) in by_key {
        assert!(made.values().all(|count| *count == 1), "{key}: {made:?}");
    }
    let counts = shop.counts();
    let of = |object: &str| counts.get(object).copied().unwrap_or(0);
    assert_eq!(
        (of("customer"), of("checkout.session"), of("refund")),
        (5, 5, 2),
        "{counts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_comes_back_for_is_finished_all_the_same() {
    let till = Till::open().await;
    let rig = &till.rig;
    rig.execute(STAND_STILL).await;
    let mut held = rig.pool.acquire().await.expect("a connection");
    hold(&mut held, "pg_advisory_lock", &["buy"]).await;
    let config = Service::config(rig, &till.settings());
    let api = Doomed::start(config.clone()).await;
    api.send(
        "/v1/users/ann/checkout-sessions",
        "one",
        &json!({"package": "credits_1000"}),
    );
    wait_until_answered(rig).await;
    api.kill(rig).await;
    hold(&mut held, "pg_advisory_unlock", &["buy"]).await;

    let _api = Service::serve(config).await;
    rig.wait_for_count("SELECT count(*) FROM stripe_intents WHERE state = 'done'", 2)
        .await;
    assert_eq!((till.count("customer"), till.count("checkout.session")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_stripe_keeps_is_overcome() {
    let street = Street::open().await;
    let api = &street.api;
    let late = |on: &str| Faults {
        on: Some(on.to_owned()),
        late_first: 1,
        ..Faults::default()
    };
    // Done, and answered with 500 for as long as anybody asks under that key.
    let path = "/v1/users/ann/checkout-sessions";
    let stripe = &street.till.stripe;
    stripe.set_faults(late("customers"));
    let wish = json!({"package": "credits_1000"});
    let begun = answered(async || api.post_with_key(&service(), path, "one", &wish).await).await;
    assert_eq!(street.till.count("customer"), 1, "an event told of it");
    street.till.pay(&begun).await;
    street.wait_for_credits("ann", 1000).await;

    stripe.set_faults(late("checkout/sessions"));
    let plan = json!({"plan": "pro"});
    answered(async || api.post(&service(), path, &plan).await).await;

    stripe.set_faults(late("refunds"));
    let session = begun.body["id"].as_str().expect("an id");
    let shown = api.get(&service(), &format!("{path}/{session}")).await.body;
    let refunds = format!(
        "/v1/payments/{}/refunds",
        shown["payment_id"].as_str().expect("one")
    );
    let body = json!({"amount": 400, "reason": "duplicate", "note": "a test"});
    let refund = answered(async || api.post_with_key(&service(), &refunds, "two", &body).await).await;
    assert_eq!(
        (&refund.body["amount"], street.till.count("refund")),
        (&json!(400), 1)
    );
    street.wait_for_credits("ann", 600).await;
    street.close().await;
}

#[tokio::test]
async fn what_is_too_old_is_not_asked_for_again() {
    let till = Till::open().await;
    let rig = &till.rig;
    rig.execute(
        "INSERT INTO stripe_intents (account, id, kind, user_id, purpose, wish, target, form, due_at, created_at)
         VALUES ('', 'old', 'customer', 'ann', 'ann', '{}', '', 'metadata[user_id]=ann', now(), now() - interval '1 day')",
    )
    .await;
    let api = till.api().await;
    rig.wait_for_text("SELECT state FROM stripe_intents WHERE id = 'old'", "lost")
        .await;
    assert_eq!(till.count("customer"), 0, "a key of yesterday may do it twice");
    let path = "/v1/users/ann/checkout-sessions";
    let answer = api
        .post(&service(), path, &json!({"package": "credits_1000"}))
        .await;
    assert_eq!((answer.status, till.count("customer")), (200, 1), "{answer:?}");
}
