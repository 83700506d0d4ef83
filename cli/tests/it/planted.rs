//! `tollgate chaos` in a build that makes mistakes on purpose: it has to find each of them. See `.ci/run`.

use shared::lifecycle::EXIT_BROKEN;

use crate::chaos::{chaos, report};
use crate::support::process::Tollgate;
use crate::support::{PATIENCE, Rig, customer};

/// Whether a run with a mistake finds it, as what it is; one without any finds nothing.
async fn is_found(bug: Option<(&str, &str)>, faults: &str) {
    let mut args = vec!["--json", "--seed", "1", "--rate", "100", "--only", faults];
    if let Some((name, _)) = bug {
        args.extend(["--with-bug", name]);
    }
    let ended = chaos(&args).await;
    let Some((name, finding)) = bug else {
        return assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
    let count = report(&ended)[finding]["count"].as_u64();
    assert!(count > Some(0), "{name}: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_before_the_commit_is_lost() {
    is_found(Some(("acknowledge-before-commit", "lost")), "kill-worker").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_before_redis_has_it_is_lost() {
    is_found(Some(("answer-before-xadd", "lost")), "kill-ingest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_taken_over_is_lost() {
    is_found(Some(("no-reclaim", "lost")), "kill-worker").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tells_snapshots_apart_by_their_time_alone_is_wrong() {
    is_found(Some(("tie-by-less-than", "wrong")), "flush-scripts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_first_and_inserts_then_does_it_twice() {
    is_found(Some(("check-then-insert", "doubled")), "flush-scripts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_mistake_none_is_found() {
    is_found(None, "kill-worker,kill-ingest,flush-scripts").await;
}

/// Half alive, it would look well and get nothing done: its leases would be kept, and its readiness say nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_when_what_it_cannot_do_without_panics() {
    let rig = Rig::new().await;
    rig.enqueue(&[customer(0, 1)]).await;
    let env = rig.env().with("TOLLGATE_PLANTED_BUG", "fetch-panics");
    let mut worker = Tollgate::start(&["worker"], &env);
    let status = worker.end_within(PATIENCE).await;
    assert_eq!(status, Some(EXIT_BROKEN), "{}", worker.stderr());
    assert!(worker.stderr().contains("fetching"), "{}", worker.stderr());
    assert_eq!(rig.backlog().await, 1, "nothing is lost");
}

/// With two of them in one run, the neighbours of the killer are there at many deaths.
#[tokio::test(flavor = "multi_thread")]
async fn who_kills_its_worker_is_set_aside_and_nobody_else() {
    is_found(None, "poison-panic,poison-abort").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_is_ended_and_set_aside_and_nobody_else() {
    is_found(None, "poison-hang").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_clocks_and_two_builds_at_once_change_nothing() {
    is_found(None, "step-clocks-minutes,step-clocks-hours,upgrade").await;
}
