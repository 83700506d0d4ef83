//! Whoever lets something happen in the shop, at a moment and on behalf of somebody.

use super::{Model, Shop};
use crate::{
    event::Cause,
    history::{History, Opened, Setting},
    objects::{Kept, Thing, customer::Customer},
};

/// On whose behalf.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    /// A connected account; empty for the platform.
    pub(crate) account: String,
    /// The request; none for what happens by itself, or in a browser.
    pub(crate) caller: Option<Cause>,
}

/// Lets things happen. What they leave behind is in the shop at once.
pub(crate) struct Clerk<'a> {
    pub(crate) shop: &'a mut Shop,
    who: Who,
    at: i64,
}

impl<'a> Clerk<'a> {
    /// Somebody who works at `at` (unix seconds).
    pub(super) fn at(shop: &'a mut Shop, who: Who, at: i64) -> Self {
        Self { shop, who, at }
    }

    /// Somebody who works now.
    pub(crate) fn now(shop: &'a mut Shop, who: Who) -> Self {
        let at = shop.now();
        Self::at(shop, who, at)
    }

    pub(crate) fn time(&self) -> i64 {
        self.at
    }

    /// An object as it is.
    pub(crate) fn get<T: Kept>(&self, id: &str) -> Option<T> {
        self.shop.model.get::<T>(&self.who.account, id).cloned()
    }

    /// The first object of a kind that is `wanted`.
    pub(crate) fn find<T: Kept + 'static>(&self, wanted: impl FnMut(&&T) -> bool) -> Option<T> {
        self.shop.model.each::<T>(&self.who.account).find(wanted).cloned()
    }

    /// All objects of a kind that are `wanted`.
    pub(crate) fn all<T: Kept + 'static>(&self, wanted: impl FnMut(&&T) -> bool) -> Vec<T> {
        let all = self.shop.model.each::<T>(&self.who.account);
        all.filter(wanted).cloned().collect()
    }

    /// The customer with that id, or nobody.
    pub(crate) fn customer(&self, id: Option<&str>) -> Customer {
        id.and_then(|id| self.get::<Customer>(id))
            .unwrap_or_else(Customer::nobody)
    }

    /// A piece of history about `customer` happens.
    pub(crate) fn play<T>(&mut self, customer: Customer, act: impl FnOnce(&mut History<'_>) -> T) -> T {
        let shop = &mut *self.shop;
        let opened = Opened {
            setting: Setting {
                catalogue: shop.catalogue_of(&self.who.account),
                version: shop.settings.version,
                connected: !self.who.account.is_empty(),
                seed: shop.settings.seed,
                now: self.at,
            },
            mint: shop.mint.clone(),
            caller: self.who.caller.clone(),
            customer,
        };
        let mut history = History::open(opened);
        let result = act(&mut history);
        let closed = history.close();
        shop.mint = closed.mint;
        shop.latest = shop.latest.max(closed.clock);
        self.at = self.at.max(closed.clock);
        for thing in closed.objects {
            self.keep(thing);
        }
        self.shop.publish(&closed.events);
        result
    }

    /// An object is what it is from now on.
    pub(crate) fn keep(&mut self, thing: Thing) {
        let (shop, account) = (&mut *self.shop, &self.who.account);
        let object = thing.object();
        let key = (account.clone(), object, thing.id().to_owned());
        shop.agenda.plan(key, &thing, self.at);
        let is_new = shop.model.put(account, thing, shop.settings.version);
        let under = self
            .who
            .caller
            .as_ref()
            .and_then(|caller| caller.idempotency_key.as_deref());
        if let Some(under) = under.filter(|_| is_new) {
            shop.tally.note(under, object);
        }
    }

    /// What there is.
    pub(crate) fn model(&self) -> &Model {
        &self.shop.model
    }
}
