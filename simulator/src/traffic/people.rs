//! The customers behind a plan's traffic: their events, and their objects for the API.

use std::sync::Arc;

use super::{Plan, deck::Deck};
use crate::{
    catalogue::Catalogue,
    dice::Dice,
    event::Event,
    history::{Life, Setting, catalogue_events, live},
    shop::Model,
};

impl Plan {
    /// What the API knows while this traffic is delivered: all its distinct events, and every object as it
    /// is in the end. (Events that the plan cuts off have had their effect on the objects already.)
    #[must_use]
    pub fn model(&self) -> Model {
        let mut dice = Dice::new(self.seed);
        let own = Catalogue::new(dice.seed(), self.start);
        let mut lives = Vec::new();
        let (_, connected) = self.populate(&own, self.snapshots(), &mut dice, |mut life| {
            life.events.clear();
            lives.push(life);
        });
        let mut model = Model::new(&own, &lives);
        model.add_catalogue(&connected.account, &connected);
        let events = self.distinct_events(&mut Dice::new(self.seed));
        model.add_events(events.into_iter().map(Arc::new));
        model
    }

    /// The catalogue, then customers until there are enough events, cut to exactly `count`: the
    /// newest events of all are missing, as if they had not happened yet.
    pub(super) fn lives(&self, own: &Catalogue, count: usize, dice: &mut Dice) -> Vec<Event> {
        let mut events = Vec::new();
        let (opening, _) = self.populate(own, count, dice, |life| events.extend(life.events));
        let mut all = opening;
        all.append(&mut events);
        all.sort_by_key(|event| event.created);
        all.truncate(count);
        all
    }

    /// Lets customers live until they and the opening of the shop make `count` events; gives back the events
    /// of the opening, and the shop of the connected account.
    fn populate(
        &self,
        own: &Catalogue,
        count: usize,
        dice: &mut Dice,
        mut each: impl FnMut(Life),
    ) -> (Vec<Event>, Catalogue) {
        let connected = Catalogue::new(dice.seed(), self.start);
        let mut deck = Deck::new(self.versions());
        let opening = catalogue_events(self.setting(own, self.versions()[0], dice));
        let mut told = opening.len();
        while told < count {
            let (story, version) = deck.draw(dice);
            let abroad = dice.chance(self.connect);
            let catalogue = if abroad { &connected } else { own };
            let setting = self.setting(catalogue, version, dice);
            let life = live(
                story,
                Setting {
                    connected: abroad,
                    ..setting
                },
            );
            told += life.events.len();
            each(life);
        }
        (opening, connected)
    }
}
