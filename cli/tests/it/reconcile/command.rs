//! `tollgate reconcile`, and what staff are shown.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Town;
use crate::api::{JWT_SECRET, Service, admin, service, user};
use crate::support::process::Tollgate;

fn ids(said: &Value, list: &str, member: &str) -> BTreeSet<String> {
    let list = said[list].as_array().unwrap_or_else(|| panic!("{said}"));
    list.iter()
        .map(|it| it[member].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_what_is_missing_and_a_run_fills_it_in() {
    let town = Town::open().await;
    town.lose("0.3").await;
    town.customers(20).await;
    town.lose("0").await;
    town.pass().await;
    let lost = town.lost();
    assert!(!lost.is_empty());
    let env = town.env(&[("TOLLGATE_RECONCILE", "off")]);
    let worker = town.rig.worker_with(env.clone());
    let here = 20 - i64::try_from(lost.len()).expect("few");
    town.rig.wait_for_count("SELECT count(*) FROM events", here).await;

    let dry = ["reconcile", "--since", "1h", "--dry-run", "--json"];
    let run = Tollgate::run(&dry, &env).await;
    let said: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    assert_eq!((run.code, &said["filled"]), (Some(3), &json!(0)), "{run:?}");
    assert_eq!(ids(&said, "missing", "id"), lost);
    assert_eq!(said["applied"], here);
    assert_eq!(town.rig.count("SELECT count(*) FROM coverage_holes").await, 0);

    let wet = ["reconcile", "--since", "1h", "--json", "--timeout", "60s"];
    let run = Tollgate::run(&wet, &env).await;
    let said: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    assert_eq!(
        (run.code, &said["filled"]),
        (Some(0), &json!(lost.len())),
        "{run:?}"
    );
    town.wait_until_all_is_here().await;
    assert_eq!(town.holes().await, lost);

    let run = Tollgate::run(&dry, &env).await;
    let said: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    assert_eq!((run.code, &said["missing"]), (Some(0), &json!([])), "{run:?}");
    let other = env.with("TOLLGATE_STRIPE_ACCOUNT", "acct_ours");
    let run = Tollgate::run(&dry, &other).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("acct_ours"), "{run:?}");
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_see_coverage_and_holes() {
    let town = Town::open().await;
    let api = Service::start_with(&town.rig, &[("TOLLGATE_API_JWT_SECRET", JWT_SECRET)]).await;
    let (path, holes) = ("/v1/admin/coverage", "/v1/admin/coverage/holes");
    for token in [service(), user("ann")] {
        assert_eq!(api.get(&token, path).await.status, 403);
        assert_eq!(api.get(&token, holes).await.status, 403);
    }
    assert_eq!(api.get(&admin(), path).await.code(), "not_found");
    let worker = town.rig.worker_with(town.env(&[]));
    town.wait_for_coverage(|it| it.covered_until.is_some()).await;
    town.lose("1").await;
    town.customers(3).await;
    town.pass().await;
    town.wait_until_all_is_here().await;
    town.wait_for_coverage(|it| it.holes == 0).await;
    let said = api.get(&admin(), path).await.body;
    assert_eq!((&said["holes"], &said["gone"]), (&json!(0), &json!(0)), "{said}");
    assert!(
        said["covered_until"].is_i64() && said["stripe_account"].is_string(),
        "{said}"
    );
    let first = api.get(&admin(), &format!("{holes}?limit=2")).await.body;
    let next = first["next"].as_str().expect("there is more");
    let second = api
        .get(&admin(), &format!("{holes}?limit=2&after={next}"))
        .await
        .body;
    let mut all = ids(&first, "holes", "event_id");
    all.append(&mut ids(&second, "holes", "event_id"));
    assert_eq!(all, town.lost());
    let open = api.get(&admin(), &format!("{holes}?open=true")).await.body;
    assert_eq!(open["holes"], json!([]), "{open}");
    worker.stop().await.expect("a clean end");
}
