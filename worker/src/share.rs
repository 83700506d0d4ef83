//! Which shards are whose. Pure: every worker works it out alone, from who lives and which shards there are, and all
//! come to the same.

use std::collections::{BTreeMap, BTreeSet};

use shared::queue::shards::stable_hash;

/// The shards that are `me`'s. Each shard goes to who scores highest for it (rendezvous hashing), so that most stay where
/// they are when somebody comes or goes; but nobody gets two more than another, so that all have work.
pub(crate) fn share(me: &str, workers: &BTreeSet<String>, shards: &BTreeSet<u16>) -> BTreeSet<u16> {
    let Some(least) = shards.len().checked_div(workers.len()) else {
        return BTreeSet::new();
    };
    // So many have one more.
    let mut more = shards.len() % workers.len();
    let mut counts: BTreeMap<&str, usize> = workers.iter().map(|name| (&**name, 0)).collect();
    let mut mine = BTreeSet::new();
    for shard in shards {
        let has_room = |count: usize| count < least || (count == least && more > 0);
        let with_room = counts.iter().filter(|(_, count)| has_room(**count));
        let Some(name) = with_room
            .map(|(name, _)| *name)
            .max_by_key(|name| score(name, *shard))
        else {
            break;
        };
        let count = counts.entry(name).or_default();
        more -= usize::from(*count == least);
        *count += 1;
        if name == me {
            mine.insert(*shard);
        }
    }
    mine
}

fn score(name: &str, shard: u16) -> u64 {
    stable_hash([name.as_bytes(), &shard.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> BTreeSet<String> {
        (0..count).map(|number| format!("host-{number}-19a")).collect()
    }

    fn shards(count: u16) -> BTreeSet<u16> {
        (0..count).collect()
    }

    fn owners(workers: &BTreeSet<String>, count: u16) -> BTreeMap<u16, String> {
        let share_of = |name: &String| {
            let mine = share(name, workers, &shards(count));
            mine.into_iter()
                .map(|shard| (shard, name.clone()))
                .collect::<Vec<_>>()
        };
        let all: Vec<(u16, String)> = workers.iter().flat_map(share_of).collect();
        let owners: BTreeMap<u16, String> = all.iter().cloned().collect();
        assert_eq!(owners.len(), all.len(), "a shard has one owner");
        owners
    }

    #[test]
    fn each_shard_has_one_owner_and_nobody_two_more_than_another() {
        for workers in 1..=12 {
            for count in [1, 2, 8, 64] {
                let workers = names(workers);
                let owners = owners(&workers, count);
                assert_eq!(owners.len(), usize::from(count));
                let has = |name: &String| owners.values().filter(|it| *it == name).count();
                let counts: Vec<usize> = workers.iter().map(has).collect();
                let (most, least) = (counts.iter().max(), counts.iter().min());
                assert!(
                    most.zip(least).is_some_and(|(most, least)| most - least <= 1),
                    "{counts:?}"
                );
            }
        }
    }

    #[test]
    fn few_move_when_somebody_comes() {
        for count in 1..8 {
            let (before, after) = (owners(&names(count), 64), owners(&names(count + 1), 64));
            let moved = before
                .iter()
                .filter(|(shard, name)| after[*shard] != **name)
                .count();
            let least = 64 / (count + 1);
            assert!(moved <= 2 * least, "{moved} of 64 moved, and {least} had to");
        }
    }

    #[test]
    fn who_is_not_among_the_living_has_none() {
        assert!(share("nobody", &names(3), &shards(8)).is_empty());
        assert!(share("nobody", &BTreeSet::new(), &shards(8)).is_empty());
    }
}
