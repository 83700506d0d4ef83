//! All that stands between a buyer and their credits: the API, the simulated Stripe, ingest, a worker.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::signature::Secret;
use simulator::ApiVersion;
use simulator::api::{Api, Limits, Webhooks};
use simulator::catalogue::Catalogue;
use store::OfferRow;
use tokio_util::sync::DropGuard;

use super::{Answer, JWT_SECRET, Service, service};
use crate::bought::ingest;
use crate::support::{Rig, Running, SECRET, http, stripe, wait_for};

/// A month and an hour, in which a renewal is paid, or not.
pub const MONTH: u32 = 2_595_600;

/// The simulated Stripe, and an installation that may sell through it.
pub struct Till {
    pub rig: Rig,
    pub stripe: Api,
    pub url: String,
    pub catalogue: Catalogue,
}

/// The same with everything that makes credits of it.
pub struct Street {
    pub till: Till,
    pub api: Arc<Service>,
    worker: Running,
    _ingest: DropGuard,
}

impl Till {
    pub async fn open() -> Self {
        let rig = Rig::new().await;
        let (stripe, url, catalogue) = stripe::serve(ApiVersion::V2026_10_28Endive, Limits::NONE).await;
        let till = Self {
            rig,
            stripe,
            url,
            catalogue,
        };
        till.sell().await;
        till
    }

    /// What is on sale, by names of our own.
    async fn sell(&self) {
        let offer = |name: &str, kind: &str, price: &str, credits, active| OfferRow {
            name: name.to_owned(),
            kind: kind.to_owned(),
            price_id: price.to_owned(),
            product_id: None,
            credits,
            active,
            definition: if kind == "package" {
                json!({"unit_amount": 1000, "currency": "usd"}).to_string()
            } else {
                "{}".to_owned()
            },
        };
        let shop = &self.catalogue;
        let offers = [
            offer("pro", "plan", &shop.pro.id, 2000, true),
            offer("team", "plan", &shop.team.id, 6000, true),
            offer("credits_1000", "package", &shop.top_up.id, 1000, true),
            offer("credits_old", "package", &shop.top_up_jpy.id, 1000, false),
        ];
        let store = self.rig.store();
        let mut tx = store.begin().await.expect("a transaction");
        tx.write_catalog("", &offers, &[]).await.expect("written");
        tx.commit().await.expect("committed");
    }

    /// Settings of an API that sells here.
    pub fn settings(&self) -> [(&str, &str); 8] {
        [
            ("TOLLGATE_API_JWT_SECRET", JWT_SECRET),
            ("STRIPE_API_KEY", "sk_test_1"),
            ("TOLLGATE_STRIPE_API_URL", &self.url),
            (
                "TOLLGATE_API_SUCCESS_URL",
                "https://shop.example/done?id={CHECKOUT_SESSION_ID}",
            ),
            ("TOLLGATE_API_CANCEL_URL", "https://shop.example/left"),
            ("TOLLGATE_API_PORTAL_RETURN_URL", "https://shop.example/account"),
            ("TOLLGATE_API_TOPUP_CREDITS_PER_100", "200"),
            ("TOLLGATE_API_TOPUP_MAX", "5000"),
        ]
    }

    pub async fn api(&self) -> Service {
        Service::start_with(&self.rig, &self.settings()).await
    }

    /// How many objects there are of a kind at Stripe.
    pub fn count(&self, object: &str) -> usize {
        self.stripe.shop().counts().get(object).copied().unwrap_or(0)
    }

    /// As a browser, or as Stripe's dashboard: status and JSON.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.url)
        };
        let (status, body) = http::post_form(&url, form).await;
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// Pays on the page of a session.
    pub async fn pay(&self, session: &Answer) {
        let page = session.body["url"]
            .as_str()
            .unwrap_or_else(|| panic!("{session:?}"));
        assert_eq!(self.post(page, &[("action", "pay")]).await.0, 303);
    }

    pub async fn advance(&self, seconds: u32) {
        let seconds = seconds.to_string();
        assert_eq!(
            self.post("/simulator/clock", &[("advance", &seconds)]).await.0,
            200
        );
    }
}

impl Street {
    pub async fn open() -> Self {
        let mut till = Till::open().await;
        let (ingest_url, stop) = ingest(&till.rig).await;
        let secret = Secret::new(SECRET).expect("usable");
        till.stripe
            .send_webhooks(Webhooks::new(&ingest_url, vec![secret]))
            .expect("an address");
        till.stripe.shop().announce_catalogue();
        Self {
            api: Arc::new(till.api().await),
            worker: till.rig.worker(),
            till,
            _ingest: stop,
        }
    }

    /// Begins a checkout as a user.
    pub async fn checkout(&self, token: &str, body: &Value) -> Answer {
        self.api.post(token, "/v1/users/me/checkout-sessions", body).await
    }

    /// Waits until a question is answered with that.
    pub async fn wait(&self, path: &str, member: &str, expected: &Value) {
        let mut last = Value::Null;
        let reached = wait_for(async || {
            last = self.api.get(&service(), path).await.body;
            last.pointer(member) == Some(expected)
        });
        assert!(
            reached.await,
            "{path}: waited for {member} {expected}, last saw {last}"
        );
    }

    /// Waits until a user can spend so many credits.
    pub async fn wait_for_credits(&self, user: &str, credits: i64) {
        self.wait(
            &format!("/v1/users/{user}/credits"),
            "/available",
            &json!(credits),
        )
        .await;
    }

    /// From now on nothing changes but for what the API does.
    pub async fn without_worker(self) -> (Till, Arc<Service>) {
        self.worker.stop().await.expect("a clean end");
        (self.till, self.api)
    }

    pub async fn close(self) {
        self.worker.stop().await.expect("a clean end");
    }
}
