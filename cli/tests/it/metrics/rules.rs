//! Alerts: valid, each tried out firing and not firing, each with a runbook whose commands exist.

use std::collections::BTreeSet;

use super::{files, prometheus, repository};
use crate::support::process::Tollgate;

const RULES: &str = "deploy/prometheus";
const RUNBOOKS: &str = "docs/runbooks";
/// What a runbook has, in this order.
const PARTS: [&str; 3] = ["## What it means", "## Look", "## Do"];

fn of_kind(suffix: &str) -> Vec<(String, String)> {
    let mut files = files(RULES, "yml");
    files.retain(|(name, _)| name.ends_with(suffix));
    assert!(!files.is_empty(), "{suffix}");
    files
}

fn alerts() -> BTreeSet<String> {
    let rules = of_kind(".rules.yml");
    let lines = rules.iter().flat_map(|(_, text)| text.lines());
    let alerts = lines.filter_map(|line| line.trim().strip_prefix("- alert: "));
    alerts.map(str::to_owned).collect()
}

#[test]
fn promtool_takes_all_rules_and_their_tests() {
    let Some(prometheus) = prometheus() else { return };
    for (kind, suffix) in [("check", ".rules.yml"), ("test", ".test.yml")] {
        for (file, _) in of_kind(suffix) {
            let mut promtool = prometheus.promtool();
            promtool
                .args([kind, "rules", &file])
                .current_dir(repository(RULES));
            let output = promtool.output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{kind} {file}: {said}");
        }
    }
}

#[test]
fn each_alert_is_tried_out_firing_and_not_firing() {
    let mut tried = BTreeSet::new();
    for (_, text) in of_kind(".test.yml") {
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            let Some(alert) = line.strip_prefix("alertname: ") else {
                continue;
            };
            let expected = lines.next().expect("what is expected");
            tried.insert((alert.to_owned(), expected == "exp_alerts:"));
        }
    }
    let wanted: BTreeSet<_> = alerts()
        .into_iter()
        .flat_map(|alert| [(alert.clone(), true), (alert, false)])
        .collect();
    assert_eq!(tried, wanted);
    assert!(wanted.len() >= 60, "{}", wanted.len());
}

#[test]
fn each_alert_has_its_runbook_and_each_runbook_its_alert() {
    let runbooks = files(RUNBOOKS, "md");
    let names: BTreeSet<String> = runbooks
        .iter()
        .filter_map(|(name, _)| name.strip_suffix(".md"))
        .filter(|name| *name != "README")
        .map(str::to_owned)
        .collect();
    assert_eq!(names, alerts());
    for (_, text) in of_kind(".rules.yml") {
        let linked = text.lines().filter(|line| line.trim().starts_with("runbook: "));
        assert_eq!(linked.count(), text.matches("- alert: ").count());
    }
    for (name, text) in &runbooks {
        if name == "README.md" {
            continue;
        }
        let places: Vec<_> = PARTS.iter().map(|part| text.find(part)).collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{name}: {places:?}"
        );
    }
}

#[tokio::test]
async fn commands_in_runbooks_exist() {
    let help = Tollgate::run(&["--help"], &[("PATH", "/usr/bin")].into_iter().collect()).await;
    let known: BTreeSet<&str> = help
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(known.contains("ledger"), "{known:?}");
    let mut seen = 0;
    for (name, text) in files(RUNBOOKS, "md") {
        for line in text.lines() {
            let Some(command) = line.strip_prefix("tollgate ") else {
                continue;
            };
            let command = command.split_whitespace().next().unwrap_or_default();
            assert!(known.contains(command), "{name}: tollgate {command}");
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}
