//! Running them all again, and once more; and whether all that should have come of it has.

use std::time::Instant;

use store::Store;
use store::dead::{Deed, Filter, Job, JobState, NewJob};
use store::yardstick::Tally;

use super::bodies::REFUSED;
use super::{LIMIT, LOOK_EVERY, PART, Sizes, questions};
use crate::bench::cpu::Meter;
use crate::bench::report::Unit::{PerSecond, Seconds};
use crate::bench::roles::Role;
use crate::bench::worker::wait_for_effects;
use crate::bench::{Bench, Outcome};

/// Has a worker run all again that Postgres had refused, twice.
pub(super) fn twice(bench: &mut Bench<'_>, store: &Store, database: &str, sizes: Sizes) -> Outcome<()> {
    let rig = bench.rig;
    bench.say_text(&format!("{PART}: running {} again", sizes.mended));
    rig.runtime.block_on(store.checkpoint())?;
    let (worker, _) = Role::worker(rig, database)?;
    let meter = Meter::start(&rig.watched(&[worker.watched()]));
    let began = Instant::now();
    let job = carry_out(bench, store)?;
    let took = began.elapsed().as_secs_f64();
    let cpu = meter.per_1000(sizes.mended as f64);
    bench.report.add_with_cpu(
        PART,
        "run again: all for a reason",
        PerSecond,
        sizes.mended as f64 / took,
        cpu,
    );
    expect(&job, sizes.mended)?;
    wait_for_effects(rig, store, Instant::now() + LIMIT)?;
    let after = rig.runtime.block_on(store.tally_letters())?;
    check(&after, sizes)?;
    questions::ask_again(bench, store)?;

    let began = Instant::now();
    expect(&carry_out(bench, store)?, 0)?;
    bench.report.add(
        PART,
        "run again: the same once more",
        Seconds,
        began.elapsed().as_secs_f64(),
    );
    if rig.runtime.block_on(store.tally_letters())? != after {
        return Err("running letters again twice is not once".into());
    }
    worker.stop()
}

/// Makes a job and waits until it is over.
fn carry_out(bench: &Bench<'_>, store: &Store) -> Outcome<Job> {
    let filter = Filter {
        reason: Some(REFUSED.to_owned()),
        ..Filter::default()
    };
    let deadline = Instant::now() + LIMIT;
    bench.rig.runtime.block_on(async {
        let mut tx = store.begin().await?;
        let counted = tx.dead().count(&filter).await?;
        let new = NewJob {
            deed: Deed::Replay,
            filter: &filter,
            rate: None,
            why: "a benchmark",
            actor: "bench",
            counted,
        };
        let id = tx.dead().open_job(new).await?.id;
        tx.commit().await?;
        while Instant::now() < deadline {
            let job = store.begin().await?.dead().job("", id).await?;
            match job {
                Some(job) if job.state == JobState::Done => return Ok(job),
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
        Err("the worker does not finish running letters again".into())
    })
}

fn expect(job: &Job, done: u64) -> Outcome<()> {
    if (job.counted, job.done, job.failed, job.skipped) != (done, done, 0, 0) {
        return Err(format!("{done} letters should have been run again: {job:?}").into());
    }
    Ok(())
}

/// Nothing is missing, and nothing happened twice.
fn check(tally: &Tally, sizes: Sizes) -> Outcome<()> {
    let expected = Tally {
        waiting: sizes.all - sizes.mended,
        grouped: sizes.all - sizes.mended,
        replayed: sizes.mended,
        replays: sizes.mended,
        applied: sizes.mended,
        deeds: sizes.mended,
    };
    if *tally != expected {
        return Err(format!("there should be {expected:?}, and there is {tally:?}").into());
    }
    Ok(())
}
