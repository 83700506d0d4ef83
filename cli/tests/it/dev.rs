//! `tollgate dev`, as whoever clones the repository runs it.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use shared::config::Env;
use stack::Signal;
use tempfile::TempDir;

use crate::support::process::{Seen, Tollgate, descendants, listing, passable_dir, say_took, still_running};
use crate::support::{Rig, customer, http, wait_for, wait_within};

/// Two servers and three roles, in a debug build on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// A demo of some hundred events, and the end.
const DEMO_LIMIT: Duration = Duration::from_secs(60);
/// After a kill -9 of `dev` everything goes by itself.
const GONE_LIMIT: Duration = Duration::from_secs(5);
/// The lease, the search for run-out ones, and the work.
const TAKEN_OVER: Duration = Duration::from_secs(15);
/// Where other people's Postgres and Redis usually listen.
const USUAL_PORTS: [u16; 2] = [5432, 6379];

/// `tollgate dev` on its way, with a temporary directory of its own.
pub struct Dev {
    process: Tollgate,
    base: TempDir,
}

impl Dev {
    /// As on a machine with nothing configured, but for `settings`.
    pub fn start(args: &[&str], settings: &[(&str, &str)]) -> Self {
        let base = passable_dir();
        let tmpdir = base.path().to_str().expect("text").to_owned();
        let inherited = Env::of_process();
        let ours = |name: &&str| {
            let words = ["TOLLGATE_", "STRIPE_", "REDIS_URL", "DATABASE_URL"];
            words.iter().any(|word| name.starts_with(word))
        };
        let names = inherited.names("").filter(|name| !ours(name));
        let env: Env = names
            .filter_map(|name| Some((name, inherited.get(name)?)))
            .chain([("TMPDIR", tmpdir.as_str())])
            .chain(settings.iter().copied())
            .collect();
        let args: Vec<&str> = ["dev", "--json"].iter().chain(args).copied().collect();
        Self {
            process: Tollgate::start(&args, &env),
            base,
        }
    }

    /// Waits until it is up; returns its line.
    pub async fn ready(&mut self) -> Value {
        self.process.first_line(READY_LIMIT).await
    }

    fn descendants(&self) -> Vec<Seen> {
        descendants(self.process.id())
    }

    /// SIGINT, as Ctrl-C sends it; returns the status.
    async fn interrupt(&mut self) -> Option<i32> {
        self.process.signal(Signal::INT);
        self.process.end_within(DEMO_LIMIT).await
    }

    /// Waits for the end of the demo, which must find everything; returns its line.
    async fn demo(&mut self) -> Value {
        let code = self.process.end_within(DEMO_LIMIT).await;
        assert_eq!(code, Some(0), "{}", self.process.stderr());
        let stdout = self.process.stdout();
        let lines: Vec<&str> = stdout.lines().collect();
        assert_eq!(lines.len(), 2, "the ready line and the result: {stdout}");
        let result: Value = serde_json::from_str(lines[1]).expect("JSON");
        assert_eq!(result["lost"], 0, "{result}");
        result
    }

    /// Neither a process nor a file.
    async fn assert_nothing_left(&self, seen: &[Seen]) {
        let gone = wait_within(GONE_LIMIT, async || still_running(seen).is_empty()).await;
        assert!(gone, "still running: {:?}", still_running(seen));
        let empty = wait_within(GONE_LIMIT, async || listing(self.base.path()).is_empty()).await;
        assert!(empty, "still there: {:?}", listing(self.base.path()));
    }
}

fn text<'a>(line: &'a Value, member: &str) -> &'a str {
    let text = line[member].as_str();
    text.unwrap_or_else(|| panic!("no {member} in {line}"))
}

fn number(line: &Value, member: &str) -> u64 {
    let number = line[member].as_u64();
    number.unwrap_or_else(|| panic!("no {member} in {line}"))
}

/// What the ready line leads to.
async fn rig(ready: &Value) -> Rig {
    let url = |member| text(ready, member).to_owned();
    Rig {
        prefix: "tollgate".to_owned(),
        ..Rig::on(url("database_url"), url("redis_url")).await
    }
}

fn named<'a>(seen: &'a [Seen], name: &str) -> Vec<&'a Seen> {
    seen.iter().filter(|seen| seen.name.contains(name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_sends_finds_everything_reports_and_leaves_nothing_behind() {
    let mut dev = Dev::start(&["--exit-after-demo", "--events", "400", "--rate", "0"], &[]);
    let ready = dev.ready().await;
    let seen = dev.descendants();
    for member in [
        "ingest_url",
        "admin_url",
        "api_url",
        "api_token",
        "stripe_url",
        "webhook_secret",
        "database_url",
        "redis_url",
    ] {
        assert!(!text(&ready, member).is_empty());
    }
    // Ingest, two workers, the API, and what they need.
    assert_eq!(named(&seen, "tollgate").len(), 4, "{seen:?}");
    assert!(
        !named(&seen, "redis").is_empty() && !named(&seen, "postgres").is_empty(),
        "{seen:?}"
    );

    let result = dev.demo().await;
    let [sent, distinct, accepted, applied, ignored, parked] =
        ["sent", "distinct", "accepted", "applied", "ignored", "parked"].map(|name| number(&result, name));
    assert!(distinct >= 400 && sent > distinct && accepted == sent, "{result}");
    assert_eq!(distinct, applied + ignored + parked, "{result}");
    assert_eq!(parked, 0, "{result}");
    let (p50, p99) = (result["p50_ms"].as_f64(), result["p99_ms"].as_f64());
    assert!(p50.is_some_and(|p50| p50 > 0.0) && p50 <= p99, "{result}");
    dev.assert_nothing_left(&seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_demo_it_takes_signed_events_until_ctrl_c() {
    let mut dev = Dev::start(&["--no-demo"], &[]);
    let ready = dev.ready().await;
    let seen = dev.descendants();
    let (url, secret) = (text(&ready, "ingest_url"), text(&ready, "webhook_secret"));

    let body = customer(1, 1);
    let signature = http::signature(secret, &body);
    assert_eq!(http::post(url, &signature, &body).await, 200);
    let rig = rig(&ready).await;
    rig.wait_for_count("SELECT count(*) FROM customers WHERE id = 'cus_1'", 1)
        .await;
    // One byte, and still an event that could be read.
    let mut changed = body.to_vec();
    let at = changed.iter().rposition(|byte| *byte == b'1');
    changed[at.expect("a digit")] = b'2';
    assert_eq!(http::post(url, &signature, &Bytes::from(changed)).await, 400);

    let workers = ready["worker_admin_urls"].as_array().expect("a list");
    let admins = workers
        .iter()
        .filter_map(Value::as_str)
        .chain([text(&ready, "admin_url")]);
    for admin in admins {
        for path in ["livez", "readyz", "metrics"] {
            let answer = http::get(&format!("{admin}/{path}")).await;
            assert!(matches!(answer, Some((200, _))), "{admin}/{path}: {answer:?}");
        }
    }
    assert_eq!(dev.process.stdout().lines().count(), 1);
    assert_eq!(dev.interrupt().await, Some(0), "{}", dev.process.stderr());
    dev.assert_nothing_left(&seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_leaves_nothing_behind() {
    let mut dev = Dev::start(&["--no-demo"], &[]);
    dev.ready().await;
    let seen = dev.descendants();
    assert!(seen.len() > 5, "{seen:?}");
    dev.process.signal(Signal::KILL);
    assert_eq!(
        dev.process.end_within(GONE_LIMIT).await,
        None,
        "a signal ended it"
    );
    dev.assert_nothing_left(&seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_loses_nothing_when_a_worker_is_killed() {
    let mut dev = Dev::start(&["--exit-after-demo", "--events", "1000", "--rate", "1000"], &[]);
    let ready = dev.ready().await;
    let victim = ready["worker_pids"][0].as_u64().expect("a pid").to_string();
    let rig = rig(&ready).await;
    rig.wait_for_count("SELECT least(count(*), 1) FROM events", 1)
        .await;
    let held_up = rig.hold_up("events").await;
    let both_hold = wait_for(async || rig.consumers().await.values().all(|held| *held > 0));
    assert!(both_hold.await, "{:?}", rig.consumers().await);
    kill(&victim);
    let killed_at = Instant::now();
    drop(held_up);

    // A name has the pid in its middle.
    let victim = format!("-{victim}-");
    let settled = wait_within(TAKEN_OVER, async || {
        let consumers = rig.consumers().await;
        consumers
            .iter()
            .all(|(name, held)| !name.contains(&victim) || *held == 0)
    });
    let settled = settled.await;
    say_took("from SIGKILL until another worker has its entries", killed_at);
    assert!(settled, "{:?}", rig.consumers().await);
    dev.demo().await;
    say_took("from SIGKILL to the end of dev", killed_at);
    let said = dev.process.stderr();
    assert!(said.contains("worker 1: started again"), "{said}");
}

fn kill(pid: &str) {
    let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a pid"), Signal::KILL).expect("killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_keeps_the_events_for_the_next_run() {
    let data = passable_dir();
    let dir = data.path().join("data");
    let dir_text = dir.to_str().expect("text");
    let mut first = Dev::start(
        &["--exit-after-demo", "--events", "50", "--data-dir", dir_text],
        &[],
    );
    first.ready().await;
    let kept = number(&first.demo().await, "distinct");
    assert!(Path::new(&dir).join("postgres").is_dir());

    let mut second = Dev::start(&["--no-demo", "--data-dir", dir_text], &[]);
    let ready = second.ready().await;
    let found = rig(&ready).await.count("SELECT count(*) FROM events").await;
    assert_eq!(u64::try_from(found).expect("a count"), kept);
    assert_eq!(second.interrupt().await, Some(0), "{}", second.process.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_the_user_brings_are_used_and_none_are_started() {
    let rig = Rig::unmigrated().await;
    let settings = [
        ("DATABASE_URL", rig.database_url.as_str()),
        ("REDIS_URL", rig.redis_url.as_str()),
        ("TOLLGATE_REDIS_PREFIX", rig.prefix.as_str()),
    ];
    let mut dev = Dev::start(&["--exit-after-demo", "--events", "50"], &settings);
    let ready = dev.ready().await;
    let seen = dev.descendants();
    assert_eq!(text(&ready, "database_url"), rig.database_url);
    assert_eq!(text(&ready, "redis_url"), rig.redis_url);
    assert_eq!(named(&seen, "tollgate").len(), 4, "{seen:?}");
    assert!(
        named(&seen, "redis").is_empty() && named(&seen, "postgres").is_empty(),
        "{seen:?}"
    );

    let distinct = number(&dev.demo().await, "distinct");
    let found = rig.count("SELECT count(*) FROM events").await;
    assert_eq!(u64::try_from(found).expect("a count"), distinct);
    assert_eq!(rig.backlog().await, 0);
    assert!(rig.consumers().await.is_empty(), "{:?}", rig.consumers().await);
    dev.assert_nothing_left(&seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_on_the_usual_ports_is_left_alone() {
    // A port that is taken has someone real on it, whom this test cannot ask.
    let strangers: Vec<TcpListener> = USUAL_PORTS
        .into_iter()
        .filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .collect();
    let mut dev = Dev::start(&["--exit-after-demo", "--events", "50", "--rate", "0"], &[]);
    let ready = dev.ready().await;
    for port in USUAL_PORTS {
        assert!(!ready.to_string().contains(&format!(":{port}/")), "{ready}");
    }
    dev.demo().await;
    for stranger in strangers {
        stranger.set_nonblocking(true).expect("set");
        let nobody_came = matches!(stranger.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock);
        assert!(nobody_came, "{stranger:?}");
    }
}
