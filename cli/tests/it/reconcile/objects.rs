//! Objects that changed at Stripe without an event: found by comparing a sample, named, and mended. Others are left alone.

use serde_json::json;

use super::Town;
use crate::api::{JWT_SECRET, Service, admin, service, user};
use crate::support::http;

/// Objects that are sampled: their rows, and which version of each is there.
const VERSIONS: &str = "SELECT string_agg(id || ' ' || xmin, ', ' ORDER BY id) FROM (
    SELECT id, xmin FROM subscriptions UNION ALL SELECT id, xmin FROM invoices
    UNION ALL SELECT id, xmin FROM payment_intents UNION ALL SELECT id, xmin FROM charges
    UNION ALL SELECT id, xmin FROM invoice_lines UNION ALL SELECT id, xmin FROM subscription_items) held";
const LAPS: &str = "SELECT coalesce(min(laps), 0) FROM object_walks";
const WALKS: &str = "SELECT count(*) FROM object_walks";
/// Prices are asked for because nobody has told of them.
const FETCHED: &str =
    "SELECT count(*) FROM events WHERE rendering = 'fetched' AND object_type NOT IN ('price', 'product')";

impl Town {
    /// Somebody buys a plan and pays.
    async fn subscribe(&self, user: &str) {
        let customer = self.post("/v1/customers", &[("metadata[user_id]", user)]).await;
        let form = [
            ("mode", "subscription"),
            ("customer", customer["id"].as_str().expect("an id")),
            ("success_url", "https://shop.example/done"),
            ("subscription_data[metadata][user_id]", user),
            ("line_items[0][price]", self.plan.as_str()),
            ("line_items[0][quantity]", "1"),
        ];
        let session = self.post("/v1/checkout/sessions", &form).await;
        let page = session["url"].as_str().expect("a page");
        assert_eq!(http::post_form(page, &[("action", "pay")]).await.0, 303);
    }

    /// The subscription of somebody, as we hold it.
    async fn subscription_of(&self, user: &str) -> String {
        let sql = format!("SELECT id FROM subscriptions WHERE user_id = '{user}'");
        self.rig.text(&sql).await.expect("bought before")
    }

    /// Every event has arrived and can be judged, and every object had its turn since.
    async fn wait_for_laps(&self) {
        self.pass().await;
        self.wait_until_all_is_here().await;
        let now = self.stripe.shop().now();
        self.wait_for_coverage(|it| it.covered_until.is_some_and(|until| until > now - 100))
            .await;
        let laps = self.rig.count(LAPS).await;
        self.rig.wait_for_count(WALKS, 7).await;
        let later = format!("SELECT count(*) FROM object_walks WHERE laps >= {} + 2", laps);
        self.rig.wait_for_count(&later, 7).await;
    }

    /// Stripe has it otherwise from now on, and tells nobody.
    async fn change_quietly(&self, subscription: &str) {
        self.lose("1").await;
        let path = format!("/v1/subscriptions/{subscription}");
        self.post(&path, &[("cancel_at_period_end", "true")]).await;
        self.post("/simulator/events/forget", &[]).await;
        self.lose("0").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_event_told_is_found_named_and_mended_and_nothing_else_touched() {
    let town = Town::open().await;
    let api = Service::start_with(&town.rig, &[("TOLLGATE_API_JWT_SECRET", JWT_SECRET)]).await;
    town.subscribe("ann").await;
    town.subscribe("bob").await;
    let worker = town
        .rig
        .worker_with(town.env(&[("TOLLGATE_RECONCILE_OBJECTS", "14")]));
    town.wait_for_laps().await;
    let ann = town.subscription_of("ann").await;
    let differences = "SELECT count(*) FROM object_differences";
    assert_eq!(town.rig.count(differences).await, 0);
    assert_eq!(town.rig.count("SELECT count(*) FROM object_suspects").await, 0);
    assert_eq!(town.rig.count(FETCHED).await, 0, "what is equal is not written");
    let most = town.rig.count("SELECT max(compared) FROM object_samples").await;
    assert!((1..=14).contains(&most), "{most}");
    let before = town.rig.text(VERSIONS).await.expect("rows");

    town.change_quietly(&ann).await;
    town.rig
        .wait_for_count("SELECT count(*) FROM object_suspects", 1)
        .await;
    assert_eq!(town.rig.count(differences).await, 0, "an event may be under way");
    town.pass().await;
    let settled = format!(
        "SELECT count(*) FROM object_differences WHERE object_id = '{ann}' AND settled_at IS NOT NULL"
    );
    town.rig.wait_for_count(&settled, 1).await;
    let canceling = format!("SELECT count(*) FROM subscriptions WHERE id = '{ann}' AND cancel_at_period_end");
    assert_eq!(town.rig.count(&canceling).await, 1);
    assert_eq!(town.rig.count(FETCHED).await, 1);
    assert_eq!(town.rig.count("SELECT count(*) FROM object_suspects").await, 0);
    let touched = town.rig.text(VERSIONS).await.expect("rows");
    let (before, touched): (Vec<&str>, Vec<&str>) =
        (before.split(", ").collect(), touched.split(", ").collect());
    let other = before
        .iter()
        .zip(&touched)
        .filter(|(before, after)| before != after);
    let other: Vec<&str> = other.map(|(_, after)| *after).collect();
    assert!(
        other
            .iter()
            .all(|row| row.starts_with(&ann) || row.starts_with("si_"))
            && other.len() <= 2,
        "{other:?}"
    );

    staff_see(&api, &ann).await;
    worker.stop().await.expect("a clean end");
}

/// What differed of it is named, and settled.
async fn staff_see(api: &Service, subscription: &str) {
    let (path, list) = ("/v1/admin/coverage", "/v1/admin/coverage/differences");
    for token in [service(), user("ann")] {
        assert_eq!(api.get(&token, list).await.status, 403);
    }
    let said = api.get(&admin(), list).await.body;
    let first = &said["differences"][0];
    assert_eq!(
        (&first["object_id"], &first["kind"]),
        (&json!(subscription), &json!("subscription")),
        "{said}"
    );
    let members = first["members"].as_array().expect("names");
    assert!(members.contains(&json!("cancel_at_period_end")), "{said}");
    assert!(first["settled_at"].is_i64(), "{said}");
    let said = api.get(&admin(), path).await.body;
    assert_eq!(said["differing"], 0, "{said}");
    assert!(said["subscriptions_compared_at"].is_i64(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_late_explains_a_difference_and_a_report_mends_nothing() {
    let town = Town::open().await;
    town.subscribe("ann").await;
    let worker = town
        .rig
        .worker_with(town.env(&[("TOLLGATE_RECONCILE", "report")]));
    town.wait_for_laps().await;
    let ann = town.subscription_of("ann").await;
    town.post("/simulator/webhooks", &[("hold", "true")]).await;
    let path = format!("/v1/subscriptions/{ann}");
    town.post(&path, &[("cancel_at_period_end", "true")]).await;
    let suspects = "SELECT count(*) FROM object_suspects";
    town.rig.wait_for_count(suspects, 1).await;
    town.post("/simulator/webhooks", &[("hold", "false")]).await;
    town.wait_until_all_is_here().await;
    town.pass().await;
    town.rig.wait_for_count(suspects, 0).await;
    assert_eq!(town.rig.count("SELECT count(*) FROM object_differences").await, 0);

    town.lose("1").await;
    town.post(&path, &[("cancel_at_period_end", "false")]).await;
    town.post("/simulator/events/forget", &[]).await;
    town.rig.wait_for_count(suspects, 1).await;
    town.pass().await;
    let open = "SELECT count(*) FROM object_differences WHERE settled_at IS NULL";
    town.rig.wait_for_count(open, 1).await;
    assert_eq!(town.rig.count(FETCHED).await, 0, "nothing is mended");
    worker.stop().await.expect("a clean end");
}
