//! Running roles show what their tables say, all of it and nothing else, and `promtool` finds nothing to say.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;
use shared::metric::{Kind, Metric, Values};

use super::{Shown, prometheus, roles};
use crate::dev::Dev;
use crate::support::http;

/// The admin addresses of a running `tollgate dev`, by role.
pub(super) fn admins(ready: &Value) -> [(&'static str, String); 4] {
    let text = |value: &Value| value.as_str().expect("an address").to_owned();
    [
        ("ingest", text(&ready["admin_url"])),
        ("worker", text(&ready["worker_admin_urls"][0])),
        ("worker", text(&ready["worker_admin_urls"][1])),
        ("api", text(&ready["api_admin_url"])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_shows_its_table_from_the_start() {
    let mut dev = Dev::start(&["--no-demo"], &[]);
    let ready = dev.ready().await;
    for (role, url) in admins(&ready) {
        let (status, page) = http::get(&format!("{url}/metrics")).await.expect("an answer");
        assert_eq!(status, 200);
        let shown = roles()
            .into_iter()
            .find(|shown| shown.role == role)
            .expect("a role");
        holds(&shown, &page);
        if let Some(prometheus) = prometheus() {
            let mut promtool = prometheus.promtool();
            promtool.args(["check", "metrics"]).stdin(Stdio::piped());
            promtool.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut running = promtool.spawn().expect("it runs");
            let mut input = running.stdin.take().expect("asked for");
            input.write_all(page.as_bytes()).expect("written");
            drop(input);
            let output = running.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{role}: {said}");
        }
    }
}

/// Every series of the table is there, with its help and kind, and no other.
fn holds(shown: &Shown, page: &str) {
    let samples: Vec<(String, BTreeMap<String, String>)> = page.lines().filter_map(sample).collect();
    let tables: BTreeMap<&str, &Metric> = shown.metrics().map(|metric| (metric.name, metric)).collect();
    let mut seen = BTreeSet::new();
    for (name, mut labels) in samples {
        let base = ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|it| name.strip_suffix(it));
        let of_histogram = |name: &&str| {
            let metric = tables.get(name);
            metric.is_some_and(|metric| matches!(metric.kind, Kind::Histogram(_)))
        };
        let base = base.filter(of_histogram);
        if base.is_some() {
            labels.remove("le");
        }
        let name = base.unwrap_or(&name);
        let metric = tables
            .get(name)
            .unwrap_or_else(|| panic!("{}: {name} is in no table", shown.role));
        let names: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            metric.labels.iter().map(|label| label.name).collect(),
            "{name}"
        );
        for label in metric.labels {
            if let Values::Closed(values) = label.values {
                let value = labels[label.name].as_str();
                assert!(values().contains(&value), "{name}: {}={value}", label.name);
            }
        }
        seen.insert((metric.name, labels));
    }
    for metric in tables.values() {
        let (name, kind) = (metric.name, metric.kind.as_str());
        assert!(
            page.contains(&format!("# HELP {name} {}\n", metric.help)),
            "{name}"
        );
        assert!(page.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
        assert!(
            seen.iter().any(|(seen, _)| *seen == name),
            "{}: {name} has no series",
            shown.role
        );
        for series in metric.series() {
            let labels = series
                .iter()
                .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
            assert!(seen.contains(&(name, labels.collect())), "{name} {series:?}");
        }
    }
}

/// `name{label="value",...} 1`
fn sample(line: &str) -> Option<(String, BTreeMap<String, String>)> {
    if line.starts_with('#') || line.is_empty() {
        return None;
    }
    let (series, _) = line.rsplit_once(' ')?;
    let Some((name, labels)) = series.strip_suffix('}').and_then(|series| series.split_once('{')) else {
        return Some((series.to_owned(), BTreeMap::new()));
    };
    let label = |text: &str| {
        let (label, value) = text.split_once("=\"").expect("a value");
        (label.to_owned(), value.to_owned())
    };
    // No value of ours has a quote.
    let labels = labels
        .strip_suffix('"')
        .expect("a last value")
        .split("\",")
        .map(label);
    Some((name.to_owned(), labels.collect()))
}
