//! The commands that do one thing and end: what they print, and how they fail.

use serde_json::Value;
use shared::config::{COMMON_SETTINGS, Env};

use crate::support::Rig;
use crate::support::process::Tollgate;

/// Where nobody listens.
const NOBODY: &str = "postgres://someone:canary@127.0.0.1:1/nothing";

async fn run(args: &[&str]) -> crate::support::process::Ended {
    Tollgate::run(args, &Env::default()).await
}

fn json(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_says_what_it_would_do_does_it_and_then_has_nothing_to_do() {
    let rig = Rig::unmigrated().await;
    let all = store::migrations();
    for _ in 0..2 {
        let would = Tollgate::run(&["migrate", "--dry-run", "--json"], &rig.env()).await;
        assert_eq!(would.code, Some(0), "{would:?}");
        let would = json(&would.stdout);
        assert_eq!(would["dry_run"], true, "{would}");
        let listed = would["migrations"].as_array().map(Vec::len);
        assert_eq!(listed, Some(all.len()), "a dry run changed something: {would}");
    }

    let did = Tollgate::run(&["migrate"], &rig.env()).await;
    assert_eq!(did.code, Some(0), "{did:?}");
    assert_eq!(did.stdout.lines().count(), all.len(), "{did:?}");
    for (line, (version, subject)) in did.stdout.lines().zip(&all) {
        assert_eq!(line, format!("applied {version:04} {subject}"));
    }
    assert_eq!(rig.count("SELECT count(*) FROM events").await, 0);

    let again = Tollgate::run(&["migrate"], &rig.env()).await;
    assert_eq!(
        (again.code, again.stdout.trim()),
        (Some(0), "the schema is up to date")
    );
    let nothing = Tollgate::run(&["migrate", "--json"], &rig.env()).await;
    let nothing = json(&nothing.stdout);
    assert_eq!(
        nothing["migrations"].as_array().map(Vec::len),
        Some(0),
        "{nothing}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_without_a_usable_database_says_why_and_shows_no_password() {
    let cases = [
        ("", 78, "DATABASE_URL is not set"),
        ("nonsense", 78, "DATABASE_URL"),
        (NOBODY, 1, "postgres: "),
    ];
    for (url, code, reason) in cases {
        let env = Env::default().with("DATABASE_URL", url);
        let ended = Tollgate::run(&["migrate"], &env).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{ended:?}");
        assert!(ended.stderr.starts_with("tollgate: "), "{ended:?}");
        assert!(ended.stderr.contains(reason), "{ended:?}");
        for never in ["panicked", "canary"] {
            assert!(!ended.stderr.contains(never), "{ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seed_and_start_always_simulate_the_same() {
    let simulate = async |seed: &str| {
        let start = ["--start", "1700000000", "--events", "300"];
        let args = [&["simulate", "--dry-run", "--json", "--seed", seed], &start[..]].concat();
        let ended = run(&args).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let (one, same, other) = (simulate("42").await, simulate("42").await, simulate("43").await);
    assert_eq!(one, same);
    assert_ne!(one, other);
    let plan = json(&one);
    assert!(plan["distinct"].as_u64() >= Some(300), "{plan}");
    assert!(plan["deliveries"].as_u64() > plan["distinct"].as_u64(), "{plan}");
    let types = plan["types"].as_object().expect("counts by type");
    let counted: u64 = types.values().filter_map(Value::as_u64).sum();
    assert_eq!(Some(counted), plan["distinct"].as_u64(), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn help_names_every_setting_and_option() {
    let names = |settings: &[shared::config::Setting]| -> Vec<&'static str> {
        let all = settings.iter().chain(COMMON_SETTINGS);
        all.map(|setting| setting.name).collect()
    };
    let cases: [(&[&str], Vec<&str>); 4] = [
        (&[], vec!["dev", "ingest", "worker", "migrate", "simulate"]),
        (&["ingest"], names(ingest::SETTINGS)),
        (&["worker"], names(worker::config::SETTINGS)),
        (
            &["dev"],
            vec![
                "--json",
                "--exit-after-demo",
                "--data-dir",
                "--no-demo",
                "--workers",
                "--seed",
            ],
        ),
    ];
    for (command, words) in cases {
        let help = run(&[command, &["--help"]].concat()).await;
        assert_eq!(help.code, Some(0), "{help:?}");
        for word in words {
            assert!(
                help.stdout.contains(word),
                "{command:?}: {word} is missing: {}",
                help.stdout
            );
        }
    }
    let help = run(&["dev", "--help"]).await.stdout;
    for setting in ["REDIS_URL", "DATABASE_URL", "STRIPE_WEBHOOK_SECRET"] {
        assert!(help.contains(setting), "{setting} is missing: {help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    let cases: [&[&str]; 4] = [
        &["work"],
        &["worker", "--fast"],
        &["dev", "--no-demo", "--exit-after-demo"],
        &["dev", "--workers", "0"],
    ];
    for args in cases {
        let ended = run(args).await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{args:?}: {ended:?}"
        );
    }
}
