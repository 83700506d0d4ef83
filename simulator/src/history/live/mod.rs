//! What happens in a running shop: the steps of histories, taken when somebody asks for them or the clock does.
//!
//! A piece of history begins with what is there and ends with what has become of it. All of it happens within
//! one second, unless a second event of an object would be a riddle in it.

mod checkout;
mod due;
mod money;
mod plans;
mod shop;

pub(crate) use due::Collected;
pub(crate) use money::Bill;
pub(crate) use plans::{Change, costs_more};

use std::sync::Arc;

use super::{History, Riddles, Rush, Setting, Ties};
use crate::{
    event::{Cause, Event},
    mint::Mint,
    objects::{Thing, customer::Customer},
};

/// What a piece of history begins with.
pub(crate) struct Opened<'a> {
    pub(crate) setting: Setting<'a>,
    pub(crate) mint: Mint,
    /// The request it answers; none for what happens by itself, or in a browser.
    pub(crate) caller: Option<Cause>,
    /// Whom it is about; [`Customer::nobody`] when it is about nobody.
    pub(crate) customer: Customer,
}

/// What it ends with.
pub(crate) struct Closed {
    pub(crate) events: Vec<Arc<Event>>,
    /// Every object that was made or changed.
    pub(crate) objects: Vec<Thing>,
    pub(crate) mint: Mint,
    /// When it ended, unix seconds.
    pub(crate) clock: i64,
}

impl<'a> History<'a> {
    /// Begins where the shop stands.
    pub(crate) fn open(opened: Opened<'a>) -> Self {
        let mut history =
            Self::with_customer(opened.setting, opened.mint, opened.setting.now, opened.customer);
        history.caller = opened.caller;
        history.guest = history.customer.id.is_empty();
        history.rush = Some(Rush {
            haste: 1.0,
            twins: 0.0,
            ties: Ties::new(Riddles::Avoid),
        });
        history
    }

    /// Hands over what happened.
    pub(crate) fn close(mut self) -> Closed {
        if !self.customer.id.is_empty() {
            // Its invoice numbers go up without an event.
            self.books.keep((&self.customer).into());
        }
        Closed {
            events: self.events.into_iter().map(Arc::new).collect(),
            objects: self.books.into_objects().collect(),
            mint: self.mint,
            clock: self.clock,
        }
    }

    /// An object is made or changed without an event.
    pub(crate) fn keep(&mut self, thing: impl Into<Thing>) {
        self.books.keep(thing.into());
    }

    /// Now, unix seconds.
    pub(crate) fn now(&self) -> i64 {
        self.clock
    }
}
