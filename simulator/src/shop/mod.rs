//! A Stripe account that is open for business: what there is, and how something happens to it.
//!
//! - [`Model`] is what there is: objects and events, those of loaded histories among them;
//! - a `Clerk` lets something happen, as a piece of history about one customer;
//! - the `agenda` knows what is due when, and `due` does it;
//! - the `post` hands the events over to whoever sends them.

mod agenda;
mod clerk;
mod due;
mod model;
mod post;
mod tally;

use std::sync::Arc;

use shared::clock::Clock;

use crate::{
    ApiVersion,
    catalogue::Catalogue,
    dice::Dice,
    event::Event,
    history::{Setting, catalogue_events},
    mint::Mint,
    objects::endpoint::Endpoint,
};
use agenda::Agenda;

pub(crate) use clerk::{Clerk, Who};
pub use model::Model;
pub(crate) use post::Post;
pub use tally::{Counts, Tally};

/// The clock of a shop with nothing but histories stands still this long after the newest event, seconds: what is
/// fetched is newer than what was sent, even for a reader who takes off how long the request took.
const ASKED_AFTER: i64 = 3600;

/// How a shop is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The version of the account: what its events are rendered in, and its objects for those who ask for none.
    pub version: ApiVersion,
    /// What time it is.
    pub clock: Clock,
    /// Repeats ids.
    pub seed: u64,
}

/// A Stripe account (and connected ones) in which things happen.
#[derive(Debug)]
pub struct Shop {
    pub(crate) model: Model,
    settings: Settings,
    connected: Vec<Catalogue>,
    mint: Mint,
    /// How far its time is ahead of the clock, seconds.
    ahead: i64,
    /// It is never earlier than that, unix seconds.
    latest: i64,
    agenda: Agenda,
    /// How many of the next payments are declined.
    declines: u32,
    pub(crate) tally: Tally,
    pub(crate) post: Post,
}

impl Shop {
    /// Opens with the catalogue and the histories in `model`, whose platform it is.
    #[must_use]
    pub fn new(model: Model, settings: Settings) -> Self {
        let mut mint = Mint::new(Dice::new(settings.seed), model.catalogue().suffix.clone());
        mint.set_apart(settings.seed);
        Self {
            model,
            mint,
            settings,
            connected: Vec::new(),
            ahead: 0,
            latest: i64::MIN,
            agenda: Agenda::default(),
            declines: 0,
            tally: Tally::default(),
            post: Post::default(),
        }
    }

    /// Histories and nothing else: time stands still some time after the newest event.
    #[must_use]
    pub fn of_histories(model: Model) -> Self {
        let clock = model
            .newest()
            .map_or_else(Clock::system, |newest| Clock::fixed(newest + ASKED_AFTER));
        let settings = Settings {
            version: ApiVersion::V2026_10_28Endive,
            clock,
            seed: 0,
        };
        Self::new(model, settings)
    }

    /// A connected account that can be written to, too: `Stripe-Account` names it.
    pub fn connect(&mut self, catalogue: Catalogue) {
        self.model.add_catalogue(&catalogue.account, &catalogue);
        self.connected.push(catalogue);
    }

    /// Tells whoever listens what is sold, as of the day the shop opened: a receiver that was not there then needs
    /// to know what prices grant.
    pub fn announce_catalogue(&mut self) {
        let setting = Setting {
            catalogue: self.model.catalogue(),
            version: self.settings.version,
            connected: false,
            seed: self.settings.seed,
            now: self.settings.clock.unix_seconds(),
        };
        let events: Vec<_> = catalogue_events(setting).into_iter().map(Arc::new).collect();
        self.publish(&events);
    }

    /// Events have happened, and go out.
    fn publish(&mut self, events: &[Arc<Event>]) {
        if self.post.is_employed() {
            for event in events {
                self.model.mark_delivered(&event.id, false);
            }
        }
        self.model.add_events(events.iter().cloned());
        if self.post.is_off() {
            events.iter().for_each(|event| self.model.mark_unsent(&event.id));
        }
        for event in self.post.take(events) {
            self.model.mark_delivered(&event.id, true);
        }
    }

    /// Now, unix seconds. Time never goes back.
    #[must_use]
    pub fn now(&self) -> i64 {
        (self.settings.clock.unix_seconds() + self.ahead).max(self.latest)
    }

    /// Lets time pass, and what is due in it happen.
    pub fn advance(&mut self, seconds: i64) {
        self.ahead += seconds.max(0);
        self.catch_up();
    }

    /// The next so many payments are declined, whatever they are for.
    pub fn decline_next(&mut self, payments: u32) {
        self.declines = payments;
    }

    /// Whether the payment that is made now is declined.
    pub(crate) fn takes_decline(&mut self) -> bool {
        let declined = self.declines > 0;
        self.declines = self.declines.saturating_sub(1);
        declined
    }

    /// Withholds what would be sent from now on, or sends what was withheld.
    pub fn hold_webhooks(&mut self, hold: bool) {
        self.post.hold(hold);
    }

    /// From now on that share of events (0.0 to 1.0) is answered by somebody else and does not arrive.
    pub fn lose_webhooks(&mut self, share: f64, seed: u64) {
        self.post.lose(share, seed);
    }

    /// The events that were lost like that so far, oldest first.
    #[must_use]
    pub fn lost_webhooks(&self) -> &[String] {
        self.post.lost()
    }

    /// All events so far are gone, as though they were older than Stripe keeps them. A second passes.
    pub fn forget_events(&mut self) {
        self.advance(1);
        self.model.forget_before(self.now());
    }

    /// Objects by kind.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.model.counts()
    }

    /// How many events there are, those of histories among them.
    #[must_use]
    pub fn told(&self) -> usize {
        self.model.told()
    }

    /// What requests made.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn version(&self) -> ApiVersion {
        self.settings.version
    }

    /// Registers where events are sent.
    pub(crate) fn add_endpoint(&mut self, url: &str) -> Endpoint {
        let now = self.now();
        let endpoint = Endpoint {
            id: self.mint.id("we", now),
            created: now,
            url: url.to_owned(),
            version: self.settings.version,
            enabled: true,
        };
        self.model.put("", (&endpoint).into(), self.settings.version);
        endpoint
    }

    /// The platform's events, by id, oldest first.
    #[must_use]
    pub fn event_ids(&self) -> Vec<String> {
        let events = self.model.events(None);
        events.iter().map(|event| event.id.clone()).collect()
    }

    /// The webhook endpoints there are, by id.
    #[must_use]
    pub fn endpoint_ids(&self) -> Vec<String> {
        self.model.each::<Endpoint>("").map(|it| it.id.clone()).collect()
    }

    fn catalogue_of(&self, account: &str) -> &Catalogue {
        let connected = self.connected.iter().find(|it| it.account == account);
        connected.unwrap_or(self.model.catalogue())
    }
}
