//! Dashboards: well-formed, and every query of every panel gets data from a real Prometheus that looks at a running
//! Tollgate.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use stack::{Process, Signal};
use tempfile::TempDir;

use super::scraped::admins;
use super::{files, prometheus, repository};
use crate::dev::Dev;
use crate::support::{http, wait_within};

/// What Grafana would choose at a scrape every second, with room for a busy machine.
const RATE_INTERVAL: &str = "1m";
/// Longest until everything has been scraped often enough.
const SEEN_LIMIT: Duration = Duration::from_secs(120);
/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;

fn dashboards() -> Vec<(String, Value)> {
    let parse = |(name, text): (String, String)| {
        let board = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, board)
    };
    files("deploy/grafana", "json").into_iter().map(parse).collect()
}

fn panels(board: &Value) -> &[Value] {
    board["panels"].as_array().expect("panels")
}

/// Every query, with where it is.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for (file, board) in dashboards() {
        for panel in panels(&board).iter().filter(|panel| panel["type"] != "row") {
            for target in panel["targets"].as_array().expect("targets") {
                let place = format!("{file}, {}: {}", panel["title"], target["refId"]);
                let query = target["expr"].as_str().expect("a query");
                queries.push((place, query.replace("$__rate_interval", RATE_INTERVAL)));
            }
        }
    }
    queries
}

#[test]
fn boards_are_well_formed() {
    let mut uids = BTreeSet::new();
    for (file, board) in dashboards() {
        assert!(uids.insert(board["uid"].to_string()), "{file}");
        let variables = board["templating"]["list"].as_array().expect("variables");
        let is_datasource = |it: &Value| it["name"] == "datasource" && it["type"] == "datasource";
        assert!(variables.iter().any(is_datasource), "{file}");
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in panels(&board) {
            let title = &panel["title"];
            assert!(
                ids.insert(panel["id"].as_u64().expect("an id")),
                "{file}: {title}"
            );
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|it| panel["gridPos"][it].as_u64().expect("a place"));
            assert!(w > 0 && h > 0 && x + w <= COLUMNS, "{file}: {title}");
            for column in x..x + w {
                for row in y..y + h {
                    assert!(taken.insert((column, row)), "{file}: {title} overlaps");
                }
            }
            if panel["type"] == "row" {
                continue;
            }
            let targets = panel["targets"].as_array().expect("targets");
            for source in [panel].into_iter().chain(targets) {
                assert_eq!(source["datasource"]["uid"], "${datasource}", "{file}: {title}");
            }
            let refs: BTreeSet<_> = targets.iter().map(|it| it["refId"].to_string()).collect();
            assert_eq!(refs.len(), targets.len(), "{file}: {title}");
        }
    }
    assert!(uids.len() >= 5);
}

/// A Prometheus of the test's own.
struct Server {
    url: String,
    _process: Process,
    _dir: TempDir,
}

/// As `deploy/prometheus/prometheus.yml` has it, but once a second, and of other addresses.
fn settings(ready: &Value) -> String {
    let mut text = std::fs::read_to_string(repository("deploy/prometheus/prometheus.yml")).expect("readable");
    text = text.replace("_interval: 15s", "_interval: 1s");
    let rules = repository("deploy/prometheus").canonicalize().expect("there");
    for file in ["slo.rules.yml", "alerts.rules.yml"] {
        text = text.replace(&format!("- {file}"), &format!("- {}", rules.join(file).display()));
    }
    for (role, port) in [("ingest", 9080), ("worker", 9081), ("api", 9082)] {
        let admins = admins(ready).into_iter().filter(|(of, _)| *of == role);
        let targets: Vec<String> = admins
            .map(|(_, url)| format!("'{}'", url.trim_start_matches("http://")))
            .collect();
        let usual = format!("['127.0.0.1:{port}']");
        assert!(text.contains(&usual), "{text}");
        text = text.replace(&usual, &format!("[{}]", targets.join(", ")));
    }
    text
}

fn serve(prometheus: &stack::Prometheus, ready: &Value) -> Server {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("prometheus.yml");
    std::fs::write(&config, settings(ready)).expect("written");
    let address = format!("127.0.0.1:{}", stack::free_port().expect("a port"));
    let mut command = prometheus.server();
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            dir.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .stderr(std::fs::File::create(dir.path().join("log")).expect("a log"));
    Server {
        url: format!("http://{address}"),
        _process: Process::spawn(command, Signal::KILL).expect("it runs"),
        _dir: dir,
    }
}

impl Server {
    async fn ask(&self, path: &str) -> Option<Value> {
        let (status, body) = http::get(&format!("{}/api/v1/{path}", self.url)).await?;
        (status == 200).then(|| serde_json::from_str(&body).expect("JSON"))
    }

    /// Whether a query has a value, and one that is a number.
    async fn has_data(&self, query: &str) -> bool {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let Some(answer) = self.ask(&format!("query?query={encoded}")).await else {
            return false;
        };
        let values = answer["data"]["result"].as_array().expect("a result");
        values.iter().any(|series| series["value"][1] != "NaN")
    }
}

/// What an application would ask, so that there is something to see.
async fn use_the_api(ready: &Value) {
    let url = ready["api_url"].as_str().expect("an address");
    let token = service_token(ready);
    let post = async |path: &str, body: Value| {
        let request = hyper::http::Request::post(format!("{url}{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("idempotency-key", shared::unique::word());
        http::exchange(request, body.to_string().into()).await
    };
    for number in 0..3 {
        let request = hyper::http::Request::get(format!("{url}/v1/users/user_{number}/subscription-state"))
            .header("authorization", format!("Bearer {token}"));
        http::exchange(request, bytes::Bytes::new()).await;
        post(
            &format!("/v1/users/user_{number}/credits/spend"),
            json!({"credits": 1}),
        )
        .await;
    }
    let sold = json!({"plan": "pro"});
    post(
        &format!("/v1/users/{}/checkout-sessions", shared::unique::word()),
        sold,
    )
    .await;
}

fn service_token(ready: &Value) -> String {
    ready["api_token"].as_str().expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_has_data_from_a_running_tollgate() {
    let Some(prometheus) = prometheus() else { return };
    let mut dev = Dev::start(&["--events", "20000", "--rate", "100"], &[]);
    let ready = dev.ready().await;
    let server = serve(&prometheus, &ready);
    let mut without: Vec<(String, String)> = queries();
    assert!(without.len() > 100, "{}", without.len());
    let all_seen = wait_within(SEEN_LIMIT, async || {
        use_the_api(&ready).await;
        let mut left = Vec::new();
        for (place, query) in std::mem::take(&mut without) {
            if !server.has_data(&query).await {
                left.push((place, query));
            }
        }
        without = left;
        without.is_empty()
    });
    assert!(all_seen.await, "no data: {without:#?}");
    let rules = server.ask("rules").await.expect("an answer").to_string();
    assert!(
        rules.contains("TollgateNoConsumers") && !rules.contains("\"health\":\"err\""),
        "{rules}"
    );
}
