//! Events on their way out.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::{dice::Dice, event::Event};

/// Whom events go to, and whether they go now.
#[derive(Debug, Default)]
pub(crate) struct Post {
    carrier: Option<UnboundedSender<Vec<Arc<Event>>>>,
    /// Events that are withheld, oldest first.
    held: Option<Vec<Arc<Event>>>,
    /// Whether the endpoint is turned off: what happens meanwhile is never sent.
    off: bool,
    /// Who takes some of them, and answers in the endpoint's name.
    thief: Option<Thief>,
    /// What was taken.
    stolen: Vec<String>,
}

/// Somebody between Stripe and the endpoint who answers 200 and hands nothing on, for a share of events.
#[derive(Debug)]
struct Thief {
    share: f64,
    dice: Dice,
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

    /// Whether what happens now is never sent.
    pub(crate) fn is_off(&self) -> bool {
        self.off
    }

    /// Events happened. Returns those that somebody else answers.
    pub(crate) fn take(&mut self, events: &[Arc<Event>]) -> Vec<Arc<Event>> {
        if self.off {
            return Vec::new();
        }
        let (stolen, left) = self.steal(events);
        match &mut self.held {
            Some(held) => held.extend(left),
            None => self.send(left),
        }
        stolen
    }

    fn steal(&mut self, events: &[Arc<Event>]) -> (Vec<Arc<Event>>, Vec<Arc<Event>>) {
        let Some(thief) = &mut self.thief else {
            return (Vec::new(), events.to_vec());
        };
        let (stolen, left): (Vec<_>, Vec<_>) = events
            .iter()
            .cloned()
            .partition(|_| thief.dice.chance(thief.share));
        self.stolen.extend(stolen.iter().map(|event| event.id.clone()));
        (stolen, left)
    }

    /// From now on that share of events (0.0 to 1.0) is answered by somebody else and does not arrive.
    pub(crate) fn lose(&mut self, share: f64, seed: u64) {
        self.thief = (share > 0.0).then(|| Thief {
            share,
            dice: Dice::new(seed),
        });
    }

    /// The events that were lost so far, oldest first.
    pub(crate) fn lost(&self) -> &[String] {
        &self.stolen
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
