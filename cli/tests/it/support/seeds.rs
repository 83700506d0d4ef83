//! Seeds: what the environment may say about how much is tried, and in which order things are dealt.

use simulator::dice::Dice;

/// A number that the environment may set: the seed of a failure to repeat, more rounds for the night.
pub fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect(name))
}

/// Whether the night's tests are wanted, which take as long as they take.
pub fn is_night() -> bool {
    setting("TOLLGATE_TEST_NIGHT", 0) > 0
}

/// Cuts `items` at random places, into pieces of one to `most`.
pub fn cut<T>(mut items: Vec<T>, most: u64, dice: &mut Dice) -> Vec<Vec<T>> {
    let mut pieces = Vec::new();
    while !items.is_empty() {
        let size = usize::try_from(dice.below(most)).expect("small") + 1;
        let rest = items.split_off(size.min(items.len()));
        pieces.push(std::mem::replace(&mut items, rest));
    }
    pieces
}

/// The same, with a share of them repeated, in any order.
pub fn shaken<T: Clone>(items: &[T], repeated: f64, dice: &mut Dice) -> Vec<T> {
    let mut shaken = items.to_vec();
    shaken.extend(items.iter().filter(|_| dice.chance(repeated)).cloned());
    dice.shuffle(&mut shaken);
    shaken
}

/// Lays many orders side by side: chunks that each hold a piece of every order of a group, and groups mixed, so that
/// the chunk after one often goes on with it. Whatever is done with them in this order, every order is kept.
pub fn deal<T>(orders: Vec<Vec<Vec<T>>>, dice: &mut Dice) -> Vec<Vec<T>> {
    /// Orders in one group, at most.
    const GROUP_MAX: u64 = 120;
    /// Groups that are mixed.
    const GROUPS_OPEN: usize = 3;
    let mut groups = cut(orders, GROUP_MAX, dice);
    let mut open: Vec<Vec<std::vec::IntoIter<Vec<T>>>> = Vec::new();
    let mut chunks = Vec::new();
    loop {
        while open.len() < GROUPS_OPEN
            && let Some(group) = groups.pop()
        {
            open.push(group.into_iter().map(Vec::into_iter).collect());
        }
        if open.is_empty() {
            return chunks;
        }
        let place = dice.index(open.len());
        let chunk: Vec<T> = open[place]
            .iter_mut()
            .filter_map(Iterator::next)
            .flatten()
            .collect();
        if chunk.is_empty() {
            open.swap_remove(place);
        } else {
            chunks.push(chunk);
        }
    }
}
