//! When what breaks. Pure: a seed and a selection make a timeline, and the same ones make the same.

use simulator::dice::Dice;

use super::faults::Fault;
use super::pairs::pairs;

/// Before the first fault: everything works, and what is measured then is normal.
const BEFORE_MS: u64 = 2_000;
/// Between two faults: at least, and at most.
pub(super) const GAP_MS: (u64, u64) = (500, 1_500);
/// How long nothing else may break where taking over is measured: the lease, the search, and the work.
pub(super) const CALM_MS: u64 = 13_500;

/// One fault, at its time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub fault: &'static Fault,
    /// Counted from the start of the load.
    pub at_ms: u64,
    /// When it is over, as far as that is planned.
    pub until_ms: u64,
    /// Which of the workers, where it is about one.
    pub worker: usize,
}

/// The timeline: rounds in which every fault happens once, until `duration_ms` is over; at least one. Within a round
/// a fault that lasts long comes first, so that the others happen while it does, and one that wants calm last; one that
/// needs all workers waits until the first is over. With `is_by_pairs` two break at once where they can.
pub(super) fn plan(
    seed: u64,
    faults: &[&'static Fault],
    workers: usize,
    duration_ms: u64,
    is_by_pairs: bool,
) -> Vec<Slot> {
    let mut dice = Dice::new(seed);
    let mut slots = Vec::new();
    let mut at_ms = BEFORE_MS;
    while !faults.is_empty() {
        let mut round = faults.to_vec();
        dice.shuffle(&mut round);
        round.sort_by_key(|fault| {
            (
                fault.wants_calm(),
                fault.needs_everybody(),
                !fault.is_background(),
            )
        });
        let began = slots.len();
        let mut stopped_until_ms = 0;
        for (fault, partner) in deeds(round, is_by_pairs) {
            if fault.needs_everybody() {
                at_ms = at_ms.max(stopped_until_ms + GAP_MS.1);
            }
            let slot = slot(fault, at_ms, workers, &mut dice);
            at_ms = if fault.is_background() {
                stopped_until_ms = slot.until_ms;
                slot.at_ms
            } else {
                slot.until_ms
            };
            at_ms += fault.kind.takes_ms() + between(GAP_MS, &mut dice);
            at_ms += if fault.wants_calm() { CALM_MS } else { 0 };
            slots.push(slot);
            if let Some(partner) = partner {
                at_ms += join(&mut slots, partner, &mut dice);
            }
        }
        // What began in this round is over before it begins once more.
        let over = slots[began..].iter().map(|slot| slot.until_ms).max();
        at_ms = at_ms.max(over.unwrap_or(0) + GAP_MS.0);
        if at_ms >= duration_ms {
            break;
        }
    }
    slots
}

/// How long the load lasts: as long as was asked for, and longer than the last fault.
pub(super) fn load_ms(slots: &[Slot], duration_ms: u64) -> u64 {
    let over = slots
        .iter()
        .map(|slot| slot.until_ms + slot.fault.kind.takes_ms());
    duration_ms.max(over.max().unwrap_or(0) + GAP_MS.1)
}

/// A round's faults, each with the one that breaks at the same moment.
fn deeds(round: Vec<&'static Fault>, is_by_pairs: bool) -> Vec<(&'static Fault, Option<&'static Fault>)> {
    if is_by_pairs {
        pairs(round)
    } else {
        round.into_iter().map(|fault| (fault, None)).collect()
    }
}

/// Breaks `partner` together with the last one; both are mended when the longer one is over. Says how much longer that is.
fn join(slots: &mut Vec<Slot>, partner: &'static Fault, dice: &mut Dice) -> u64 {
    let Some(first) = slots.last_mut() else { return 0 };
    let before = first.until_ms;
    first.until_ms = before.max(first.at_ms + between(partner.lasts_ms, dice));
    let joined = Slot {
        fault: partner,
        ..*first
    };
    let longer = first.until_ms - before + partner.kind.takes_ms();
    slots.push(joined);
    longer
}

fn slot(fault: &'static Fault, at_ms: u64, workers: usize, dice: &mut Dice) -> Slot {
    // The first worker is for faults that last, so that no other fault meets a stopped one.
    let worker = match workers {
        0 | 1 => 0,
        _ if fault.is_background() => 0,
        _ => 1 + dice.index(workers - 1),
    };
    Slot {
        fault,
        at_ms,
        until_ms: at_ms + between(fault.lasts_ms, dice),
        worker,
    }
}

fn between((least, most): (u64, u64), dice: &mut Dice) -> u64 {
    least + dice.below(most - least + 1)
}

#[cfg(test)]
mod tests {
    use super::super::faults::{FAULTS, find};
    use super::*;

    fn all() -> Vec<&'static Fault> {
        FAULTS.iter().collect()
    }

    fn text(slots: &[Slot]) -> Vec<String> {
        let line = |slot: &Slot| {
            format!(
                "{} {} {} {}",
                slot.at_ms, slot.until_ms, slot.fault.name, slot.worker
            )
        };
        slots.iter().map(line).collect()
    }

    #[test]
    fn a_seed_repeats_the_timeline_and_another_makes_another() {
        let plan_of = |seed| text(&plan(seed, &all(), 3, 0, false));
        assert_eq!(plan_of(1), plan_of(1));
        assert_ne!(plan_of(1), plan_of(2));
    }

    #[test]
    fn every_fault_happens_once_in_a_round_however_short_the_time() {
        let slots = plan(5, &all(), 2, 0, false);
        let mut names: Vec<_> = slots.iter().map(|slot| slot.fault.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), slots.len()), (FAULTS.len(), FAULTS.len()));
        assert!(plan(5, &all(), 2, 2_000_000, false).len() > 3 * FAULTS.len());
        assert!(plan(5, &[], 2, 600_000, true).is_empty());
    }

    #[test]
    fn nothing_else_breaks_while_something_is_broken_but_for_what_lasts() {
        let slots = plan(9, &all(), 2, 300_000, false);
        let foreground: Vec<_> = slots.iter().filter(|slot| !slot.fault.is_background()).collect();
        for pair in foreground.windows(2) {
            let calm = if pair[0].fault.wants_calm() { CALM_MS } else { 0 };
            assert!(pair[1].at_ms >= pair[0].until_ms + calm + GAP_MS.0);
        }
        for slot in &slots {
            assert_eq!(
                slot.worker == 0,
                slot.fault.is_background(),
                "a stopped worker is left alone"
            );
        }
    }

    #[test]
    fn by_pairs_every_fault_happens_and_most_with_another() {
        let slots = plan(9, &all(), 2, 0, true);
        assert_eq!(slots.len(), FAULTS.len());
        let joined = slots.windows(2).filter(|pair| pair[0].at_ms == pair[1].at_ms);
        assert!(joined.count() > FAULTS.len() / 4);
        for pair in slots.windows(2) {
            let is_joined = (pair[0].at_ms, pair[0].until_ms) == (pair[1].at_ms, pair[1].until_ms);
            let is_after = pair[1].at_ms >= pair[0].until_ms + GAP_MS.0;
            assert!(is_joined || is_after || pair[0].fault.is_background());
        }
    }

    #[test]
    fn the_load_outlasts_every_fault() {
        let faults = [find("stop-worker").expect("listed")];
        let slots = plan(1, &faults, 2, 0, false);
        assert!(load_ms(&slots, 0) > slots[0].until_ms);
        assert_eq!(load_ms(&slots, 90_000), 90_000);
    }
}
