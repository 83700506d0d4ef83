//! A million dead letters: how long it takes to find some of them, and to run them all again. A worker sets some thousands
//! aside, Postgres copies those, and then what operators ask is asked. One round.

mod bodies;
mod questions;
mod replay;

use store::Store;

use super::load;
use super::report::Unit::Seconds;
use super::rig::Level;
use super::roles::Role;
use super::{Bench, Outcome, stream};
use bodies::{MARK, TABLES};
use std::time::{Duration, Instant};

/// The part's name.
pub(super) const PART: &str = "dead letters";
/// Letters that a worker sets aside. Beyond that, they are copied.
const BY_WORKER: usize = 5_000;
/// How often is looked whether something is done.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest anything may take.
const LIMIT: Duration = Duration::from_secs(7_200);

/// How many letters there are.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    all: u64,
    /// Those that have their effect when they are run again.
    mended: u64,
}

/// Measures once.
pub(super) fn run(bench: &mut Bench<'_>, letters: usize) -> Outcome<()> {
    let rig = bench.rig;
    let database = rig.fresh_database()?;
    let store = rig.store(&database)?;
    let sizes = fill(bench, &store, &database, letters)?;
    questions::ask(bench, &store, &database)?;
    replay::twice(bench, &store, &database, sizes)?;
    rig.runtime.block_on(store.close());
    Ok(())
}

/// Has a worker set events aside, and then copies them.
fn fill(bench: &mut Bench<'_>, store: &Store, database: &str, letters: usize) -> Outcome<Sizes> {
    let rig = bench.rig;
    let originals = letters.min(BY_WORKER);
    let copies = letters.div_ceil(originals.max(1)).saturating_sub(1);
    bench.say_text(&format!("{PART}: a worker sets {originals} events aside"));
    let mut raw = rig.clear_redis(Level::Everysec)?;
    rig.runtime.block_on(store.refuse(&TABLES))?;
    let entries = load::entries(&bodies::bodies(originals), &rig.secret)?;
    stream::fill(&mut raw, &entries, stream::WINDOW, stream::Into::Shards)?;
    let (mut worker, _) = Role::worker(rig, database)?;
    let deadline = Instant::now() + LIMIT;
    while stream::length(&mut raw)? > 0 {
        worker.look(deadline, "it sets nothing aside")?;
    }
    worker.stop()?;
    rig.runtime.block_on(store.accept(&TABLES))?;
    bench.say_text(&format!("{PART}: Postgres copies them {copies} times"));
    let began = Instant::now();
    rig.runtime.block_on(async {
        store.copy_letters(MARK, copies).await?;
        store.vacuum().await
    })?;
    bench
        .report
        .add(PART, "filling, by copies", Seconds, began.elapsed().as_secs_f64());
    let times = copies as u64 + 1;
    let mended = (0..originals).filter(|number| !bodies::is_unreadable(*number));
    Ok(Sizes {
        all: originals as u64 * times,
        mended: mended.count() as u64 * times,
    })
}
