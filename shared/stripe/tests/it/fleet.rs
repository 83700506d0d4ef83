//! Several replicas on one budget. Time itself is tested here: each test looks at a few seconds, alone.

use std::time::{Duration, Instant};

use stripe_api::{Budget, Endpoint, Mode, Priority, Retrievable};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;

use crate::support::{budget, prefix};

const SECOND: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(4);
const REPLICAS: usize = 3;
const CUSTOMER: Endpoint = Endpoint::Retrieve(Retrievable::Customer);

/// The tests of this file disturb each other's clocks.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// Takes what it gets until `end`; answers when.
async fn greedy(budget: Budget, endpoint: Endpoint, priority: Priority, end: Instant) -> Vec<Instant> {
    let mut granted = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || budget.acquire(None, endpoint, priority, left).await.is_err() {
            return granted;
        }
        granted.push(Instant::now());
    }
}

/// So many tasks of each replica at each endpoint, until `end`. Answers what was granted, in order.
async fn run(
    prefix: &str,
    mode: Mode,
    work: &[(Endpoint, Priority, usize)],
    end: Instant,
) -> Vec<(Instant, Endpoint, Priority)> {
    let mut tasks = JoinSet::new();
    for _ in 0..REPLICAS {
        let budget = budget(prefix, mode);
        for &(endpoint, priority, count) in work {
            for _ in 0..count {
                let budget = budget.clone();
                tasks.spawn(async move {
                    let granted = greedy(budget, endpoint, priority, end).await;
                    granted
                        .into_iter()
                        .map(move |at| (at, endpoint, priority))
                        .collect::<Vec<_>>()
                });
            }
        }
    }
    let mut granted = tasks.join_all().await.concat();
    granted.sort_by_key(|(at, ..)| *at);
    granted
}

/// Most grants in any second.
fn most_in_a_second(granted: impl IntoIterator<Item = Instant>) -> usize {
    let granted: Vec<_> = granted.into_iter().collect();
    (0..granted.len())
        .map(|first| {
            granted[first..]
                .iter()
                .take_while(|at| **at < granted[first] + SECOND)
                .count()
        })
        .max()
        .unwrap_or(0)
}

fn count(granted: &[(Instant, Endpoint, Priority)], priority: Priority) -> usize {
    granted.iter().filter(|(.., of)| *of == priority).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_never_gets_more_than_its_limit_and_most_of_it() {
    let _alone = alone().await;
    let work = [(CUSTOMER, Priority::Live, 3)];
    let granted = run(&prefix(), Mode::Live, &work, Instant::now() + LOOK).await;
    let most = most_in_a_second(granted.iter().map(|(at, ..)| *at));
    println!("endpoint: {} in {LOOK:?}, most in a second {most}", granted.len());
    assert!(most <= 25, "{most}");
    assert!(granted.len() >= 25 * 4 * 80 / 100, "{}", granted.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_never_gets_more_than_its_limit_and_most_of_it() {
    let _alone = alone().await;
    let work: Vec<_> = Endpoint::all()
        .map(|endpoint| (endpoint, Priority::Live, 1))
        .collect();
    let granted = run(&prefix(), Mode::Live, &work, Instant::now() + LOOK).await;
    let most = most_in_a_second(granted.iter().map(|(at, ..)| *at));
    println!("account: {} in {LOOK:?}, most in a second {most}", granted.len());
    assert!(most <= 100, "{most}");
    assert!(granted.len() >= 100 * 4 * 80 / 100, "{}", granted.len());
    for endpoint in Endpoint::all() {
        let of = granted
            .iter()
            .filter(|(_, of, _)| *of == endpoint)
            .map(|(at, ..)| *at);
        let most = most_in_a_second(of);
        assert!(most <= 25, "{endpoint:?} {most}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfill_uses_what_is_left_and_yields() {
    let _alone = alone().await;
    let alone = run(
        &prefix(),
        Mode::Sandbox,
        &[(CUSTOMER, Priority::Backfill, 2)],
        Instant::now() + LOOK,
    )
    .await;
    println!("backfill alone: {} in {LOOK:?}", alone.len());
    assert!(alone.len() >= 25 * 4 * 60 / 100, "{}", alone.len());

    let both = [(CUSTOMER, Priority::Live, 2), (CUSTOMER, Priority::Backfill, 2)];
    let granted = run(&prefix(), Mode::Sandbox, &both, Instant::now() + LOOK).await;
    let (live, backfill) = (
        count(&granted, Priority::Live),
        count(&granted, Priority::Backfill),
    );
    println!("beside each other: live {live}, backfill {backfill}");
    assert!(backfill * 4 <= live, "live {live}, backfill {backfill}");
    let most = most_in_a_second(granted.iter().map(|(at, ..)| *at));
    assert!(most <= 25, "{most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_traffic_is_granted_at_once_beside_backfill() {
    let _alone = alone().await;
    let prefix = prefix();
    let end = Instant::now() + LOOK;
    let flood = [(CUSTOMER, Priority::Backfill, 3)];
    let backfill = run(&prefix, Mode::Sandbox, &flood, end);
    let live = async {
        let budget = budget(&prefix, Mode::Sandbox);
        let mut worst = Duration::ZERO;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let start = Instant::now();
            let granted = budget.acquire(None, CUSTOMER, Priority::Live, SECOND).await;
            assert_eq!(granted, Ok(()));
            worst = worst.max(start.elapsed());
        }
        worst
    };
    let (granted, worst) = tokio::join!(backfill, live);
    println!("{} backfills; live waited at most {worst:?}", granted.len());
    // One token comes in 47 ms; whoever had to queue behind nine others would wait ten times that.
    assert!(worst < Duration::from_millis(250), "{worst:?}");
}
