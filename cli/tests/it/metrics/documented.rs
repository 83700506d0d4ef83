//! `docs/metrics.md` is made from the tables, and dashboards, rules and runbooks name what is in them.

use std::collections::BTreeSet;
use std::fmt::Write;

use shared::metric::{Label, Metric, Values};

use super::{Shown, files, named, repository, roles};

const PAGE: &str = "docs/metrics.md";
/// What stands before this line is written by hand.
const BELOW: &str = "<!-- Below: TOLLGATE_WRITE_DOCS=1 cargo test -p cli --test it metrics::documented -->\n";
/// Values that fit into a table.
const VALUES_MAX: usize = 12;

fn values(label: &Label) -> String {
    match label.values {
        Values::Configured(of_what) => format!("`{}`: {of_what}", label.name),
        Values::Closed(values) => {
            let values = values();
            if values.len() > VALUES_MAX {
                return format!("`{}`: one of {}, see below", label.name, values.len());
            }
            let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("`{}`: {}", label.name, quoted.join(" "))
        }
    }
}

fn long_lists(metric: &Metric) -> impl Iterator<Item = String> {
    metric.labels.iter().filter_map(|label| {
        let Values::Closed(values) = label.values else {
            return None;
        };
        let values = values();
        (values.len() > VALUES_MAX).then(|| {
            let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("`{}` of `{}`: {}.\n", label.name, metric.name, quoted.join(", "))
        })
    })
}

fn table(text: &mut String, title: &str, metrics: &[Metric]) {
    write!(
        text,
        "\n## {title}\n\n| name | kind | unit | labels | what it says |\n|---|---|---|---|---|\n"
    )
    .ok();
    for metric in metrics {
        let labels: Vec<String> = metric.labels.iter().map(values).collect();
        let (name, kind, unit) = (metric.name, metric.kind.as_str(), metric.unit());
        let labels = labels.join("; ");
        writeln!(
            text,
            "| `{name}` | {kind} | {unit} | {labels} | {} |",
            metric.help
        )
        .ok();
    }
    for list in metrics.iter().flat_map(long_lists) {
        write!(text, "\n{list}").ok();
    }
}

fn page() -> String {
    let mut text = String::new();
    for (title, metrics) in [
        ("ingest", ingest::METRICS),
        ("worker", worker::METRICS),
        ("api", api::METRICS),
        (
            "The queue and Redis: ingest and worker",
            shared::queue::survey::METRICS,
        ),
        ("Postgres: worker and api", store::METRICS),
        ("Stripe's API: worker and api", stripe_api::METRICS),
        ("Every role", shared::telemetry::METRICS),
        ("Traces: every role", shared::trace::METRICS),
        ("The process: every role", shared::telemetry::process::METRICS),
    ] {
        table(&mut text, title, metrics);
    }
    text
}

#[test]
fn the_page_is_what_the_tables_say() {
    let path = repository(PAGE);
    let page = page();
    let written = std::fs::read_to_string(&path).expect("readable");
    let (head, below) = written.split_once(BELOW).expect("a place for it");
    if std::env::var_os("TOLLGATE_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{BELOW}{page}")).expect("written");
        return;
    }
    assert!(below == page, "{PAGE} is not up to date: {BELOW}");
    for role in roles() {
        for metric in role.metrics() {
            assert!(
                page.contains(&format!("| `{}` |", metric.name)),
                "{}",
                metric.name
            );
        }
    }
}

#[test]
fn names_and_words_are_in_order() {
    for role in roles() {
        let mut seen = BTreeSet::new();
        for metric in role.metrics() {
            assert!(seen.insert(metric.name), "{}: {} twice", role.role, metric.name);
            assert!(metric.help.ends_with('.'), "{}: {}", metric.name, metric.help);
            let ours = metric.name.starts_with("tollgate_");
            assert!(ours || metric.name.starts_with("process_") || metric.name.starts_with("http_server_"));
        }
    }
}

/// Everything that shows or watches metrics, with its name.
fn watching() -> Vec<(String, String)> {
    let dashboards = files("deploy/grafana", "json");
    let rules = files("deploy/prometheus", "yml");
    dashboards.into_iter().chain(rules).collect()
}

#[test]
fn whatever_is_named_is_shown_by_some_role() {
    let roles = roles();
    let known: BTreeSet<&str> = roles
        .iter()
        .flat_map(Shown::metrics)
        .map(|metric| metric.name)
        .collect();
    for (file, text) in watching().into_iter().chain(files("docs/runbooks", "md")) {
        for name in named(&text) {
            assert!(
                known.contains(name.as_str()),
                "{file} names {name}, which nothing shows"
            );
        }
    }
}

#[test]
fn whatever_is_shown_is_in_a_dashboard_or_a_rule() {
    let looked_at: BTreeSet<String> = watching().iter().flat_map(|(_, text)| named(text)).collect();
    let unseen: BTreeSet<&str> = roles()
        .iter()
        .flat_map(Shown::metrics)
        .map(|metric| metric.name)
        .filter(|name| !looked_at.contains(*name))
        .collect();
    assert!(unseen.is_empty(), "nobody would see {unseen:?}");
}
