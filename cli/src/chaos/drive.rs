//! Sending and breaking at the same time, and waiting until it is all over.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use super::deeds::Broken;
use super::intent::Intent;
use super::load::{Ends, Sent};
use super::plan::Slot;
use super::recovery::Happened;
use super::say;
use super::world::{PREFIX, World};
use crate::idle::{Eye, Left, watch};

/// The load after the last fault: there must be something to recover for.
const AFTER: Duration = Duration::from_millis(1_000);
/// How long senders go on trying after the load.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends, and breaks things meanwhile.
pub(super) async fn work(
    world: &mut World,
    intent: &Intent,
    began: Instant,
) -> Result<(Sent, Vec<Happened>), Box<dyn Error>> {
    let ends = Ends::default();
    let sending = intent.load.start(&world.addresses(), intent.rate, ends.clone())?;
    let happened = do_deeds(world, &intent.slots, began).await?;
    tokio::time::sleep(intent.lasts.saturating_sub(began.elapsed()).max(AFTER)).await;
    ends.enough.cancel();
    let timer = tokio::spawn(async move {
        tokio::time::sleep(PATIENCE).await;
        ends.patience.cancel();
    });
    let sent = sending.await?;
    timer.abort();
    Ok((sent, happened))
}

/// Breaks and mends what the plan says, at its time.
async fn do_deeds(
    world: &mut World,
    slots: &[Slot],
    began: Instant,
) -> Result<Vec<Happened>, Box<dyn Error>> {
    let breaking = slots
        .iter()
        .enumerate()
        .map(|(number, slot)| (slot.at_ms, true, number));
    let mending = slots
        .iter()
        .enumerate()
        .map(|(number, slot)| (slot.until_ms, false, number));
    let mut steps: Vec<(u64, bool, usize)> = breaking.chain(mending).collect();
    // What is broken and mended at once is broken first.
    steps.sort_by_key(|(at, is_break, number)| (*at, !is_break, *number));
    let mut broken: BTreeMap<usize, (i64, Broken)> = BTreeMap::new();
    let mut happened = Vec::new();
    // What takes longer than planned puts off everything after it: pauses stay as long as they were planned.
    let mut behind = Duration::ZERO;
    for (at_ms, is_break, number) in steps {
        let due = Duration::from_millis(at_ms) + behind;
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        let slot = &slots[number];
        let planned = due + Duration::from_millis(slot.fault.kind.takes_ms());
        behind += began.elapsed().saturating_sub(planned);
        if is_break {
            let at = world.clock.unix_ms();
            say(&format!(
                "{:>6.1} s  {}",
                began.elapsed().as_secs_f64(),
                slot.fault.name
            ));
            broken.insert(number, (at, world.break_it(slot).await?));
            continue;
        }
        world.mend(slot).await?;
        let (at, broken) = broken.remove(&number).unwrap_or_default();
        happened.push(Happened {
            fault: slot.fault,
            broke_ms: broken.at_ms.unwrap_or(at),
            mended_ms: world.clock.unix_ms(),
            broken,
        });
    }
    happened.sort_by_key(|it| it.broke_ms);
    Ok(happened)
}

/// What is left when time runs out, if anything.
pub(super) async fn wait_until_idle(
    world: &mut World,
    limit: Duration,
) -> Result<Option<String>, Box<dyn Error>> {
    let url = world.stack.database_url().ok_or("no Postgres")?;
    let mut eye = Eye::new(&world.redis_url()?, PREFIX, &url)?;
    let seen = watch(async || eye.look().await, Instant::now() + limit).await?;
    Ok(match seen {
        Ok(left) if left == Left::default() => None,
        Ok(left) => Some(format!("{left:?}")),
        Err(trouble) => Some(trouble),
    })
}
