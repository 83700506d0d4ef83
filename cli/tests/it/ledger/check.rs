//! The check in motion: while others write, over more than one step holds, by several at once.

use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::Policy;
use simulator::dice::Dice;
use store::Store;
use store::check::{Step, Violation};
use store::sweep::ProblemAfter;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker::sweeper::sweep;

use super::{DAY, NOW, TopUp, apply, sell, team, user};
use crate::support::{Rig, wait_for};

async fn step(store: &Store, rows: u32) -> Step {
    let step = store.check_step(rows, true).await.expect("a step");
    step.expect("nobody else has it for ever")
}

/// A whole round in steps of so many rows; what is broken then.
pub async fn round(store: &Store, rows: u32, from_zero: bool) -> Vec<Violation> {
    store.begin_check(from_zero).await.expect("begun");
    while !step(store, rows).await.ended_round {}
    store.violations(10_000).await.expect("a list")
}

/// Sales, refunds and disputes of a few owners, whose order means nothing.
async fn trade(store: Store, seed: u64, stop: CancellationToken) -> u64 {
    let mut dice = Dice::new(seed);
    let mut done = 0;
    while !stop.is_cancelled() {
        let mut events: Vec<Bytes> = Vec::new();
        for number in 0..dice.below(8) + 1 {
            let owner = if dice.chance(0.2) {
                team("t")
            } else {
                user(&format!("u{}", dice.below(6)))
            };
            let cents = dice.seconds(10, 200);
            let mut sale = TopUp::new(&format!("{seed}_{done}_{number}"), &owner, cents);
            if dice.chance(0.5) {
                sale = sale.for_days(dice.seconds(1, 20));
            }
            events.push(sale.event());
            if dice.chance(0.4) {
                let status = *dice.pick(&["succeeded", "pending", "failed"]);
                events.push(sale.refund(1, dice.seconds(1, cents), status, NOW + 1));
            }
            if dice.chance(0.3) {
                let status = *dice.pick(&["needs_response", "lost", "won"]);
                events.push(sale.dispute(dice.seconds(1, cents), status, NOW + 2));
            }
        }
        dice.shuffle(&mut events);
        apply(&store, &Policy::default(), &events).await;
        done += 1;
    }
    done
}

async fn spend(store: Store, seed: u64, stop: CancellationToken) -> u64 {
    let mut dice = Dice::new(seed);
    let mut done = 0;
    while !stop.is_cancelled() {
        let (who, credits) = (format!("u{}", dice.below(6)), dice.seconds(1, 60));
        let key = format!("{seed} {done}");
        store
            .spend("", &who, credits, &key, None)
            .await
            .expect("an answer");
        done += 1;
    }
    done
}

async fn sweep_on(store: Store, stop: CancellationToken) -> u64 {
    let mut done = 0;
    while !stop.is_cancelled() {
        let now = NOW + i64::try_from(done % 30).expect("few") * DAY;
        sweep(&store, &Policy::default(), now, &mut ProblemAfter::default())
            .await
            .expect("swept");
        done += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_healthy_looks_broken_while_others_write() {
    const TIME: Duration = Duration::from_secs(4);
    let rig = Rig::new().await;
    let store = rig.store();
    for user in ["u0", "u1", "u2"] {
        store.add_team_member("", "t", user).await.expect("added");
    }
    let stop = CancellationToken::new();
    let mut writers = JoinSet::new();
    for seed in 1..=2 {
        writers.spawn(trade(rig.store(), seed, stop.clone()));
        writers.spawn(spend(rig.store(), seed, stop.clone()));
        writers.spawn(sweep_on(rig.store(), stop.clone()));
    }
    let began = Instant::now();
    let (mut rounds, mut rows) = (0, 1);
    while began.elapsed() < TIME {
        let step = step(&store, rows).await;
        assert_eq!(step.found, [], "after {rounds} rounds");
        rounds += u32::from(step.ended_round);
        rows = if step.ended_round { 400 } else { rows % 50 + 7 };
    }
    stop.cancel();
    while let Some(done) = writers.join_next().await {
        assert!(done.expect("no writer fails") > 3);
    }
    assert!(rounds >= 2, "{rounds}");
    assert_eq!(round(&store, 500, true).await, []);
    for kind in ["topup", "refund", "dispute", "spend", "expire"] {
        let sql = format!("SELECT count(*) FROM ledger_transfers WHERE kind = '{kind}'");
        assert!(rig.count(&sql).await > 0, "{kind}");
    }
}

/// So many spends of one credit, in one statement.
async fn spend_often(rig: &Rig, from: u32, to: u32) {
    rig.execute(&format!(
        "INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount, user_id)
         SELECT '', 'spend:' || n, 1, 'spend', ledger_account_of('', 'user', 'u'),
                ledger_account_of('', 'platform', 'spent:1'), 1, 'u' FROM generate_series({from}, {to}) AS n"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_more_transfers_than_a_step_holds_is_summed_up_in_several() {
    const ROWS: u32 = 250;
    let rig = Rig::new().await;
    let store = rig.store();
    sell(&store, &[TopUp::new("1", &user("u"), 10_000)]).await;
    spend_often(&rig, 1, 2_000).await;
    // What is not settled yet is read at once; other tests' transactions settle, too, sooner or later.
    let settled =
        "SELECT count(*) FROM ledger_check WHERE settled_id >= (SELECT max(id) FROM ledger_transfers)";
    let is_settled = wait_for(async || {
        step(&store, ROWS).await;
        rig.count(settled).await == 1
    });
    assert!(is_settled.await, "transfers never settle");

    store.begin_check(true).await.expect("begun");
    assert_eq!(rig.count("SELECT count(*) FROM ledger_checkpoints").await, 0);
    let kept = "SELECT coalesce(max(through_id), 0) FROM ledger_checkpoints c
                JOIN ledger_accounts a ON a.id = c.ledger_account_id WHERE a.owner_id = 'u'";
    let mut portions = Vec::new();
    let mut spends = 2_001;
    loop {
        let step = step(&store, ROWS).await;
        assert_eq!(step.found, []);
        assert!(spends < 3_000, "a round does not end while others write");
        let through = rig.count(kept).await;
        if portions.last() != Some(&through) {
            portions.push(through);
        }
        if step.ended_round {
            break;
        }
        // Others go on meanwhile.
        spend_often(&rig, spends, spends + 9).await;
        spends += 10;
    }
    assert!(portions.len() >= 8, "{portions:?}");
    assert!(portions.is_sorted(), "{portions:?}");

    // From here on only what is new is read, and a balance that is wrong is found all the same.
    let spoil = |credits: i64| {
        format!(
            "BEGIN; SET LOCAL session_replication_role = replica;
             UPDATE ledger_accounts SET balance = balance + {credits} WHERE owner_id = 'u'; COMMIT"
        )
    };
    rig.execute(&spoil(1)).await;
    let found = round(&store, ROWS, false).await;
    assert!(found.iter().any(|it| it.rule == "balance_is_sum"), "{found:?}");
    rig.execute(&spoil(-1)).await;
    assert_eq!(round(&store, ROWS, false).await, []);

    // What was summed up before is only read again from zero.
    rig.execute(
        "BEGIN; SET LOCAL session_replication_role = replica;
         UPDATE ledger_transfers SET amount = 2 WHERE key = 'spend:3'; COMMIT",
    )
    .await;
    assert_eq!(round(&store, ROWS, false).await, []);
    let found = round(&store, ROWS, true).await;
    let rules: Vec<&str> = found.iter().map(|it| it.rule.as_str()).collect();
    assert_eq!(rules, ["balance_is_sum", "balance_is_sum"], "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_is_committed_late_is_not_forgotten() {
    let rig = Rig::new().await;
    let store = rig.store();
    sell(
        &store,
        &[
            TopUp::new("1", &user("u"), 10_000),
            TopUp::new("2", &user("v"), 10_000),
        ],
    )
    .await;
    // Its id is lower than all that follow, and nobody sees it.
    let mut late = rig.pool.begin().await.expect("Postgres answers");
    sqlx::query("SELECT * FROM spend_credits('', 'v', 1, 'late', NULL)")
        .execute(&mut *late)
        .await
        .expect("spent");
    rig.execute("SELECT ledger_account_of('', 'platform', 'spent:1')")
        .await;
    spend_often(&rig, 1, 500).await;
    for _ in 0..3 {
        assert_eq!(round(&store, 2_000, false).await, []);
    }
    let kept = "SELECT count(*) FROM ledger_checkpoints
                WHERE through_id >= (SELECT min(id) FROM ledger_transfers WHERE kind = 'spend')";
    assert_eq!(rig.count(kept).await, 0, "a sum is kept of what is not settled");
    late.commit().await.expect("committed");
    let is_kept = wait_for(async || {
        assert_eq!(round(&store, 2_000, false).await, []);
        rig.count(kept).await > 0
    });
    assert!(is_kept.await, "no sum is ever kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_who_check_one_takes_the_step() {
    let rig = Rig::new().await;
    let (one, other) = (rig.store(), rig.store());
    let mut held = rig.pool.begin().await.expect("Postgres answers");
    sqlx::query("SELECT FROM ledger_check FOR UPDATE")
        .execute(&mut *held)
        .await
        .expect("held");
    assert_eq!(one.check_step(10, false).await.expect("an answer"), None);
    drop(held);
    let before = one.begin_check(false).await.expect("begun").round;
    // Together they come to the same end.
    let rounds = async |store: &Store| {
        let mut ended = 0;
        while step(store, 10).await.round < before + 10 {
            ended += 1;
        }
        ended
    };
    tokio::join!(rounds(&one), rounds(&other));
    assert_eq!(rig.count("SELECT round FROM ledger_check").await, before + 10);
}
