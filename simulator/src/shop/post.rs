//! Events on their way out.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::event::Event;

/// Whom events go to, and whether they go now.
#[derive(Debug, Default)]
pub(crate) struct Post {
    carrier: Option<UnboundedSender<Vec<Arc<Event>>>>,
    /// Events that are withheld, oldest first.
    held: Option<Vec<Arc<Event>>>,
    /// Whether the endpoint is turned off: what happens meanwhile is never sent.
    off: bool,
}

impl Post {
    /// From now on `carrier` gets what happens.
    pub(crate) fn employ(&mut self, carrier: UnboundedSender<Vec<Arc<Event>>>) {
        self.carrier = Some(carrier);
    }

    /// Whether anybody is there to carry anything.
    pub(crate) fn is_employed(&self) -> bool {
        self.carrier.is_some()
    }

    /// Events happened.
    pub(crate) fn take(&mut self, events: &[Arc<Event>]) {
        match (&mut self.held, self.off) {
            (_, true) => {}
            (Some(held), false) => held.extend_from_slice(events),
            (None, false) => self.send(events.to_vec()),
        }
    }

    /// Withholds events, or sends those that were withheld.
    pub(crate) fn hold(&mut self, hold: bool) {
        if hold {
            self.held.get_or_insert_default();
        } else if let Some(held) = self.held.take() {
            self.send(held);
        }
    }

    /// How many are withheld.
    pub(crate) fn held(&self) -> usize {
        self.held.as_ref().map_or(0, Vec::len)
    }

    pub(crate) fn turn(&mut self, on: bool) {
        self.off = !on;
    }

    fn send(&self, events: Vec<Arc<Event>>) {
        if let Some(carrier) = self.carrier.as_ref().filter(|_| !events.is_empty()) {
            // A carrier that is gone has been told to stop.
            drop(carrier.send(events));
        }
    }
}
