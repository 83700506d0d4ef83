//! What a hostile network makes of events: any order, repetitions, and some that never come.

use crate::{dice::Dice, event::Event};

/// A repeated delivery reports up to this many other webhooks pending.
const PENDING_MAX: u64 = 4;

/// How hostile. Shares are between 0.0 and 1.0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hostility {
    /// Whether the order is a random one; otherwise it is that of the events.
    pub shuffled: bool,
    /// Chance of every delivery to be followed, sooner or later, by another one of the same event.
    pub duplicates: f64,
    /// Share of events that are never delivered.
    pub missing: f64,
}

impl Hostility {
    /// Each once, in the order it happened.
    pub const NONE: Self = Self {
        shuffled: false,
        duplicates: 0.0,
        missing: 0.0,
    };

    /// Any order, nearly every third delivery repeated, nothing missing.
    pub const USUAL: Self = Self {
        shuffled: true,
        duplicates: 0.3,
        missing: 0.0,
    };

    /// As [`Hostility::USUAL`], and one event in ten is missing.
    pub const LOSSY: Self = Self {
        missing: 0.1,
        ..Self::USUAL
    };
}

/// Deliveries in the order they are to be made.
#[derive(Debug, Clone, Default)]
pub struct Deliveries {
    /// What arrives, repetitions included (they differ in `pending_webhooks`).
    pub order: Vec<Event>,
    /// What does not, in the order it happened.
    pub missing: Vec<Event>,
}

/// The deliveries that `seed` makes of `events`, which may be those of several lives.
#[must_use]
pub fn deliveries<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    seed: u64,
    hostility: Hostility,
) -> Deliveries {
    let mut dice = Dice::new(seed);
    let mut all = Deliveries::default();
    for event in events {
        if dice.chance(hostility.missing) {
            all.missing.push(event.clone());
            continue;
        }
        all.order.push(event.clone());
        while dice.chance(hostility.duplicates.min(0.9)) {
            let pending = u32::try_from(dice.below(PENDING_MAX)).expect("small");
            all.order.push(event.redelivered(pending));
        }
    }
    if hostility.shuffled {
        dice.shuffle(&mut all.order);
    }
    all
}
