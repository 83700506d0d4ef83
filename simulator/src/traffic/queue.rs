//! The order of delivery: disorder, delays and duplicates.

use std::sync::Arc;

use super::{DUPLICATES_MAX, Plan, part};
use crate::{dice::Dice, event::Event};

/// Most duplicates follow their original within this many deliveries; the others come at any time.
const DUPLICATE_GAP: u64 = 50;
/// Share of duplicates that come at any time later, as a retry after hours does.
const DUPLICATE_LATE: f64 = 0.2;
/// A delayed event falls back by up to this part of the traffic.
const DELAY_PART: usize = 4;
/// A repeated delivery reports up to this many other webhooks pending.
const PENDING_MAX: u64 = 4;

/// A delivery on its way into the queue.
pub(super) struct Slot {
    /// Its place; equal places keep the order in which they were taken.
    key: u64,
    pub(super) event: Arc<Event>,
    pub(super) duplicate: bool,
}

impl Plan {
    /// The order of delivery: disorder, delays and duplicates.
    pub(super) fn queue(&self, events: &[Event], dice: &mut Dice) -> Vec<Slot> {
        let far = to_u64(events.len() / DELAY_PART) + 1;
        let window = to_u64(self.reorder) + 1;
        let mut slots = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            let held = if dice.chance(self.delayed) {
                dice.below(far)
            } else {
                0
            };
            let key = to_u64(index) + dice.below(window) + held;
            slots.push(Slot {
                key,
                event: Arc::new(event.clone()),
                duplicate: false,
            });
        }
        for _ in 0..self.duplicate_count(events.len()) {
            let original = &slots[dice.index(events.len())];
            let range = if dice.chance(DUPLICATE_LATE) {
                to_u64(events.len())
            } else {
                DUPLICATE_GAP
            };
            let key = original.key + 1 + dice.below(range);
            let pending = u32::try_from(dice.below(PENDING_MAX)).expect("small");
            let event = Arc::new(original.event.redelivered(pending));
            slots.push(Slot {
                key,
                event,
                duplicate: true,
            });
        }
        slots.sort_by_key(|slot| slot.key);
        slots
    }

    /// How many duplicates make up the planned share of all deliveries.
    fn duplicate_count(&self, events: usize) -> usize {
        let share = self.duplicates.clamp(0.0, DUPLICATES_MAX);
        part(events, share / (1.0 - share))
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).expect("usize fits 64 bits")
}
