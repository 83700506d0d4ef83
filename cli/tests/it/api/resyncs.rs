//! One customer, asked of Stripe anew: through the API, and with `tollgate customer resync`.

use bytes::Bytes;
use hyper::Request;
use serde_json::{Value, json};

use super::street::Till;
use super::{Service, admin, service, user};
use crate::support::process::Tollgate;
use crate::support::{Running, http, wait_for};

/// An installation that sells, whose endpoint nobody at Stripe knows: nothing it sold has been told of.
pub struct Deaf {
    pub till: Till,
    api: Service,
    pub worker: Running,
}

impl Deaf {
    pub async fn open() -> Self {
        let till = Till::open().await;
        let key = [
            ("STRIPE_API_KEY", "rk_test_1"),
            ("TOLLGATE_STRIPE_API_URL", till.url.as_str()),
        ];
        Self {
            api: till.api().await,
            worker: till.rig.worker_with(till.rig.env_with(&key)),
            till,
        }
    }

    pub async fn buy(&self, wish: &Value) {
        let path = "/v1/users/me/checkout-sessions";
        let session = self.api.post(&user("ann"), path, wish).await;
        self.till.pay(&session).await;
    }

    /// What Stripe has, the newest first.
    async fn at_stripe(&self, collection: &str) -> Vec<Value> {
        let request = Request::get(format!("{}/v1/{collection}", self.till.url))
            .header("authorization", "Bearer sk_test_1");
        let answer = http::exchange(request, Bytes::new()).await.expect("an answer");
        let list: Value = serde_json::from_slice(answer.body()).expect("JSON");
        list["data"].as_array().cloned().unwrap_or_default()
    }

    pub async fn customer(&self) -> String {
        let customers = self.at_stripe("customers").await;
        customers[0]["id"].as_str().expect("an id").to_owned()
    }

    /// Resyncs through the API, to the end.
    pub async fn resync(&self, customer: &str) -> Value {
        let path = format!("/v1/admin/customers/{customer}/resyncs");
        let begun = self
            .api
            .post(&admin(), &path, &json!({"reason": "the endpoint was off"}))
            .await;
        assert_eq!(begun.status, 202, "{begun:?}");
        let path = format!("/v1/admin/resyncs/{}", begun.body["id"].as_str().expect("an id"));
        let mut last = Value::Null;
        let over = wait_for(async || {
            last = self.api.get(&admin(), &path).await.body;
            last["state"] == "over"
        });
        assert!(over.await, "{last}");
        last
    }

    async fn wait_for_credits(&self, credits: i64) {
        let mut last = Value::Null;
        let reached = wait_for(async || {
            last = self.api.get(&service(), "/v1/users/ann/credits").await.body;
            last["available"] == credits
        });
        assert!(reached.await, "waited for {credits}, last saw {last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_event_told_is_asked_for() {
    let deaf = Deaf::open().await;
    deaf.buy(&json!({"plan": "pro"})).await;
    deaf.buy(&json!({"package": "credits_1000"})).await;
    let customer = deaf.customer().await;
    let first = deaf.resync(&customer).await;
    assert_eq!(
        (&first["asked"], &first["given_up"], &first["trouble"]),
        (&first["done"], &json!(0), &json!([])),
        "{first}"
    );
    assert_eq!(first["changed"], first["objects"], "all of it is new: {first}");
    deaf.wait_for_credits(3000).await;
    let mut billing = Value::Null;
    let active = wait_for(async || {
        billing = deaf.api.get(&user("ann"), "/v1/users/me/billing").await.body;
        billing["state"] == "active"
    });
    assert!(active.await, "{billing}");
    assert_eq!(
        (
            &billing["subscription"]["plan"],
            &billing["invoices"][0]["status"]
        ),
        (&json!("pro"), &json!("paid")),
        "{billing}"
    );

    // What somebody did in Stripe's dashboard.
    let payments = deaf.at_stripe("payment_intents").await;
    let package = payments
        .iter()
        .find(|it| it["amount"] == 1000)
        .expect("paid above");
    let refund = [
        ("payment_intent", package["id"].as_str().expect("an id")),
        ("amount", "250"),
    ];
    assert_eq!(deaf.till.post("/v1/refunds", &refund).await.0, 200);
    let second = deaf.resync(&customer).await;
    assert_eq!(second["changed"], 2, "the charge and its refund: {second}");
    deaf.wait_for_credits(2750).await;
    let third = deaf.resync(&customer).await;
    assert_eq!(third["changed"], 0, "{third}");

    let log = deaf.api.get(&admin(), "/v1/admin/audit-log?user=ann").await.body;
    assert_eq!(
        (
            &log["deeds"][0]["action"],
            &log["deeds"][0]["subject"],
            &log["deeds"][0]["reason"]
        ),
        (
            &json!("customer.resync"),
            &json!(customer),
            &json!("the endpoint was off")
        ),
        "{log}"
    );
    deaf.worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_does_the_same_and_looks_on() {
    let deaf = Deaf::open().await;
    deaf.buy(&json!({"package": "credits_1000"})).await;
    let customer = deaf.customer().await;
    let env = deaf.till.rig.env();
    let dry = Tollgate::run(&["customer", "resync", &customer, "--dry-run", "--json"], &env).await;
    let said: Value = serde_json::from_str(&dry.stdout).unwrap_or_else(|error| panic!("{error}: {dry:?}"));
    assert_eq!(
        (dry.code, &said["asks_for"][0], &said["known"]["customer"]),
        (Some(0), &json!("customer"), &json!(0)),
        "{dry:?}"
    );
    assert_eq!(deaf.till.rig.count("SELECT count(*) FROM resyncs").await, 0);

    let ended = Tollgate::run(
        &["customer", "resync", &customer, "--json", "--timeout", "60s"],
        &env,
    )
    .await;
    let said: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    assert_eq!(
        (ended.code, &said["over"], &said["given_up"], &said["done"]),
        (Some(0), &json!(true), &json!(0), &said["asked"]),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("questions answered"), "{ended:?}");
    deaf.wait_for_credits(1000).await;
    let log = deaf.api.get(&admin(), "/v1/admin/audit-log").await.body;
    assert_eq!(
        (&log["deeds"][0]["role"], &log["deeds"][0]["action"]),
        (&json!("operator"), &json!("customer.resync")),
        "{log}"
    );

    let nobody = Tollgate::run(&["customer", "resync", "cus_nobody"], &env).await;
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.stderr.contains("customer cus_nobody: "), "{nobody:?}");
    deaf.worker.stop().await.expect("a clean end");
}

#[tokio::test]
async fn only_staff_resync_and_what_is_begun_is_begun_once() {
    let till = Till::open().await;
    let api = till.api().await;
    let path = "/v1/admin/customers/cus_1/resyncs";
    let good = json!({"reason": "x"});
    for token in [service(), user("ann")] {
        assert_eq!(api.post(&token, path, &good).await.status, 403);
        assert_eq!(api.get(&token, "/v1/admin/resyncs/rsy_1").await.status, 403);
    }
    assert_eq!(
        api.post(&admin(), path, &json!({"reason": " "})).await.status,
        400
    );
    let odd = "/v1/admin/customers/cus%2F1/resyncs";
    assert_eq!(api.post(&admin(), odd, &good).await.status, 404);
    assert_eq!(
        api.get(&admin(), "/v1/admin/resyncs/rsy_1").await.code(),
        "not_found"
    );
    let one = api.post_with_key(&admin(), path, "one", &good).await;
    till.rig.execute("DELETE FROM api_requests").await;
    let again = api.post_with_key(&admin(), path, "one", &good).await;
    assert_eq!((one.status, &one.body), (202, &again.body));
    assert_eq!(till.rig.count("SELECT count(*) FROM resyncs").await, 1);
    let shown = format!("/v1/admin/resyncs/{}", one.body["id"].as_str().expect("an id"));
    let shown = api.get(&admin(), &shown).await.body;
    assert_eq!(
        (&shown["state"], &shown["asked"]),
        (&json!("waiting"), &json!(0)),
        "no worker runs: {shown}"
    );
}
