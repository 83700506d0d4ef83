//! Every example event, posted to ingest and found in Postgres.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use shared::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::support::{Rig, SECRET, http, shared_data};

/// Events that must not change anything, and the reason that must be given.
const IGNORED: [(&str, &str); 7] = [
    // Carries a connected account's context.
    ("v1.customer.subscription.past_due", "account_not_configured"),
    ("galactic.", "unknown_type"),
    ("three_d_secure.", "unknown_type"),
    ("plan.", "twin_of_price"),
    ("invoice.upcoming", "preview"),
    ("v1.", "not_fetched"),
    ("checkout.session.completed--connect", "account_not_configured"),
];

async fn post(url: &str, body: &Bytes) -> u16 {
    http::post(url, &http::signature(SECRET, body), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_event_is_found_in_postgres() {
    let Some(folder) = shared_data("events") else {
        return;
    };
    let rig = Rig::new().await;
    let config = ingest::IngestConfig::from_env(&rig.env()).expect("usable settings");
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
        .build_recorder()
        .handle();
    let server = ingest::Server::bind(config, Clock::system(), metrics)
        .await
        .expect("it listens");
    let url = format!("http://{}/webhooks/stripe", server.address());
    let stop = CancellationToken::new();
    let _stop_on_panic = stop.clone().drop_guard();
    let serving = tokio::spawn(server.run(stop.clone()));
    let worker = rig.worker();

    let mut files = BTreeMap::new();
    for file in std::fs::read_dir(folder).expect("a folder") {
        let path = file.expect("a file").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name")
            .to_owned();
        if !name.starts_with('_') {
            files.insert(name, Bytes::from(std::fs::read(&path).expect("readable")));
        }
    }
    assert!(files.len() > 100, "only {} example events", files.len());
    let opened =
        crate::support::wait_for(async || post(&url, files.values().next().expect("one")).await == 200);
    assert!(opened.await, "ingest opens");
    for (name, body) in &files {
        assert_eq!(post(&url, body).await, 200, "{name}");
    }
    rig.wait_until_drained().await;
    for (name, body) in &files {
        check(&rig, name, body).await;
    }
    assert_eq!(rig.count("SELECT count(*) FROM parked_events").await, 0);

    worker.stop().await.expect("a clean end");
    stop.cancel();
    serving.await.expect("no panic").expect("a clean end");
}

/// Stored byte by byte, with the right status, and projected unless ignored.
async fn check(rig: &Rig, name: &str, body: &Bytes) {
    let event: Value = serde_json::from_slice(body).expect("JSON");
    let id = event["id"].as_str().expect("an id");
    let stored: (String, String, Option<String>) =
        sqlx::query_as("SELECT body, status, reason FROM events WHERE id = $1")
            .bind(id)
            .fetch_one(&rig.pool)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(
        stored.0.as_bytes(),
        &body[..],
        "{name}: the body is what was sent"
    );
    let ignored = IGNORED
        .iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .map(|(_, reason)| *reason);
    let status = if ignored.is_some() { "ignored" } else { "applied" };
    assert_eq!(
        (stored.1.as_str(), stored.2.as_deref()),
        (status, ignored),
        "{name}"
    );
    if ignored.is_none() {
        projected(rig, name, &event).await;
    }
}

async fn projected(rig: &Rig, name: &str, event: &Value) {
    let object = &event["data"]["object"];
    let table = match object["object"].as_str().expect("an object type") {
        "entitlements.active_entitlement_summary" => "entitlement_summaries".to_owned(),
        kind => format!("{}s", kind.replace('.', "_")),
    };
    let id = object["id"]
        .as_str()
        .or(object["customer"].as_str())
        .expect("an id");
    let rows = rig
        .count(&format!("SELECT count(*) FROM {table} WHERE id = '{id}'"))
        .await;
    assert_eq!(rows, 1, "{name}: {table} {id}");
}

/// One change, told in two API versions, must read alike.
#[tokio::test(flavor = "multi_thread")]
async fn both_api_versions_project_alike() {
    let Some(folder) = shared_data("events") else {
        return;
    };
    let columns = [
        (
            "customer.subscription.updated",
            "subscriptions",
            "status, current_period_start, current_period_end",
        ),
        (
            "invoice.paid",
            "invoices",
            "status, billing_reason, total, subscription_id IS NOT NULL, user_id",
        ),
        (
            "charge.refunded",
            "charges",
            "status, amount, amount_refunded, refunded",
        ),
        (
            "charge.dispute.created",
            "disputes",
            "status, amount, evidence_due_by",
        ),
        (
            "checkout.session.completed",
            "checkout_sessions",
            "status, payment_status, mode, amount_total",
        ),
    ];
    for (event_type, table, columns) in columns {
        let rig = Rig::new().await;
        let bodies = ["2024-06-20", "2026-10-28.endive"].map(|version| {
            std::fs::read(folder.join(format!("{event_type}__{version}.json"))).expect(event_type)
        });
        let ids = bodies.each_ref().map(|body| {
            let event: Value = serde_json::from_slice(body).expect("JSON");
            event["data"]["object"]["id"].as_str().expect("an id").to_owned()
        });
        rig.enqueue(&bodies.map(Bytes::from)).await;
        let worker = rig.worker();
        rig.wait_for_count(&format!("SELECT count(*) FROM {table}"), 2)
            .await;
        let mut rows = Vec::new();
        for id in ids {
            rows.push(
                rig.text(&format!(
                    "SELECT ROW({columns})::text FROM {table} WHERE id = '{id}'"
                ))
                .await,
            );
        }
        assert_eq!(rows[0], rows[1], "{event_type}");
        worker.stop().await.expect("a clean end");
    }
}
