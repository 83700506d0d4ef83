//! What people see of a running Tollgate: metrics, dashboards, alerts, runbooks. All of them name metrics, and all of
//! them are held to what there is.

mod dashboards;
mod documented;
mod rules;
mod scraped;

use std::io::Write;
use std::path::PathBuf;

use api::Api;
use ingest::Ingest;
use shared::metric::{Kind, Metric};
use shared::role::Role;
use shared::telemetry;
use stack::{Prometheus, Sources};
use worker::Worker;

/// What a role shows, in the order in which it is documented.
struct Shown {
    role: &'static str,
    tables: Vec<&'static [Metric]>,
}

impl Shown {
    fn by<R: Role>() -> Self {
        let common = [
            telemetry::METRICS,
            telemetry::process::METRICS,
            shared::trace::METRICS,
        ];
        Self {
            role: R::NAME,
            tables: R::METRICS.iter().copied().chain(common).collect(),
        }
    }

    fn metrics(&self) -> impl Iterator<Item = &'static Metric> {
        self.tables.iter().copied().flatten()
    }
}

fn roles() -> [Shown; 3] {
    [Shown::by::<Ingest>(), Shown::by::<Worker>(), Shown::by::<Api>()]
}

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Files of one kind in a directory of the repository, with their contents, by name.
fn files(dir: &str, extension: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(repository(dir)).expect("a directory");
    let mut files: Vec<(String, String)> = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("readable"))
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{dir}");
    files
}

/// Prometheus, unless it is not to be had, which is said; who demands everything (`CI=1`) is failed.
fn prometheus() -> Option<Prometheus> {
    match Prometheus::find(&Sources::default()) {
        Ok(prometheus) => Some(prometheus),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{error}");
            // Not eprintln!, which the test runner keeps to itself.
            writeln!(std::io::stderr(), "NOT RUN: {error}").ok();
            None
        }
    }
}

/// The metrics that a text names, as they are in tables: without what Prometheus adds to histograms.
fn named(text: &str) -> Vec<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let words = text.split(|letter| !is_part(letter));
    words
        .filter(|word| {
            ["tollgate_", "process_", "http_server_"]
                .iter()
                .any(|it| word.starts_with(it))
        })
        // Roles of the database.
        .filter(|word| !["tollgate_api", "tollgate_reporting"].contains(word))
        .map(|word| {
            let base = |suffix| word.strip_suffix(suffix).filter(|base| is_histogram(base));
            let base = ["_bucket", "_count", "_sum"].into_iter().find_map(base);
            base.unwrap_or(word).to_owned()
        })
        .collect()
}

fn is_histogram(name: &str) -> bool {
    let all = roles();
    let mut metrics = all.iter().flat_map(Shown::metrics);
    metrics.any(|metric| metric.name == name && matches!(metric.kind, Kind::Histogram(_)))
}
