//! `tollgate chaos`: that it comes to a verdict, and which.

use std::time::Duration;

use serde_json::Value;
use shared::config::Env;

use crate::support::process::{Ended, Tollgate};

/// Servers, leases one after another, and the comparison, in a debug build on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// As on a machine with nothing configured.
pub async fn chaos(args: &[&str]) -> Ended {
    let inherited = Env::of_process();
    let ours = ["TOLLGATE_", "STRIPE_", "REDIS_URL", "DATABASE_URL"];
    let names = inherited.names("");
    let names = names.filter(|name| !ours.iter().any(|word| name.starts_with(word)));
    let env: Env = names
        .filter_map(|name| Some((name, inherited.get(name)?)))
        .collect();
    let args: Vec<&str> = ["chaos"].iter().chain(args).copied().collect();
    let mut process = Tollgate::start(&args, &env);
    let code = process.end_within(LIMIT).await;
    Ended {
        code,
        stdout: process.stdout(),
        stderr: process.stderr(),
    }
}

pub fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_killed_cut_and_emptied_costs_nothing_but_what_was_in_redis() {
    let faults = "kill-redis,cut-worker-postgres,flush-redis,destroy-group,deadlock,lapse-leases,kill-worker";
    let ended = chaos(&["--json", "--seed", "11", "--rate", "150", "--only", faults]).await;
    let report = report(&ended);
    let broken: Vec<&Value> = report["promises"]
        .as_array()
        .expect("promises")
        .iter()
        .filter(|it| it["held"] != true)
        .collect();
    assert!(broken.is_empty(), "{broken:?} {report}");
    assert_eq!((ended.code, report["held"].as_bool()), (Some(0), Some(true)));
    assert_eq!(report["timeline"].as_array().map(Vec::len), Some(7), "{report}");
    let number = |name: &str| report[name].as_u64().expect("a number");
    assert!(number("acknowledged") > 500, "{report}");
    let gap = report["gap"]["count"].as_u64().expect("a number");
    assert_eq!(number("kept") + gap, number("acknowledged"), "{report}");
    assert!(
        report["longest_take_over_ms"].is_u64(),
        "it held nothing: {report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_listed_and_unknown_ones_refused() {
    let list = chaos(&["--list"]).await;
    assert_eq!(list.code, Some(0));
    assert!(list.stdout.lines().count() > 20, "{list:?}");
    let wrong = chaos(&["--only", "kill-redis,kill-wroker"]).await;
    assert_eq!(wrong.code, Some(78), "{wrong:?}");
    assert!(wrong.stderr.contains("did you mean kill-worker?"), "{wrong:?}");
}
