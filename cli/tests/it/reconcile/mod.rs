//! Stripe's list of events, compared with what is here: what is withheld is found by id and filled in, and silence has a
//! reason.

mod command;
mod objects;
mod report;
mod silence;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use shared::config::Env;
use shared::signature::Secret;
use simulator::ApiVersion;
use simulator::api::{Api, Limits, Webhooks};
use store::coverage::Coverage;
use tokio_util::sync::DropGuard;

use crate::bought::ingest;
use crate::support::{Rig, SECRET, http, stripe, wait_for};

/// A Stripe in which customers are made, and an ingest that is told of it.
pub struct Town {
    pub rig: Rig,
    pub stripe: Api,
    pub url: String,
    /// A price by the month.
    pub plan: String,
    _ingest: DropGuard,
}

/// Compared every second. Grace is so long that everything has arrived that will; it passes at Stripe alone.
const AT_ONCE: [(&str, &str); 4] = [
    ("TOLLGATE_RECONCILE", "repair"),
    ("TOLLGATE_RECONCILE_SECONDS", "1"),
    ("TOLLGATE_RECONCILE_GRACE_SECONDS", "60"),
    ("TOLLGATE_RECONCILE_SILENCE_SECONDS", "30"),
];
/// Longer than both, seconds.
const A_WHILE: &str = "100";

impl Town {
    pub async fn open() -> Self {
        let rig = Rig::new().await;
        let (ingest_url, stop) = ingest(&rig).await;
        let (mut stripe, url, catalogue) = stripe::serve(ApiVersion::V2026_10_28Endive, Limits::NONE).await;
        let secret = Secret::new(SECRET).expect("usable");
        let mut webhooks = Webhooks::new(&ingest_url, vec![secret]);
        // Ingest may not be ready for the first.
        webhooks.retry.first = Duration::from_millis(20);
        stripe.send_webhooks(webhooks).expect("an address");
        Self {
            rig,
            stripe,
            url,
            plan: catalogue.pro.id,
            _ingest: stop,
        }
    }

    /// Settings of a worker, or of a command.
    pub fn env(&self, more: &[(&str, &str)]) -> Env {
        let key = [
            ("STRIPE_API_KEY", "rk_test_1"),
            ("TOLLGATE_STRIPE_API_URL", self.url.as_str()),
        ];
        self.rig.env_with(&[&key, &AT_ONCE[..], more].concat())
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let (status, body) = http::post_form(&format!("{}{path}", self.url), form).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// So many customers are made: an event each.
    pub async fn customers(&self, count: usize) {
        for number in 0..count {
            let name = format!("usr_{number}");
            self.post("/v1/customers", &[("metadata[user_id]", name.as_str())])
                .await;
        }
    }

    /// So much time passes at Stripe that what happened before has arrived, or will not.
    pub async fn pass(&self) {
        self.post("/simulator/clock", &[("advance", A_WHILE)]).await;
    }

    /// Waits until so many events have arrived, and then until they can be judged.
    pub async fn arrive(&self, events: i64) {
        let arrived = "SELECT count(*) FROM events WHERE endpoint <> 'stripe-api'";
        self.rig.wait_for_count(arrived, events).await;
        self.pass().await;
    }

    /// From now on that share of events is answered by somebody else.
    pub async fn lose(&self, share: &str) {
        self.post("/simulator/webhooks", &[("lose", share), ("seed", "7")])
            .await;
    }

    pub async fn turn_endpoint(&self, on: bool) {
        let id = self.stripe.shop().endpoint_ids().remove(0);
        let disabled = if on { "false" } else { "true" };
        self.post(&format!("/v1/webhook_endpoints/{id}"), &[("disabled", disabled)])
            .await;
    }

    /// Ids of events that were lost, as the simulated Stripe knows.
    pub fn lost(&self) -> BTreeSet<String> {
        self.stripe.shop().lost_webhooks().iter().cloned().collect()
    }

    /// Ids of all events, as the simulated Stripe knows.
    pub fn told(&self) -> BTreeSet<String> {
        self.stripe.shop().event_ids().into_iter().collect()
    }

    /// Ids of holes, as the table has them.
    pub async fn holes(&self) -> BTreeSet<String> {
        let ids: Vec<String> = sqlx::query_scalar("SELECT event_id FROM coverage_holes")
            .fetch_all(&self.rig.pool)
            .await
            .expect("readable");
        ids.into_iter().collect()
    }

    /// How far the platform's account is, once that is as wanted.
    pub async fn wait_for_coverage(&self, wanted: impl Fn(&Coverage) -> bool) -> Coverage {
        let store = self.rig.store();
        let mut last = None;
        let reached = wait_for(async || {
            last = store.coverages().await.expect("readable").pop();
            last.as_ref().is_some_and(&wanted)
        });
        assert!(reached.await, "{last:#?}");
        last.expect("seen above")
    }

    /// Every event of Stripe's is in the inbox.
    pub async fn wait_until_all_is_here(&self) {
        let told = i64::try_from(self.stripe.shop().told()).expect("few");
        self.rig.wait_for_count("SELECT count(*) FROM events", told).await;
    }
}
