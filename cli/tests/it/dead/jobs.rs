//! Replays and discarding.

use bytes::Bytes;

use super::{APPLIED, CAUSE, WAITING, dead, lines, mend, set_aside};
use crate::support::process::Tollgate;
use crate::support::{Rig, customer};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mended_is_applied_and_the_rest_waits_again() {
    let rig = Rig::new().await;
    set_aside(&rig, 30).await;
    mend(&rig).await;
    let worker = rig.worker();
    let one = dead(
        &rig,
        &["replay", "--id", "evt_7_1", "--why", "a look", "--yes", "--json"],
    )
    .await;
    assert_eq!(
        (one.code, &lines(&one)[0]["done"]),
        (Some(0), &1.into()),
        "{one:?}"
    );
    assert_eq!(rig.count(APPLIED).await, 1);

    let all = dead(&rig, &["replay", "--all", "--why", "mended", "--yes", "--json"]).await;
    assert_eq!(all.code, Some(3), "two cannot be read: {all:?}");
    let told = &lines(&all)[0];
    assert_eq!(
        (&told["counted"], &told["done"], &told["failed"]),
        (&31.into(), &29.into(), &2.into())
    );
    assert_eq!(rig.count(APPLIED).await, 30);
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, 30);
    assert_eq!(rig.count(WAITING).await, 2);
    assert_eq!(
        rig.count("SELECT count(*) FROM parked_events WHERE state = 'waiting' AND replays = 1")
            .await,
        2
    );
    // Again: there is nothing left but what fails.
    let again = dead(
        &rig,
        &["replay", "--id", "evt_7_1", "--why", "twice", "--yes", "--json"],
    )
    .await;
    assert_eq!(
        (again.code, &lines(&again)[0]["counted"]),
        (Some(0), &0.into()),
        "{again:?}"
    );
    assert_eq!(
        rig.count("SELECT count(*) FROM redeliveries").await,
        0,
        "a replay is no delivery"
    );

    let story = Tollgate::run(&["events", "show", "evt_7_1"], &rig.env()).await;
    for word in ["parked", "replayed", "by olga: a look", "this event stands"] {
        assert!(story.stdout.contains(word), "{word}: {story:?}");
    }
    let audited =
        "SELECT string_agg(concat_ws(' ', actor, role, action, reason), ', ' ORDER BY id) FROM audit_log";
    assert_eq!(
        rig.text(audited).await.as_deref(),
        Some(
            "olga operator dead_letters.replay a look, olga operator dead_letters.replay mended, \
              olga operator dead_letters.replay twice"
        )
    );
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_that_is_still_there_sets_aside_again_and_ends() {
    let rig = Rig::new().await;
    set_aside(&rig, 20).await;
    let worker = rig.worker();
    let all = dead(&rig, &["replay", "--all", "--why", "hope", "--yes", "--json"]).await;
    assert_eq!(all.code, Some(3), "{all:?}");
    assert_eq!(lines(&all)[0]["failed"], 22);
    assert_eq!(
        rig.count("SELECT count(*) FROM parked_events WHERE state = 'waiting' AND replays = 1")
            .await,
        22
    );
    assert_eq!(
        rig.count("SELECT sum(letters)::bigint FROM dead_groups WHERE state = 'waiting'")
            .await,
        22
    );
    assert_eq!(
        rig.count("SELECT count(*) FROM events WHERE status = 'parked'")
            .await,
        22
    );
    worker.stop().await.expect("a clean end");
}

/// Workers are killed while they replay, at random moments; two jobs want the same letters.
#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_it_goes_on_and_twice_is_once() {
    let rig = Rig::new().await;
    let letters: usize = 400;
    rig.execute(CAUSE).await;
    let bodies: Vec<Bytes> = (1..=letters).map(|number| customer(number, 1)).collect();
    rig.enqueue(&bodies).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    worker.stop().await.expect("a clean end");
    mend(&rig).await;
    let replay = "replay --all --why mended --rate 100 --yes --no-wait";
    let replay: Vec<&str> = replay.split(' ').collect();
    for _ in 0..2 {
        let job = dead(&rig, &replay).await;
        assert_eq!(job.code, Some(0), "{job:?}");
    }
    // So that a lease that nobody holds does not have to run out.
    let free =
        "UPDATE dead_jobs SET leased_until = clock_timestamp() - interval '1 second' WHERE state = 'open'";
    let mut done = 0;
    for _ in 0..3 {
        let mut worker = Tollgate::start(&["worker"], &rig.env());
        let some_more =
            format!("SELECT CASE WHEN count(*) > {done} THEN 1 ELSE 0 END::bigint FROM customers");
        rig.wait_for_count(&some_more, 1).await;
        worker.signal(stack::Signal::KILL);
        drop(worker);
        done = rig.count("SELECT count(*) FROM customers").await;
        rig.execute(free).await;
    }
    assert!(done < letters as i64, "killed in the middle");
    let worker = rig.worker();
    rig.wait_for_count("SELECT count(*) FROM dead_jobs WHERE state = 'done'", 2)
        .await;
    worker.stop().await.expect("a clean end");
    let letters = letters as i64;
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, letters);
    assert_eq!(rig.count(WAITING).await, 0);
    assert_eq!(
        rig.count("SELECT sum(done)::bigint FROM dead_jobs").await,
        letters
    );
    assert_eq!(
        rig.count("SELECT count(*) FROM dead_deeds WHERE outcome = 'applied'")
            .await,
        letters,
        "each once"
    );
    assert_eq!(
        rig.count("SELECT max(replays)::bigint FROM parked_events").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_discarded_is_kept_and_can_be_replayed() {
    let rig = Rig::new().await;
    set_aside(&rig, 3).await;
    let refused = dead(&rig, &["discard", "--all", "--why", "x"]).await;
    assert_eq!(refused.code, Some(2), "nobody can be asked: {refused:?}");
    assert_eq!(
        dead(&rig, &["discard", "--why", "x", "--yes"]).await.code,
        Some(2),
        "which?"
    );
    let worker = rig.worker();
    let done = dead(
        &rig,
        &[
            "discard",
            "--type",
            "customer.updated",
            "--why",
            "a test",
            "--yes",
            "--json",
        ],
    )
    .await;
    assert_eq!(
        (done.code, &lines(&done)[0]["done"]),
        (Some(0), &3.into()),
        "{done:?}"
    );
    assert_eq!(rig.count(WAITING).await, 2);
    assert_eq!(
        lines(&dead(&rig, &["list", "--discarded", "--json"]).await).len(),
        3
    );
    assert_eq!(
        rig.count("SELECT count(*) FROM events WHERE status = 'parked'")
            .await,
        5
    );

    mend(&rig).await;
    let done = dead(
        &rig,
        &[
            "replay",
            "--all",
            "--discarded",
            "--why",
            "after all",
            "--yes",
            "--json",
        ],
    )
    .await;
    assert_eq!(
        (done.code, &lines(&done)[0]["done"]),
        (Some(0), &3.into()),
        "{done:?}"
    );
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, 3);
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_keeps_its_rate_and_can_be_stopped() {
    let rig = Rig::new().await;
    set_aside(&rig, 20).await;
    mend(&rig).await;
    let job = dead(
        &rig,
        &[
            "replay",
            "--all",
            "--why",
            "slowly",
            "--rate",
            "1",
            "--yes",
            "--no-wait",
            "--json",
        ],
    )
    .await;
    let id = lines(&job)[0]["job"].to_string();
    let worker = rig.worker();
    rig.wait_for_count("SELECT least(done + failed, 1)::bigint FROM dead_jobs", 1)
        .await;
    let stopped = dead(&rig, &["stop", &id]).await;
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    let watched = dead(&rig, &["watch", &id, "--json"]).await;
    assert_eq!(lines(&watched)[0]["state"], "stopped", "{watched:?}");
    worker.stop().await.expect("a clean end");
    assert!(rig.count(WAITING).await > 10, "one a second");
    assert_eq!(dead(&rig, &["stop", &id]).await.code, Some(1));
}

/// What was no event stays as it is, and an event that was kept as bytes becomes one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_as_bytes_is_run_again_too() {
    let rig = Rig::new().await;
    rig.execute("ALTER TABLE events ADD CONSTRAINT no_second CHECK (id <> 'evt_2_2')")
        .await;
    rig.xadd(&[("hello", b"world")]).await;
    rig.enqueue(&[customer(2, 2)]).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    rig.execute("ALTER TABLE events DROP CONSTRAINT no_second").await;
    let all = dead(&rig, &["replay", "--all", "--why", "mended", "--yes", "--json"]).await;
    assert_eq!(all.code, Some(3), "{all:?}");
    let told = &lines(&all)[0];
    assert_eq!((&told["done"], &told["failed"]), (&1.into(), &1.into()), "{told}");
    let seen = "SELECT concat_ws(' ', id, status, endpoint) FROM events";
    assert_eq!(rig.text(seen).await.as_deref(), Some("evt_2_2 applied default"));
    assert_eq!(rig.count(WAITING).await, 1);
    assert_eq!(
        rig.count("SELECT count(*) FROM parked_events WHERE entry IS NOT NULL")
            .await,
        2,
        "nothing is lost"
    );
    worker.stop().await.expect("a clean end");
}
