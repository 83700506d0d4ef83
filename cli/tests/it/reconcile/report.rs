//! What is withheld is found, by id; coverage ends before the first of it; and it is filled in.

use super::Town;

const APPLIED: &str = "SELECT count(*) FROM events WHERE status = 'applied'";

#[tokio::test(flavor = "multi_thread")]
async fn withheld_events_are_found_by_id_and_filled_in() {
    let town = Town::open().await;
    let looking = town
        .rig
        .worker_with(town.env(&[("TOLLGATE_RECONCILE", "report")]));
    town.customers(20).await;
    town.arrive(20).await;
    town.wait_for_coverage(|it| it.covered_until.is_some()).await;

    town.lose("0.02").await;
    town.customers(150).await;
    let mut missing = town.lost();
    assert!(!missing.is_empty(), "the seed loses some");
    town.turn_endpoint(false).await;
    let before = town.told();
    town.customers(5).await;
    missing.extend(town.told().difference(&before).cloned());
    town.turn_endpoint(true).await;
    town.lose("0").await;
    town.customers(20).await;
    let count = i64::try_from(missing.len()).expect("few");
    town.arrive(195 - count).await;
    let seen = town.wait_for_coverage(|it| it.holes == count).await;
    let last = town.wait_for_coverage(|it| it.round_at > seen.round_at).await;
    assert_eq!(town.holes().await, missing);
    let first = town
        .rig
        .count("SELECT extract(epoch FROM min(created))::bigint FROM coverage_holes")
        .await;
    assert_eq!(
        last.covered_until,
        Some(first - 1),
        "it ends before the first hole"
    );
    assert_eq!(town.rig.count(APPLIED).await, 195 - count);
    looking.stop().await.expect("a clean end");

    let mending = town.rig.worker_with(town.env(&[]));
    town.wait_until_all_is_here().await;
    let whole = town
        .wait_for_coverage(|it| it.holes == 0 && it.covered_until > Some(first))
        .await;
    assert_eq!(whole.covered_until, whole.looked_until);
    assert_eq!(town.rig.count(APPLIED).await, 195);
    assert_eq!(town.rig.count("SELECT count(*) FROM customers").await, 195);
    assert_eq!(town.holes().await, missing, "what was lost stays known");
    let filled =
        "SELECT count(*) FROM events e JOIN coverage_holes h ON (h.account, h.event_id) = (e.account, e.id)
                  WHERE e.endpoint = 'stripe-api' AND h.filled_at IS NOT NULL AND h.tries > 0";
    assert_eq!(town.rig.count(filled).await, count);
    mending.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_worker_is_no_hole() {
    let town = Town::open().await;
    let worker = town.rig.worker_with(town.env(&[]));
    town.customers(1).await;
    town.arrive(1).await;
    let before = town.wait_for_coverage(|it| it.covered_until.is_some()).await;
    let held = town.rig.hold_up("customers").await;
    town.customers(2).await;
    town.rig.wait_until_held(2).await;
    town.pass().await;
    let behind = town.wait_for_coverage(|it| it.queued == 2).await;
    assert_eq!((behind.holes, behind.missing), (0, 0), "{behind:?}");
    assert!(behind.covered_until >= before.covered_until);
    drop(held);
    town.rig.wait_for_count(APPLIED, 3).await;
    town.wait_for_coverage(|it| it.queued == 0 && it.covered_until > behind.covered_until)
        .await;
    assert_eq!(town.holes().await.len(), 0);
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_account_is_filled_in() {
    let town = Town::open().await;
    let worker = town
        .rig
        .worker_with(town.env(&[("TOLLGATE_STRIPE_ACCOUNT", "acct_ours")]));
    town.lose("1").await;
    town.customers(1).await;
    let seen = town.wait_for_coverage(|it| it.last_error.is_some()).await;
    assert_eq!(seen.verdict.as_deref(), Some("wrong_account"), "{seen:?}");
    let error = seen.last_error.expect("seen above");
    assert!(error.contains("acct_ours"), "{error}");
    assert_eq!((town.holes().await.len(), town.rig.backlog().await), (0, 0));
    assert_eq!(town.rig.count("SELECT count(*) FROM events").await, 0);
    worker.stop().await.expect("a clean end");
}
