//! Stories as cards, so that rare ones do come up.

use crate::{
    ApiVersion,
    dice::Dice,
    history::{STORIES, Story},
};

/// A shuffled round: each story in each version, once for each unit of its weight. A new round
/// begins when the last card is drawn.
pub(super) struct Deck<'a> {
    versions: &'a [ApiVersion],
    cards: Vec<(&'static Story, ApiVersion)>,
}

impl<'a> Deck<'a> {
    /// `versions` must not be empty.
    pub(super) fn new(versions: &'a [ApiVersion]) -> Self {
        Self {
            versions,
            cards: Vec::new(),
        }
    }

    pub(super) fn draw(&mut self, dice: &mut Dice) -> (&'static Story, ApiVersion) {
        if self.cards.is_empty() {
            for version in self.versions {
                let cards = STORIES
                    .iter()
                    .flat_map(|story| std::iter::repeat_n(story, story.weight));
                self.cards.extend(cards.map(|story| (story, *version)));
            }
            dice.shuffle(&mut self.cards);
        }
        self.cards
            .pop()
            .expect("there are stories of weight 1 or more, and at least one version")
    }
}
