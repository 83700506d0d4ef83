//! `tollgate doctor` and `tollgate config`, against real servers and a simulated Stripe.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use shared::config::Env;
use shared::signature::Secret;
use simulator::api::Webhooks;

use crate::api::street::Till;
use crate::support::process::{Ended, Tollgate};
use crate::support::{Rig, SECRET, http};

/// Of everything that was looked at, the verdict.
async fn verdicts(args: &[&str], env: &Env) -> (Option<i32>, BTreeMap<String, String>) {
    let ended = Tollgate::run(&[&["doctor", "--json"], args].concat(), env).await;
    let told: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    assert_eq!(told["sound"], ended.code == Some(0), "{told}");
    let findings = told["findings"].as_array().expect("a list").iter();
    let word = |it: &Value, name: &str| it[name].as_str().expect("a word").to_owned();
    let verdicts = findings.map(|it| (word(it, "name"), word(it, "verdict")));
    (ended.code, verdicts.collect())
}

fn with_verdict<'a>(verdicts: &'a BTreeMap<String, String>, verdict: &str) -> Vec<&'a str> {
    let found = verdicts.iter().filter(|(_, it)| *it == verdict);
    found.map(|(name, _)| name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_what_holds_and_what_does_not() {
    let rig = Rig::new().await;
    let (code, found) = verdicts(&[], &rig.env()).await;
    // The tests' Postgres is told to lose everything in a crash, and nobody works.
    assert_eq!(
        (code, with_verdict(&found, "fail")),
        (Some(1), vec!["postgres.durability"]),
        "{found:?}"
    );
    assert_eq!(with_verdict(&found, "warn"), ["queue.workers", "redis.memory"]);
    assert_eq!(with_verdict(&found, "skipped"), ["stripe.endpoint"]);
    assert!(with_verdict(&found, "ok").len() >= 15, "{found:?}");

    let ingest = ["--role", "ingest"];
    let (code, found) = verdicts(&ingest, &rig.env()).await;
    assert_eq!(
        (code, &*found["postgres.reachable"]),
        (Some(0), "skipped"),
        "{found:?}"
    );
    let strict = [&ingest[..], &["--strict"]].concat();
    assert_eq!(verdicts(&strict, &rig.env()).await.0, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_what_is_missing_and_what_to_do() {
    let rig = Rig::unmigrated().await;
    let nobody = ("REDIS_URL", "redis://:canary@127.0.0.1:1");
    let (_, found) = verdicts(&[], &rig.env_with(&[nobody])).await;
    let mut failed = with_verdict(&found, "fail");
    // The role is the whole cluster's: another test's database may have brought it.
    failed.retain(|name| *name != "postgres.api_role");
    let expected = ["postgres.durability", "postgres.schema", "redis.reachable"];
    assert_eq!(failed, expected, "{found:?}");
    let said = Tollgate::run(&["doctor"], &rig.env_with(&[nobody])).await;
    assert!(said.stdout.contains("-> run `tollgate migrate`"), "{said:?}");
    assert!(!format!("{said:?}").contains("canary"), "{said:?}");

    let always = rig.env_with(&[("TOLLGATE_REDIS_DURABILITY", "always")]);
    assert_eq!(verdicts(&[], &always).await.1["redis.durability"], "fail");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_stripe_for_our_endpoint() {
    let mut till = Till::open().await;
    let secret = Secret::new(SECRET).expect("usable");
    let ours = Webhooks::new("http://127.0.0.1:9/webhooks/stripe", vec![secret]);
    till.stripe.send_webhooks(ours).expect("an address");
    let env = till.rig.env_with(&[
        ("STRIPE_API_KEY", "rk_test_1"),
        ("TOLLGATE_STRIPE_API_URL", &till.url),
    ]);
    let (_, found) = verdicts(&[], &env).await;
    for name in ["reachable", "endpoint", "events", "api_version"] {
        assert_eq!(found[&format!("stripe.{name}")], "ok", "{found:?}");
    }
    assert_eq!(found["clock.stripe"], "ok", "{found:?}");
    let (_, elsewhere) = verdicts(&["--endpoint", "https://elsewhere.example/"], &env).await;
    assert_eq!(elsewhere["stripe.endpoint"], "warn");

    let known = hyper::Request::get(format!("{}/v1/webhook_endpoints", till.url));
    let known = known.header("authorization", "Bearer sk_test_1");
    let known = http::exchange(known, Bytes::new()).await.expect("an answer");
    let known: Value = serde_json::from_slice(known.body()).expect("JSON");
    let id = known["data"][0]["id"].as_str().expect("an id");
    let path = format!("/v1/webhook_endpoints/{id}");
    let off = till.post(&path, &[("disabled", "true")]);
    assert_eq!(off.await.0, 200);
    assert_eq!(verdicts(&[], &env).await.1["stripe.endpoint"], "fail");
}

async fn config(args: &[&str], env: &Env) -> Ended {
    Tollgate::run(&[&["config"], args].concat(), env).await
}

#[tokio::test(flavor = "multi_thread")]
async fn config_is_checked_and_shown_without_a_secret() {
    let rig = Rig::new().await;
    let env = rig.env_with(&[
        ("STRIPE_WEBHOOK_SECRET", "whsec_canary"),
        ("TOLLGATE_BACKLOG", "1"),
    ]);
    let good = config(&["check"], &env).await;
    let lines: Vec<&str> = good.stdout.lines().collect();
    let expected = [
        "ingest: usable",
        "worker: usable",
        "nobody reads TOLLGATE_BACKLOG",
    ];
    assert_eq!((good.code, &lines[..]), (Some(0), &expected[..]), "{good:?}");

    let bad = config(&["check", "api", "--json"], &env).await;
    let told: Value = serde_json::from_str(&bad.stdout).expect("JSON");
    assert_eq!((bad.code, &told["usable"]), (Some(78), &false.into()));
    assert_eq!(told["roles"][0]["role"], "api");
    assert!(
        told["roles"][0]["problems"].as_array().expect("a list").len() >= 3,
        "{told}"
    );

    for shape in [&["show"][..], &["show", "--json"]] {
        let shown = config(shape, &env).await;
        assert_eq!(shown.code, Some(0));
        assert!(shown.stdout.contains("STRIPE_WEBHOOK_SECRET"), "{shown:?}");
        assert!(!shown.stdout.contains("canary"), "{shown:?}");
    }
}
