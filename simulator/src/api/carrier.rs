//! Brings events to the webhook endpoint, and notes which have arrived.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use shared::{clock::Clock, signature::Secret};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
};

use super::{Inner, locked};
use crate::{
    deliveries::{Hostility, deliveries},
    dice::Dice,
    event::Event,
    sender::{Fate, Outcome, Pace, Retry, Sender, SenderError, Settings},
    traffic::Delivery,
};

/// Where events go, and how badly.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// The endpoint, a plain http address.
    pub url: String,
    /// What they are signed with; several make one signature each.
    pub secrets: Vec<Secret>,
    /// What happens after a failed attempt.
    pub retry: Retry,
    /// What signatures are stamped with: the receiver's time, not that of a shop that was moved ahead.
    pub clock: Clock,
    /// What becomes of the events of one request among each other.
    pub hostility: Hostility,
    /// The longest an event is held back, so that it falls behind those of later requests.
    pub delay: Duration,
    /// Repeats all of that.
    pub seed: u64,
}

impl Webhooks {
    /// In their order, each once, at once.
    #[must_use]
    pub fn new(url: &str, secrets: Vec<Secret>) -> Self {
        Self {
            url: url.to_owned(),
            secrets,
            retry: Retry::default(),
            clock: Clock::system(),
            hostility: Hostility::NONE,
            delay: Duration::ZERO,
            seed: 0,
        }
    }

    fn sender(&self) -> Result<Sender, SenderError> {
        let settings = Settings {
            pace: Pace::Planned,
            retry: self.retry,
            clock: self.clock.clone(),
            ..Settings::default()
        };
        Sender::new(&self.url, self.secrets.clone(), settings)
    }
}

/// Carries events from a shop to its endpoint.
pub(super) struct Carrier {
    shop: Weak<Inner>,
    sender: Sender,
    webhooks: Webhooks,
    dice: Dice,
    events: UnboundedReceiver<Vec<Arc<Event>>>,
}

impl Carrier {
    /// Takes over what `inner` has to send from now on.
    pub(super) fn employ(inner: &Arc<Inner>, webhooks: Webhooks) -> Result<Self, SenderError> {
        let sender = webhooks.sender()?;
        let (post, events) = unbounded_channel();
        let mut shop = locked(&inner.shop);
        shop.add_endpoint(&webhooks.url);
        shop.post.employ(post);
        Ok(Self {
            shop: Arc::downgrade(inner),
            sender,
            dice: Dice::new(webhooks.seed),
            webhooks,
            events,
        })
    }

    /// Works as long as the shop is open.
    pub(super) async fn run(mut self) {
        let mut rounds = JoinSet::new();
        while let Some(events) = self.events.recv().await {
            while rounds.try_join_next().is_some() {}
            let deliveries = self.plan(&events);
            rounds.spawn(deliver(self.shop.clone(), self.sender.clone(), deliveries));
        }
    }

    fn plan(&mut self, events: &[Arc<Event>]) -> Vec<Delivery> {
        let events = events.iter().map(AsRef::as_ref);
        let made = deliveries(events, self.dice.seed(), self.webhooks.hostility);
        let longest = u64::try_from(self.webhooks.delay.as_millis()).unwrap_or(u64::MAX);
        let dice = &mut self.dice;
        let delivery = |event: Event| Delivery {
            event: Arc::new(event),
            at: Duration::from_millis(dice.below(longest)),
            duplicate: false,
        };
        let mut planned: Vec<Delivery> = made.order.into_iter().map(delivery).collect();
        // Stable: what is not delayed keeps its order.
        planned.sort_by_key(|delivery| delivery.at);
        planned
    }
}

async fn deliver(shop: Weak<Inner>, sender: Sender, deliveries: Vec<Delivery>) {
    let (sink, mut outcomes) = unbounded_channel::<Outcome>();
    let note = async {
        while let Some(outcome) = outcomes.recv().await {
            if let Some(inner) = shop.upgrade().filter(|_| outcome.fate == Fate::Accepted) {
                locked(&inner.shop).model.mark_delivered(&outcome.event_id, true);
            }
        }
    };
    tokio::join!(sender.send(deliveries, sink, std::future::pending()), note);
}
