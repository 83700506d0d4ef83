//! Roles as real processes: asked to stop, killed, stopped for a while, started before their servers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::config::Env;
use shared::queue::{CHUNK_ENTRIES_MAX, LEASE};
use shared::signature::Secret;
use simulator::sender::{Pace, Sender, Settings};
use simulator::traffic::Plan;
use stack::{Options, Proxy, Signal, Stack};
use tokio::sync::mpsc;

use crate::support::process::{Tollgate, say_took};
use crate::support::{Rig, SECRET, customer, http, wait_for, wait_within};

const ALL: &str = "SELECT count(*) FROM events";
const APPLIED: &str = "SELECT count(*) FROM events WHERE status = 'applied'";
/// Everything the workers wrote, as one word. `xmin` shows even a write that changes no value.
const DIGEST: &str = "SELECT md5(string_agg(row, ' ' ORDER BY row)) FROM (
    SELECT concat_ws(' ', xmin, events) AS row FROM events
    UNION ALL SELECT concat_ws(' ', xmin, objects) FROM objects
    UNION ALL SELECT concat_ws(' ', xmin, customers) FROM customers) rows";
/// What a worker begins at a time, with the default concurrency, and what it holds with the chunk that waits.
const BEGUN: usize = 4 * CHUNK_ENTRIES_MAX;
const HELD: usize = BEGUN + CHUNK_ENTRIES_MAX;
/// More than that, so that something is left for others.
const QUEUED: usize = 3_000;
/// For two workers.
const SHARDS: u16 = 8;
/// Transactions in mid-way that somebody holds up.
const WAITING_FOR_LOCKS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
/// The default of `TOLLGATE_SHUTDOWN_SECONDS`.
const SHUTDOWN: Duration = Duration::from_secs(25);
/// Well below the lease: within it nothing was waited for.
const PROMPTLY: Duration = Duration::from_secs(6);
/// The lease, the search for run-out ones, and the work.
const TAKEN_OVER: Duration = Duration::from_secs(15);

fn worker(env: &Env) -> Tollgate {
    Tollgate::start(&["worker"], env)
}

/// Whether all threads of a process stand still.
fn is_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let stat =
        |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
    threads.flatten().map(stat).all(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

fn customers(from: usize, to: usize) -> Vec<Bytes> {
    (from..to).map(|number| customer(number, 1)).collect()
}

/// Each event there, once, and nothing set aside.
async fn assert_each_once(rig: &Rig, events: usize) {
    let once = "SELECT count(DISTINCT id) FROM events WHERE status = 'applied'";
    let wanted = i64::try_from(events).expect("few");
    assert_eq!((rig.count(ALL).await, rig.count(once).await), (wanted, wanted));
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, wanted);
    assert_eq!(rig.count("SELECT count(*) FROM parked_events").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_asked_to_stop_finishes_what_it_began_and_hands_back_the_rest() {
    let rig = Rig::new().await;
    rig.enqueue(&customers(0, QUEUED)).await;
    let held_up = rig.hold_up("customers").await;
    let mut first = worker(&rig.env());
    let admin = first.ready().await;
    rig.wait_until_held(HELD as u64).await;

    first.signal(Signal::TERM);
    assert_eq!(
        http::wait_for_text(&format!("{admin}/readyz"), "stopping").await,
        503
    );
    drop(held_up);
    assert_eq!(first.end_within(PROMPTLY).await, Some(0), "{}", first.stderr());
    assert_eq!(rig.count(APPLIED).await, BEGUN as i64);
    assert_eq!(rig.backlog().await, (QUEUED - BEGUN) as u64);

    let mut second = worker(&rig.env());
    second.ready().await;
    let drained = wait_within(PROMPTLY, async || rig.backlog().await == 0);
    assert!(drained.await, "what was handed back waits for the lease");
    assert_each_once(&rig, QUEUED).await;
    let left = first.logged("working", "consumer").await;
    assert!(
        !rig.consumers().await.contains_key(&left),
        "the name of the stopped one stays"
    );
    let name = second.logged("working", "consumer").await;
    assert_eq!(second.terminate(PROMPTLY).await, Some(0));
    assert!(!rig.consumers().await.contains_key(&name), "its name stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_to_which_postgres_says_nothing_more_ends_in_time_and_hands_back() {
    let rig = Rig::new().await;
    let proxy = Proxy::start(rig.postgres()).expect("a port");
    rig.enqueue(&customers(0, 10)).await;
    let held_up = rig.hold_up("customers").await;
    let mut first = worker(&rig.env().with("DATABASE_URL", &rig.database_url_over(&proxy)));
    first.ready().await;
    assert!(wait_for(async || rig.count(WAITING_FOR_LOCKS).await > 0).await);
    proxy.half_open();
    drop(held_up);
    first.signal(Signal::TERM);
    assert_eq!(first.end_within(SHUTDOWN).await, Some(0), "{}", first.stderr());

    let mut second = worker(&rig.env());
    second.ready().await;
    let drained = wait_within(PROMPTLY, async || rig.backlog().await == 0);
    assert!(drained.await, "what it had in hand waits for the lease");
    assert_each_once(&rig, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_claims_while_it_is_stopping_is_handed_back() {
    let rig = Rig::new().await;
    let mut first = worker(&rig.env());
    let admin = first.ready().await;
    first.signal(Signal::TERM);
    http::wait_for_text(&format!("{admin}/readyz"), "stopping").await;
    // Its last read is still waiting for entries, for up to a second.
    rig.enqueue(&customers(0, 10)).await;
    assert_eq!(first.end_within(PROMPTLY).await, Some(0));
    assert_eq!(rig.backlog().await, 10);

    let mut second = worker(&rig.env());
    second.ready().await;
    let drained = wait_within(PROMPTLY, async || rig.backlog().await == 0);
    assert!(drained.await, "what it claimed last waits for the lease");
    assert_each_once(&rig, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entries_of_a_killed_worker_are_taken_over() {
    let rig = Rig::new().await;
    rig.enqueue(&customers(0, QUEUED)).await;
    let held_up = rig.hold_up("customers").await;
    let mut first = worker(&rig.env());
    first.ready().await;
    rig.wait_until_held(HELD as u64).await;
    // In mid-transaction with four chunks, or just behind it with some of them.
    drop(held_up);
    first.signal(Signal::KILL);
    let killed_at = Instant::now();
    assert_eq!(first.end_within(PROMPTLY).await, None, "a signal ended it");
    assert!(rig.backlog().await > 0, "nothing was left to take over");

    let second = worker(&rig.env());
    let limit = TAKEN_OVER.saturating_sub(killed_at.elapsed());
    let drained = wait_within(limit, async || rig.backlog().await == 0).await;
    say_took("from SIGKILL to the last of its entries", killed_at);
    assert!(
        drained,
        "{} left {TAKEN_OVER:?} after the kill",
        rig.backlog().await
    );
    assert_each_once(&rig, QUEUED).await;
    assert_eq!(second.terminate(PROMPTLY).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_slept_past_its_lease_changes_nothing_and_goes_on() {
    let rig = Rig::new().await;
    rig.enqueue(&customers(0, QUEUED)).await;
    let held_up = rig.hold_up("customers").await;
    let mut sleeper = worker(&rig.env());
    let admin = sleeper.ready().await;
    rig.wait_until_held(HELD as u64).await;
    sleeper.signal(Signal::STOP);
    // The signal is on its way; until every thread has it, one may still send its COMMIT.
    assert!(
        wait_for(async || is_stopped(sleeper.id())).await,
        "it does not stop"
    );
    let stopped_at = Instant::now();
    // Its statements go through; nobody commits them.
    drop(held_up);

    let other = worker(&rig.env());
    rig.wait_until_drained().await;
    say_took("from SIGSTOP to the last of its entries", stopped_at);
    assert!(stopped_at.elapsed() > LEASE, "it was not taken over but released");
    assert_each_once(&rig, QUEUED).await;
    let before = rig.text(DIGEST).await;

    sleeper.signal(Signal::CONT);
    let duplicates = r#"tollgate_events_total{event_type="customer.updated",outcome="duplicate"}"#;
    // The chunk that waited may have been on its way in the very read that the stop interrupted.
    let awake = wait_for(async || http::metric(&admin, duplicates).await >= BEGUN as u64);
    assert!(awake.await, "{}", sleeper.stderr());
    let applied = r#"tollgate_events_total{event_type="customer.updated",outcome="applied"}"#;
    assert_eq!(http::metric(&admin, applied).await, 0);
    assert_eq!(rig.text(DIGEST).await, before, "the late one wrote something");

    // The other goes on, and then, alone, the late one.
    assert_eq!(other.terminate(PROMPTLY).await, Some(0));
    rig.enqueue(&customers(QUEUED, QUEUED + 10)).await;
    rig.wait_until_drained().await;
    assert_eq!(http::metric(&admin, applied).await, 10);
    assert_each_once(&rig, QUEUED + 10).await;
    assert_eq!(sleeper.terminate(PROMPTLY).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_started_before_its_servers_says_what_it_waits_for_and_then_works() {
    let mut stack = Stack::start(Options::throwaway()).expect("servers");
    let urls = (
        stack.database_url().expect("asked for"),
        stack.redis_url().expect("asked for"),
    );
    let rig = Rig::on(urls.0, urls.1).await;
    rig.store().migrate().await.expect("migrated");
    stack.redis_mut().expect("asked for").stop().expect("stopped");
    stack.postgres_mut().expect("asked for").stop().expect("stopped");

    let mut worker = worker(&rig.env());
    let admin = worker.admin_url().await;
    let readyz = format!("{admin}/readyz");
    assert_eq!(http::wait_for_text(&readyz, "refused").await, 503);
    let live = http::get(&format!("{admin}/livez")).await;
    assert_eq!(live.map(|(status, _)| status), Some(200));

    stack.postgres_mut().expect("asked for").restart().expect("again");
    let mut last = None;
    let reached = wait_for(async || {
        last = http::get(&readyz).await;
        matches!(&last, Some((503, text)) if text.contains("redis: redis") && !text.contains("postgres"))
    });
    assert!(reached.await, "Redis alone is waited for: {last:?}");

    stack.redis_mut().expect("asked for").restart().expect("again");
    http::wait_for_status(&readyz, 200).await;
    rig.enqueue(&customers(0, 10)).await;
    rig.wait_until_drained().await;
    assert_each_once(&rig, 10).await;
    assert_eq!(worker.terminate(PROMPTLY).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_finish_ends_at_its_deadline_or_at_a_second_signal() {
    let mut stack = Stack::start(Options::throwaway()).expect("servers");
    let urls = (
        stack.database_url().expect("asked for"),
        stack.redis_url().expect("asked for"),
    );
    let rig = Rig::on(urls.0, urls.1).await;
    rig.store().migrate().await.expect("migrated");
    let mut hasty = worker(&rig.env().with("TOLLGATE_SHUTDOWN_SECONDS", "1"));
    let mut patient = worker(&rig.env().with("TOLLGATE_SHUTDOWN_SECONDS", "3600"));
    hasty.ready().await;
    let admin = patient.ready().await;
    rig.enqueue_into(SHARDS, &[]).await;
    rig.wait_until_shared(usize::from(SHARDS), 2).await;
    stack.postgres_mut().expect("asked for").pause().expect("paused");
    rig.enqueue_into(SHARDS, &customers(0, 100)).await;
    // Redis knows a worker from its first read on.
    let holding = async || {
        rig.consumers()
            .await
            .into_values()
            .filter(|held| *held > 0)
            .count()
    };
    let both_hold = wait_for(async || holding().await == 2);
    assert!(both_hold.await, "{:?}", rig.consumers().await);

    hasty.signal(Signal::TERM);
    let asked_at = Instant::now();
    let limit = Duration::from_secs(3);
    assert_eq!(hasty.end_within(limit).await, Some(1), "{}", hasty.stderr());
    assert!(
        asked_at.elapsed() >= Duration::from_secs(1),
        "{:?}",
        asked_at.elapsed()
    );

    patient.signal(Signal::TERM);
    http::wait_for_text(&format!("{admin}/readyz"), "stopping").await;
    patient.signal(Signal::TERM);
    assert_eq!(patient.end_within(limit).await, Some(1), "{}", patient.stderr());
    assert!(patient.stderr().contains("second signal"), "{}", patient.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_be_configured_names_everything_that_is_wrong_at_once() {
    let cases = [
        (
            "worker",
            ["REDIS_URL", "DATABASE_URL", "TOLLGATE_WORKER_ADMIN_ADDR"],
        ),
        (
            "ingest",
            ["REDIS_URL", "STRIPE_WEBHOOK_SECRET", "TOLLGATE_INGEST_ADDR"],
        ),
    ];
    for (role, settings) in cases {
        let env = Env::default();
        let nothing_set = Tollgate::run(&[role], &env).await;
        assert_eq!(nothing_set.code, Some(78), "{nothing_set:?}");
        for setting in &settings[..2] {
            assert!(
                nothing_set.stderr.contains(&format!("{setting} is not set")),
                "{nothing_set:?}"
            );
        }
        let badly_set = Tollgate::run(&[role], &env.with(settings[2], "nowhere")).await;
        assert_eq!(badly_set.code, Some(78), "{badly_set:?}");
        for setting in settings {
            assert!(badly_set.stderr.contains(setting), "{badly_set:?}");
        }
        assert_eq!(badly_set.stdout, "");
    }
}

/// The whole chain, with its door kicked in.
#[tokio::test(flavor = "multi_thread")]
async fn every_accepted_event_arrives_although_ingest_is_killed_and_started_again() {
    const EVENTS: usize = 500;
    const PER_SECOND: f64 = 400.0;
    let rig = Rig::new().await;
    let mut ingest = Tollgate::start(&["ingest"], &rig.env());
    ingest.ready().await;
    let address = ingest.logged("listening", "address").await;
    let env = rig.env().with("TOLLGATE_INGEST_ADDR", &address);
    let workers = [worker(&rig.env()), worker(&rig.env())];

    let traffic = Plan::new(7, EVENTS, shared::clock::Clock::system().unix_seconds()).traffic();
    let ids: Vec<String> = traffic.event_ids().into_iter().map(str::to_owned).collect();
    let deliveries = traffic.deliveries.len();
    let settings = Settings {
        pace: Pace::PerSecond(PER_SECOND),
        ..Settings::default()
    };
    let secret = Secret::new(SECRET).expect("usable");
    let url = format!("http://{address}/webhooks/stripe");
    let sender = Sender::new(&url, vec![secret], settings).expect("an URL");
    let (outcomes, mut accepted) = mpsc::unbounded_channel();
    let sending = tokio::spawn(async move {
        sender
            .send(traffic.deliveries, outcomes, std::future::pending())
            .await
    });
    for _ in 0..deliveries / 3 {
        accepted.recv().await.expect("an outcome");
    }
    ingest.signal(Signal::KILL);
    assert_eq!(ingest.end_within(PROMPTLY).await, None, "a signal ended it");
    let mut ingest = Tollgate::start(&["ingest"], &env);
    ingest.ready().await;

    let report = sending.await.expect("no panic");
    assert_eq!(report.accepted, deliveries, "{report:?}");
    assert!(
        report.attempts > deliveries as u64,
        "nothing was refused: {report:?}"
    );
    rig.wait_until_drained().await;
    let arrived = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM events WHERE id = ANY($1)")
        .bind(&ids)
        .fetch_one(&rig.pool)
        .await
        .expect("a number");
    assert_eq!(arrived, ids.len() as i64);
    assert_eq!(
        rig.count(ALL).await,
        ids.len() as i64,
        "nothing doubled, nothing else"
    );
    assert_eq!(rig.count("SELECT count(*) FROM parked_events").await, 0);
    for process in workers.into_iter().chain([ingest]) {
        assert_eq!(process.terminate(PROMPTLY).await, Some(0));
    }
}
