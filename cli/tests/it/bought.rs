//! Whole flows with nothing but our own processes: something is bought at the simulated Stripe, its webhooks come in
//! through ingest, and a worker draws the consequences.

use serde_json::{Value, json};
use shared::clock::Clock;
use shared::signature::Secret;
use simulator::ApiVersion;
use simulator::api::{Api, Limits, Webhooks};
use simulator::catalogue::Catalogue;
use simulator::deliveries::Hostility;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::state::state_json;
use crate::support::process::Tollgate;
use crate::support::{Rig, Running, SECRET, http, stripe, wait_for};

/// The user of these tests.
const USER: &str = "usr_bought";

/// Ingest, a worker, and a Stripe that sends them what happens.
struct Street {
    rig: Rig,
    api: Api,
    url: String,
    catalogue: Catalogue,
    worker: Running,
    _stop: DropGuard,
}

impl Street {
    async fn open(version: ApiVersion, hostility: Hostility) -> Self {
        let rig = Rig::new().await;
        let (ingest_url, stop) = ingest(&rig).await;
        let (mut api, url, catalogue) = stripe::serve(version, Limits::SANDBOX).await;
        let mut webhooks = Webhooks::new(&ingest_url, vec![Secret::new(SECRET).expect("usable")]);
        webhooks.hostility = hostility;
        api.send_webhooks(webhooks).expect("an address");
        api.shop().announce_catalogue();
        let env = rig.env_with(&[("STRIPE_API_KEY", "rk_test_1"), ("TOLLGATE_STRIPE_API_URL", &url)]);
        Self {
            worker: rig.worker_with(env),
            rig,
            api,
            url,
            catalogue,
            _stop: stop,
        }
    }

    async fn make(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let (status, body) = http::post_form(&format!("{}{path}", self.url), form).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// A session for one of a price, paid on its page.
    async fn buy(&self, mode: &str, price: &str, more: &[(&str, &str)]) {
        let form = [
            &[
                ("mode", mode),
                ("line_items[0][price]", price),
                ("line_items[0][quantity]", "1"),
                ("success_url", "http://shop.example/done?id={CHECKOUT_SESSION_ID}"),
            ],
            more,
        ];
        let session = self.make("/v1/checkout/sessions", &form.concat()).await;
        let page = session["url"].as_str().expect("a page");
        let (status, _) = http::post_form(page, &[("action", "pay")]).await;
        assert_eq!(status, 303);
    }

    async fn customer(&self) -> String {
        let customer = self.make("/v1/customers", &[("metadata[user_id]", USER)]).await;
        customer["id"].as_str().expect("an id").to_owned()
    }

    /// What Tollgate says once every event has had its effect.
    async fn state(&self) -> Value {
        let told = i64::try_from(self.api.shop().told()).expect("small");
        let (rig, kept) = (
            &self.rig,
            "SELECT count(*) FROM events WHERE rendering <> 'fetched'",
        );
        rig.wait_for_count(kept, told).await;
        rig.wait_until_drained().await;
        rig.wait_for_count("SELECT count(*) FROM marks", 0).await;
        rig.wait_for_count("SELECT count(*) FROM refetches WHERE given_up_at IS NULL", 0)
            .await;
        rig.wait_for_count("SELECT count(*) FROM marks", 0).await;
        assert_eq!(rig.count("SELECT count(*) FROM parked_events").await, 0);
        state_json(rig, &[]).await
    }

    async fn close(self) {
        self.worker.stop().await.expect("a clean end");
    }
}

/// An ingest in this process: its address, and what stops it.
pub async fn ingest(rig: &Rig) -> (String, DropGuard) {
    let config = ingest::IngestConfig::from_env(&rig.env()).expect("usable settings");
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
        .build_recorder()
        .handle();
    let server = ingest::Server::bind(config, Clock::system(), metrics)
        .await
        .expect("it listens");
    let url = format!("http://{}/webhooks/stripe", server.address());
    let stop = CancellationToken::new();
    tokio::spawn(server.run(stop.clone()));
    (url, stop.drop_guard())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_paid_on_the_page_grants_its_credits() {
    for version in ApiVersion::ALL {
        let street = Street::open(version, Hostility::USUAL).await;
        let customer = street.customer().await;
        let more = [
            ("customer", customer.as_str()),
            ("client_reference_id", USER),
            ("subscription_data[metadata][user_id]", USER),
        ];
        let pro = street.catalogue.pro.id.clone();
        street.buy("subscription", &pro, &more).await;
        let state = street.state().await;
        let user = &state["users"][USER];
        assert_eq!(
            (&user["state"], &user["entitled"]),
            (&json!("active"), &json!(true)),
            "{state}"
        );
        assert_eq!(user["credits"], 2000, "{version}: {state}");

        // A month later it is renewed.
        street.make("/simulator/clock", &[("advance", "2595600")]).await;
        let state = street.state().await;
        assert_eq!(state["users"][USER]["credits"], 4000, "{version}: {state}");

        // And then it is not paid any more.
        street.make("/simulator/payments", &[("decline", "1")]).await;
        street.make("/simulator/clock", &[("advance", "2595600")]).await;
        let state = street.state().await;
        let user = &state["users"][USER];
        assert_eq!(
            (&user["state"], &user["credits"]),
            (&json!("past_due"), &json!(4000)),
            "{state}"
        );
        street.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_top_up_grants_credits_and_its_refund_takes_them_back() {
    for version in ApiVersion::ALL {
        let street = Street::open(version, Hostility::USUAL).await;
        let customer = street.customer().await;
        let more = [
            ("customer", customer.as_str()),
            ("metadata[user_id]", USER),
            ("metadata[credits]", "1000"),
            ("payment_intent_data[metadata][user_id]", USER),
        ];
        let top_up = street.catalogue.top_up.id.clone();
        street.buy("payment", &top_up, &more).await;
        let state = street.state().await;
        assert_eq!(state["users"][USER]["credits"], 1000, "{version}: {state}");
        let payments = state["payments"].as_object().expect("payments");
        let intent = payments.keys().next().expect("one");

        let of = ("payment_intent", intent.as_str());
        street.make("/v1/refunds", &[of, ("amount", "250")]).await;
        assert_eq!(street.state().await["users"][USER]["credits"], 750, "a part");
        street.make("/v1/refunds", &[of]).await;
        let state = street.state().await;
        assert_eq!(state["users"][USER]["credits"], 0, "{version}: {state}");
        street.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_and_a_dispute_have_their_effect() {
    let street = Street::open(ApiVersion::V2026_10_28Endive, Hostility::USUAL).await;
    let customer = street.customer().await;
    let more = [
        ("customer", customer.as_str()),
        ("subscription_data[metadata][user_id]", USER),
    ];
    let (pro, team) = (street.catalogue.pro.id.clone(), street.catalogue.team.id.clone());
    street.buy("subscription", &pro, &more).await;
    let state = street.state().await;
    let subscription = state["subs"]
        .as_object()
        .expect("one")
        .keys()
        .next()
        .expect("one")
        .clone();
    let payment = state["payments"]
        .as_object()
        .expect("one")
        .keys()
        .next()
        .expect("one")
        .clone();

    street.make("/simulator/clock", &[("advance", "1296000")]).await;
    let form = [
        ("items[0][price]", team.as_str()),
        ("proration_behavior", "always_invoice"),
    ];
    street
        .make(&format!("/v1/subscriptions/{subscription}"), &form)
        .await;
    let state = street.state().await;
    let credits = state["users"][USER]["credits"].as_i64().expect("a number");
    // The clock goes on while this runs: a second is worth less than a credit.
    assert!(
        (3990..=4000).contains(&credits),
        "half of a month of Team instead of Pro: {state}"
    );

    let of = [("payment_intent", payment.as_str())];
    let dispute = street.make("/simulator/disputes", &of).await;
    let held = street.state().await["users"][USER]["credits"]
        .as_i64()
        .expect("a number");
    assert_eq!(credits - held, 2000, "the first month's");
    let id = dispute["id"].as_str().expect("an id");
    street
        .make(&format!("/simulator/disputes/{id}"), &[("status", "won")])
        .await;
    assert_eq!(street.state().await["users"][USER]["credits"], credits);
    street.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_serves_a_stripe() {
    let args = ["simulate", "--serve", "127.0.0.1:0", "--json", "--seed", "7"];
    let mut process = Tollgate::start(&args, &shared::config::Env::default());
    let ready = process.first_line(crate::support::PATIENCE).await;
    let url = ready["stripe_url"].as_str().expect("an address").to_owned();
    let price = ready["prices"][2]["id"].as_str().expect("an id").to_owned();
    let form = [
        ("mode", "payment"),
        ("line_items[0][price]", price.as_str()),
        ("line_items[0][quantity]", "2"),
        ("success_url", "http://shop.example/"),
    ];
    let (status, body) = http::post_form(&format!("{url}/v1/checkout/sessions"), &form).await;
    assert_eq!(status, 200, "{body}");
    let session: Value = serde_json::from_str(&body).expect("JSON");
    let page = session["url"].as_str().expect("a page");
    assert!(page.starts_with(&url), "{page}");
    let shown =
        wait_for(async || matches!(http::get(page).await, Some((200, page)) if page.contains("USD 20.00")));
    assert!(shown.await);
    assert_eq!(http::post_form(page, &[("action", "pay")]).await.0, 303);
    assert_eq!(ready["webhook_url"], Value::Null, "no secret, no webhooks");
}
