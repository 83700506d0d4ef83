//! Histories: one customer lives through something, and every event of it is recorded.
//!
//! A [`History`] is a clock, a customer and the events so far. Its methods are the things that can
//! happen (`subscribe`, `renew`, `refund`, ...); a [`Story`] strings them together. Objects are plain
//! values the story holds and hands to the next step, so ids stay coherent by construction.

mod billing;
mod changes;
mod free;
mod invoices;
mod life;
mod live;
mod money;
mod notices;
mod proration;
pub mod random;
mod reversals;
mod shop;
mod stories;
mod ties;

use serde_json::{Value, json};

pub(crate) use billing::UPCOMING_DAYS;
pub(crate) use changes::{INCOMPLETE_SECONDS, TRIAL_NOTICE};
pub use life::Life;
pub(crate) use live::{Bill, Change, Collected, Opened, costs_more};
pub use notices::{thin_about, unknown};
pub(crate) use proration::Chosen;
pub use random::random;
pub(crate) use reversals::Why;
pub use shop::catalogue_events;
pub use stories::{STORIES, Story};
pub use ties::Riddles;

use crate::{
    ApiVersion,
    catalogue::Catalogue,
    dice::Dice,
    event::{Cause, Data, Event, Snapshot},
    json::previous_attributes,
    mint::Mint,
    objects::{Thing, customer::Customer},
    oracle::Books,
};
use ties::{Seen, Ties};

/// Seconds in a day.
pub const DAY: i64 = 86_400;
/// Length of a billing month in the simulation, seconds.
pub const MONTH: i64 = 30 * DAY;
/// A history ends up to this long before the start of the run, seconds.
pub const AGE_MAX: i64 = 21 * DAY;

const FIRST_NAMES: &[&str] = &[
    "Ada", "Bea", "Cem", "Dia", "Eli", "Fay", "Gus", "Ida", "Jon", "Kim", "Lea",
];
const LAST_NAMES: &[&str] = &[
    "Abel", "Brandt", "Costa", "Dietz", "Evans", "Fuchs", "Girard", "Ito", "Novak",
];

/// One customer's life so far.
#[derive(Debug)]
pub struct History<'a> {
    catalogue: &'a Catalogue,
    version: ApiVersion,
    /// Events of a connected account name it.
    connected: bool,
    mint: Mint,
    clock: i64,
    cause: Cause,
    /// Who really asked for it, when somebody did.
    caller: Option<Cause>,
    customer: Customer,
    /// Whether what they buy now is bought without naming the customer.
    guest: bool,
    /// How many of a plan the next subscription is for.
    quantity: i64,
    events: Vec<Event>,
    books: Books,
    /// How crowded its seconds are; ordinary stories take their time.
    rush: Option<Rush>,
}

/// What makes a life eventful within seconds.
#[derive(Debug)]
struct Rush {
    /// Share of pauses that take no time at all.
    haste: f64,
    /// Share of events that get a second event object.
    twins: f64,
    ties: Ties,
}

/// Where and when a story takes place.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The shop.
    pub catalogue: &'a Catalogue,
    /// The version the endpoint is pinned to.
    pub version: ApiVersion,
    /// Whether the shop is a connected account, whose events carry `account`.
    pub connected: bool,
    /// Seed of everything random in the story.
    pub seed: u64,
    /// Unix seconds that no event's `created` lies after.
    pub now: i64,
}

/// Lets a new customer live through `story`, so that it ends at most [`AGE_MAX`] before
/// `setting.now`, and returns the events in the order they happened.
#[must_use]
pub fn tell(story: &Story, setting: Setting<'_>) -> Vec<Event> {
    live(story, setting).events
}

/// As [`tell`], and says what is true in the end.
#[must_use]
pub fn live(story: &Story, setting: Setting<'_>) -> Life {
    let mut dice = Dice::new(setting.seed);
    let begin = setting.now - story.days * DAY - dice.seconds(0, AGE_MAX);
    let mut history = History::new(setting, dice, begin);
    (story.tell)(&mut history);
    history.conclude(vec![story.name])
}

impl<'a> History<'a> {
    fn new(setting: Setting<'a>, dice: Dice, begin: i64) -> Self {
        let mint = Mint::new(dice, setting.catalogue.suffix.clone());
        Self::with_mint(setting, mint, begin)
    }

    fn with_mint(setting: Setting<'a>, mut mint: Mint, begin: i64) -> Self {
        let customer = new_customer(&mut mint, begin);
        Self::with_customer(setting, mint, begin, customer)
    }

    fn with_customer(setting: Setting<'a>, mint: Mint, begin: i64, customer: Customer) -> Self {
        Self {
            catalogue: setting.catalogue,
            version: setting.version,
            connected: setting.connected,
            mint,
            clock: begin,
            cause: Cause::default(),
            caller: None,
            customer,
            guest: false,
            quantity: 1,
            events: Vec::new(),
            books: Books::default(),
            rush: None,
        }
    }

    /// What follows is caused by one API request.
    fn by_api(&mut self) {
        if let Some(caller) = &self.caller {
            self.cause = caller.clone();
            return;
        }
        let id = format!("req_{}", self.mint.text(14));
        self.cause = Cause {
            id: Some(id),
            idempotency_key: Some(self.mint.uuid()),
        };
    }

    /// What follows happens by itself (renewals, retries, banks).
    fn by_itself(&mut self) {
        self.cause = Cause::default();
    }

    /// Lets between `low` and `high` seconds pass, or none when in haste.
    fn pass(&mut self, low: i64, high: i64) {
        let seconds = self.mint.dice.seconds(low, high);
        self.wait(seconds);
    }

    /// It is at least `at`.
    fn until(&mut self, at: i64) {
        self.clock = self.clock.max(at);
    }

    /// Lets `seconds` pass, or none when in haste.
    fn wait(&mut self, seconds: i64) {
        let mint = &mut self.mint;
        let hurried = self
            .rush
            .as_ref()
            .is_some_and(|rush| mint.dice.chance(rush.haste));
        if !hurried {
            self.clock += seconds;
        }
    }

    /// An id of the kind `evt_1...` made now.
    fn id(&mut self, prefix: &str) -> String {
        self.mint.id(prefix, self.clock)
    }

    /// An id of the kind `pi_3...` made now.
    fn payment_id(&mut self, prefix: &str) -> String {
        self.mint.payment_id(prefix, self.clock)
    }

    /// Records an event about an object.
    fn emit(&mut self, kind: &str, thing: impl Into<Thing>) {
        let thing = thing.into();
        let object = thing.json(self.version);
        self.announce(kind, thing, object, None);
    }

    /// Records an event about a change, with its `previous_attributes`.
    fn emit_change(&mut self, kind: &str, before: &Value, after: impl Into<Thing>) {
        let thing = after.into();
        let object = thing.json(self.version);
        let previous = previous_attributes(before, &object);
        self.announce(kind, thing, object, Some(previous));
    }

    fn announce(&mut self, kind: &str, thing: Thing, object: Value, previous: Option<Value>) {
        let mut seen = Seen::new(kind, &thing, object, previous);
        self.books.announce(thing, self.version);
        if let Some(rush) = &mut self.rush {
            self.clock += i64::from(rush.ties.is_too_early(self.clock, &seen));
        }
        let data = self.record(kind, seen.shown.take(), seen.previous.take());
        (seen.shown, seen.previous) = (data.object, data.previous_attributes);
        if let Some(rush) = &mut self.rush {
            rush.ties.remember(seen);
        }
        self.maybe_twin();
    }

    /// Stripe makes a second event object about one change now and then.
    fn maybe_twin(&mut self) {
        let mint = &mut self.mint;
        let doubled = self
            .rush
            .as_ref()
            .is_some_and(|rush| mint.dice.chance(rush.twins));
        let Some(event) = self.events.last().filter(|_| doubled) else {
            return;
        };
        let twin = event.twin(&event_id(mint, &event.kind, event.created));
        self.events.push(twin);
    }

    /// Makes the event, and gives back what it says.
    fn record(&mut self, kind: &str, object: Value, previous_attributes: Option<Value>) -> Data {
        let account = self.connected.then_some(self.catalogue.account.as_str());
        let snapshot = Snapshot {
            id: event_id(&mut self.mint, kind, self.clock),
            object: "event",
            account,
            api_version: self.version.as_str(),
            context: account.filter(|_| self.version.is_current()),
            created: self.clock,
            data: Data {
                object,
                previous_attributes,
            },
            livemode: false,
            pending_webhooks: 1,
            request: &self.cause,
            kind,
        };
        self.events.push(snapshot.event(self.version));
        snapshot.data
    }
}

/// Events about payments begin with `evt_3`, all others with `evt_1`.
fn event_id(mint: &mut Mint, kind: &str, at: i64) -> String {
    let payment = ["charge.", "payment_intent.", "refund."]
        .iter()
        .any(|prefix| kind.starts_with(prefix));
    if payment {
        mint.payment_id("evt", at)
    } else {
        mint.id("evt", at)
    }
}

fn new_customer(mint: &mut Mint, created: i64) -> Customer {
    let first = *mint.dice.pick(FIRST_NAMES);
    let last = *mint.dice.pick(LAST_NAMES);
    let user = mint.user(10);
    Customer {
        id: mint.short("cus"),
        created,
        email: Some(format!(
            "{}.{}.{user}@example.com",
            first.to_lowercase(),
            last.to_lowercase()
        )),
        name: Some(format!("{first} {last}")),
        metadata: json!({"user_id": format!("usr_{user}")}),
        invoice_prefix: mint.upper(8),
        next_invoice_sequence: 1,
        currency: None,
        deleted: false,
        extra: Value::Null,
    }
}
