//! `tollgate bench`: its smaller parts, for the shape of what it says. Figures are no test's business.

use serde_json::Value;
use shared::config::Env;
use std::time::Duration;

use crate::support::process::{Tollgate, passable_dir};

/// Two servers and a few thousand events, in a debug build on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// One quick round in the words of machines.
async fn measured(more: &[&str]) -> Value {
    let base = passable_dir();
    let inherited = Env::of_process();
    let env: Env = ["PATH", "HOME"]
        .iter()
        .filter_map(|name| Some((*name, inherited.get(name)?)))
        .chain([("TMPDIR", base.path().to_str().expect("text"))])
        .collect();
    let usual = ["bench", "--quick", "--runs", "1", "--json"];
    let args: Vec<&str> = usual.iter().chain(more).copied().collect();
    let mut bench = Tollgate::start(&args, &env);
    assert_eq!(bench.end_within(LIMIT).await, Some(0), "{}", bench.stderr());
    serde_json::from_str(&bench.stdout()).expect("one JSON object and nothing else")
}

#[tokio::test]
async fn the_queue_is_measured_and_said_in_json() {
    let result = measured(&["--only", "queue"]).await;

    for word in ["cpu", "kernel", "redis", "postgres", "tollgate", "profile"] {
        assert!(result["machine"][word].is_string(), "{word}: {result}");
    }
    assert_eq!(result["settings"]["runs"], 1);
    let warnings = result["warnings"].as_array().expect("a list");
    let is_debug = warnings
        .iter()
        .any(|it| it.as_str().is_some_and(|it| it.starts_with("DEBUG BUILD")));
    assert_eq!(
        is_debug,
        cfg!(debug_assertions),
        "a debug build says so: {warnings:?}"
    );

    let figures = result["figures"].as_array().expect("a list");
    let figure = |name: &str| {
        let named = figures.iter().find(|it| it["figure"] == name);
        named.unwrap_or_else(|| panic!("{name}: {result}"))
    };
    assert!(figures.iter().all(|it| it["part"] == "queue"), "{result}");
    for name in [
        "tollgate, no-op, everysec",
        "raw XREADGROUP + XACK + XDEL, always",
    ] {
        let it = figure(name);
        assert_eq!(it["unit"], "events/s");
        assert_eq!(it["samples"].as_array().map(Vec::len), Some(1), "{it}");
        assert!(it["median"].as_f64() > Some(0.0), "{it}");
        assert!(it["cpu_s_per_1000"]["redis"].is_number(), "{it}");
        assert_eq!((&it["goal"], &it["met"]), (&Value::Null, &Value::Null));
    }
    let ratio = figure("tollgate / raw, everysec");
    assert_eq!(ratio["goal"], serde_json::json!({"is": "≥", "value": 0.75}));
    assert!(ratio["met"].is_boolean(), "{ratio}");
}

#[tokio::test]
async fn the_api_is_asked_for_what_is_kept_and_for_what_is_not() {
    let result = measured(&[
        "--only",
        "api",
        "--ledger-rows",
        "10000",
        "--matching",
        "state, kept;checkout",
    ])
    .await;
    let figures = result["figures"].as_array().expect("a list");
    let figure = |name: &str| {
        let named = figures.iter().find(|it| it["figure"] == name);
        named.unwrap_or_else(|| panic!("{name}: {result}"))
    };
    // What the API counted itself: each user was new to it, and then each was known.
    assert_eq!(figure("state, not kept: share of hits")["median"], 0.0);
    assert_eq!(figure("state, kept: share of hits")["median"], 1.0);
    assert!(figure("state, kept, p50")["cpu_s_per_1000"]["api"].is_number());
    assert_eq!(
        figure("state, kept, p99")["goal"],
        serde_json::json!({"is": "≤", "value": 5.0})
    );
    assert!(figure("checkout: commits of each")["median"].as_f64() >= Some(4.0));
    assert!(figure("checkout beyond Stripe, p99")["met"].is_boolean());
    assert!(figures.iter().all(|it| it["figure"] != "spend, one user, p99"));
}
