//! Random legal lives: whatever Stripe lets happen to one customer, in any order it lets it happen.
//!
//! A walk holds what is open (subscriptions, unpaid invoices, payments that can still be refunded or
//! disputed, ...) and picks one of the steps that are possible now. What falls due by itself
//! (a renewal, the end of a trial, a retry) comes first when a step would reach beyond it.

mod conditions;
mod due;
mod invoices;
mod money;
mod person;
mod steps;
mod subscriptions;

use std::sync::Arc;

use super::{
    DAY, History, Life, Riddles, Rush, Setting,
    changes::{INCOMPLETE_SECONDS, TRIAL_NOTICE},
    money::Debit,
    ties::Ties,
};
use crate::{
    ApiVersion,
    catalogue::Catalogue,
    dice::Dice,
    mint::Mint,
    objects::{
        charge::Charge, dispute::Dispute, entitlement::Entitlement, invoice::Invoice,
        payment_intent::PaymentIntent, refund::Refund, subscription::Subscription,
    },
};
use steps::Step;

pub use steps::{WAVERS, names};

/// A life that finds nothing more to do ends after this many steps.
const STEPS_MAX: usize = 400;

/// What lives may be like. Shares are between 0.0 and 1.0.
#[derive(Debug, Clone)]
pub struct Options {
    /// The shop; shared by all lives that are to be loaded into one database.
    pub catalogue: Arc<Catalogue>,
    /// Versions to render events in; each life begins in one of them. Empty counts as all.
    pub versions: Vec<ApiVersion>,
    /// Share of lives in which the account changes its version once.
    pub switches: f64,
    /// Fewest and most events of a life, about: the last step is told to its end.
    pub length: (usize, usize),
    /// Share of pauses that take no time, so that several things happen within one second.
    pub haste: f64,
    /// Share of events that get a second event object with an id of its own.
    pub twins: f64,
    /// Whether events of one second may be impossible to put into order.
    pub riddles: Riddles,
    /// Whether invoices may have more lines than an event shows. What grants is on the last one, so that a
    /// reader has to ask the API for it.
    pub long_invoices: bool,
}

impl Options {
    /// Eventful lives of 5 to 40 events in both versions, without riddles.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self {
            catalogue,
            versions: ApiVersion::ALL.to_vec(),
            switches: 0.2,
            length: (5, 40),
            haste: 0.5,
            twins: 0.08,
            riddles: Riddles::Avoid,
            long_invoices: false,
        }
    }
}

/// The life that `seed` makes, beginning at `start` (unix seconds). No id of it occurs in the life of
/// another seed.
#[must_use]
pub fn random(seed: u64, start: i64, options: &Options) -> Life {
    let mut dice = Dice::new(seed);
    let versions = match options.versions.as_slice() {
        [] => &ApiVersion::ALL,
        some => some,
    };
    let version = *dice.pick(versions);
    let mut mint = Mint::new(dice, options.catalogue.suffix.clone());
    mint.set_apart(seed);
    let setting = Setting {
        catalogue: &options.catalogue,
        version,
        connected: false,
        seed,
        now: start,
    };
    let mut history = History::with_mint(setting, mint, start);
    history.rush = Some(Rush {
        haste: options.haste,
        twins: options.twins,
        ties: Ties::new(options.riddles),
    });
    Walk::new(history, options).live(options.length)
}

/// Who the user is to the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Person {
    /// Nobody yet: they can only buy as a guest.
    Stranger,
    /// A customer.
    Customer,
    /// A customer who was deleted and came back; their mail address stays, so that one is known for sure.
    Returned,
    /// A deleted customer.
    Deleted,
}

/// A subscription that has not ended.
#[derive(Debug)]
struct Held {
    it: Subscription,
    /// The newest invoice for a whole period.
    paid: Option<Invoice>,
    unpaid: Option<Unpaid>,
    /// Whether the end of the trial was announced.
    warned: bool,
}

/// An invoice that is still to be paid.
#[derive(Debug)]
struct Unpaid {
    invoice: Invoice,
    intent: PaymentIntent,
    /// Next attempt, unix seconds.
    retry_at: i64,
}

/// A payment that arrived.
#[derive(Debug)]
struct Payment {
    charge: Charge,
    refunds: Vec<Refund>,
    dispute: Option<Dispute>,
    /// The second of the newest event about the charge: a refund that fails in the same second would leave
    /// open whether `amount_refunded` counts it.
    shown_at: i64,
    /// The second a refund failed, for the same reason.
    failed_at: i64,
}

#[derive(Debug)]
struct Walk<'a> {
    h: History<'a>,
    person: Person,
    subs: Vec<Held>,
    /// How many subscriptions ended.
    ended: usize,
    /// Unpaid invoices that no subscription waits for.
    stale: Vec<Unpaid>,
    payments: Vec<Payment>,
    debits: Vec<Debit>,
    entitled: Vec<Entitlement>,
    /// Whether the account is still to change its version.
    may_switch: bool,
    long_invoices: bool,
    steps: Vec<&'static str>,
}

impl<'a> Walk<'a> {
    fn new(mut history: History<'a>, options: &Options) -> Self {
        let may_switch = history.mint.dice.chance(options.switches);
        Self {
            h: history,
            person: Person::Stranger,
            subs: Vec::new(),
            ended: 0,
            stale: Vec::new(),
            payments: Vec::new(),
            debits: Vec::new(),
            entitled: Vec::new(),
            may_switch,
            long_invoices: options.long_invoices,
            steps: Vec::new(),
        }
    }

    fn live(mut self, (fewest, most): (usize, usize)) -> Life {
        let target = fewest + self.h.mint.dice.index(most.saturating_sub(fewest) + 1);
        let mut taken = 0;
        while self.h.events.len() < target && taken < STEPS_MAX {
            self.step();
            taken += 1;
        }
        self.h.conclude(self.steps)
    }

    fn step(&mut self) {
        let possible: Vec<&Step> = steps::STEPS.iter().filter(|step| (step.may)(self)).collect();
        let total: u64 = possible.iter().map(|step| step.weight).sum();
        let mut roll = self.h.mint.dice.below(total);
        let fits = |step: &&&Step| {
            let chosen = roll < step.weight;
            roll = roll.saturating_sub(step.weight);
            chosen
        };
        let Some(step) = possible.iter().find(fits) else {
            return;
        };
        match self.next_due() {
            Some((at, place)) if self.h.clock + step.days * DAY >= at => self.fall_due(place),
            _ => {
                self.note(step.name);
                (step.go)(self);
            }
        }
    }

    fn note(&mut self, step: &'static str) {
        self.steps.push(step);
    }

    /// One of the places where `of` holds.
    fn choose<T>(dice: &mut Dice, items: &[T], of: impl Fn(&T) -> bool) -> Option<usize> {
        let places: Vec<usize> = (0..items.len()).filter(|at| of(&items[*at])).collect();
        (!places.is_empty()).then(|| *dice.pick(&places))
    }

    /// The subscription that something happens to first, and when.
    fn next_due(&self) -> Option<(i64, usize)> {
        let dues = self.subs.iter().enumerate();
        dues.filter_map(|(place, held)| Some((held.due()?, place))).min()
    }

    fn is_customer(&self) -> bool {
        matches!(self.person, Person::Customer | Person::Returned)
    }

    /// Money arrived, which can now be refunded or disputed.
    fn receive(&mut self, charge: Charge) {
        self.payments.push(Payment {
            charge,
            refunds: Vec::new(),
            dispute: None,
            shown_at: self.h.clock,
            failed_at: 0,
        });
    }
}

impl Held {
    fn new(it: Subscription, paid: Option<Invoice>) -> Self {
        Self {
            it,
            paid,
            unpaid: None,
            warned: false,
        }
    }

    /// When something happens to it by itself, if ever.
    fn due(&self) -> Option<i64> {
        let end = self.it.cancel_at.unwrap_or(i64::MAX);
        match self.it.status {
            "incomplete" => Some(self.it.created + INCOMPLETE_SECONDS),
            "trialing" if !self.warned => Some(end.min(self.it.period_end - TRIAL_NOTICE)),
            "trialing" | "active" => Some(end.min(self.it.period_end)),
            "past_due" => Some(end.min(self.unpaid.as_ref().map_or(i64::MAX, |unpaid| unpaid.retry_at))),
            _ => self.it.cancel_at,
        }
    }
}
