//! Which snapshot of each object stands after a batch.
//!
//! What stands is a function of the set of events, not of their order: within a batch and between batches the
//! same comparison is made. Where it cannot be made from [`Version`]s alone, the batch names a [`Contest`], which
//! is settled among the snapshots themselves ([`crate::last`]).

use std::collections::{HashMap, HashSet};

use crate::{ObjectKey, Snapshot, Version};

/// The newest known snapshot of every object a batch touches.
pub type Known = HashMap<ObjectKey, Version>;

/// An object of which several snapshots could stand: equally terminal, and of one second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contest {
    /// The object.
    pub key: ObjectKey,
    /// The second, unix.
    pub created: i64,
    /// Whether they are terminal, all of them.
    pub terminal: bool,
    /// The snapshot that stands, when it is one of them. Others of that second may have lost to it before.
    pub standing: Option<Version>,
}

impl Version {
    /// Laws 1 and 2: terminal before not, then later before earlier.
    fn precedence(&self) -> (bool, i64) {
        (self.terminal, self.created)
    }
}

/// The objects of a batch for which laws 1 and 2 leave more than one snapshot, in key order.
#[must_use]
pub fn contests(state: &Known, snapshots: &[Snapshot]) -> Vec<Contest> {
    let best = best_precedence(state, snapshots);
    let mut ids: HashMap<&ObjectKey, HashSet<&str>> = HashMap::new();
    let known = state
        .iter()
        .filter(|(key, version)| best.get(key) == Some(&version.precedence()));
    let new = snapshots
        .iter()
        .map(|snapshot| (&snapshot.key, &snapshot.version));
    for (key, version) in known.chain(new.filter(|(key, version)| best[key] == version.precedence())) {
        ids.entry(key).or_default().insert(&version.event_id);
    }
    let contested = best.iter().filter(|(key, _)| ids[*key].len() > 1);
    let mut contests: Vec<Contest> = contested
        .map(|(key, best)| Contest {
            key: (*key).clone(),
            created: best.1,
            terminal: best.0,
            standing: state
                .get(key)
                .filter(|version| version.precedence() == *best)
                .cloned(),
        })
        .collect();
    contests.sort_by(|a, b| a.key.cmp(&b.key));
    contests
}

/// How a contest ended: the winner, which may be an event of an earlier batch, or `None` when what stands stays.
pub type Settled = HashMap<ObjectKey, Option<Snapshot>>;

/// The snapshots that stand now and did not before, in key order: the one order in which rows are written.
/// `settled` has the outcome of all [`contests`].
#[must_use]
pub fn decide_all(state: &Known, snapshots: Vec<Snapshot>, settled: Settled) -> Vec<Snapshot> {
    let best = best_precedence(state, &snapshots);
    let is_best = |it: &Snapshot| !settled.contains_key(&it.key) && best[&it.key] == it.version.precedence();
    let stands: Vec<bool> = snapshots.iter().map(is_best).collect();
    let (snapshots, stands) = (snapshots.into_iter(), stands.into_iter());
    let mut standing: Vec<Snapshot> = snapshots
        .zip(stands)
        .filter_map(|(snapshot, stands)| stands.then_some(snapshot))
        .collect();
    standing.extend(settled.into_values().flatten());
    standing.retain(|it| {
        state
            .get(&it.key)
            .is_none_or(|known| known.event_id != it.version.event_id)
    });
    standing.sort_by(|a, b| a.key.cmp(&b.key));
    standing.dedup_by(|a, b| a.key == b.key);
    standing
}

/// What laws 1 and 2 make of everything known about each object of the batch.
fn best_precedence<'a>(state: &Known, snapshots: &'a [Snapshot]) -> HashMap<&'a ObjectKey, (bool, i64)> {
    let mut best = HashMap::with_capacity(snapshots.len());
    for snapshot in snapshots {
        let known = state.get(&snapshot.key).map(Version::precedence);
        let precedence = snapshot.version.precedence();
        let so_far = best.entry(&snapshot.key).or_insert(known.unwrap_or(precedence));
        *so_far = (*so_far).max(precedence);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::EntitlementSummary;
    use crate::{Kind, Object};

    fn snapshot(id: &str, terminal: bool, created: i64, event: &str) -> Snapshot {
        Snapshot {
            key: key(id),
            version: version(terminal, created, event),
            livemode: false,
            deleted: false,
            object: Object::EntitlementSummary(EntitlementSummary {
                has_more: false,
                entitlements: Vec::new(),
            }),
        }
    }

    fn key(id: &str) -> ObjectKey {
        ObjectKey {
            account: String::new(),
            kind: Kind::EntitlementSummary,
            id: id.into(),
        }
    }

    fn version(terminal: bool, created: i64, event: &str) -> Version {
        Version {
            terminal,
            created,
            event_id: event.into(),
        }
    }

    fn events(standing: Vec<Snapshot>) -> Vec<String> {
        standing
            .into_iter()
            .map(|snapshot| snapshot.version.event_id)
            .collect()
    }

    #[test]
    fn a_later_snapshot_replaces_an_earlier_one() {
        let state = Known::from([(key("a"), version(false, 10, "known"))]);
        assert_eq!(
            events(decide_all(
                &state,
                vec![snapshot("a", false, 11, "e")],
                Settled::new()
            )),
            ["e"]
        );
        assert!(decide_all(&state, vec![snapshot("a", false, 9, "e")], Settled::new()).is_empty());
        assert_eq!(
            events(decide_all(
                &state,
                vec![snapshot("b", false, 9, "e")],
                Settled::new()
            )),
            ["e"],
            "not seen before"
        );
    }

    #[test]
    fn terminal_wins_whatever_the_time() {
        let state = Known::from([(key("a"), version(true, 10, "known"))]);
        assert!(decide_all(&state, vec![snapshot("a", false, 99, "e")], Settled::new()).is_empty());
        assert_eq!(
            events(decide_all(
                &state,
                vec![snapshot("a", true, 11, "e")],
                Settled::new()
            )),
            ["e"]
        );
        let batch = vec![snapshot("b", true, 1, "end"), snapshot("b", false, 2, "late")];
        assert_eq!(events(decide_all(&state, batch, Settled::new())), ["end"]);
    }

    #[test]
    fn one_snapshot_of_each_object_stands_in_any_order() {
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            let batch = order.map(|created| snapshot("a", false, created, &created.to_string()));
            let batch = batch.into_iter().chain([snapshot("b", false, 1, "b")]).collect();
            assert_eq!(
                events(decide_all(&Known::new(), batch, Settled::new())),
                ["3", "b"]
            );
        }
    }

    #[test]
    fn snapshots_of_one_second_contend() {
        let state = Known::from([
            (key("a"), version(false, 10, "known")),
            (key("b"), version(false, 9, "old")),
        ]);
        let batch = vec![
            snapshot("a", false, 10, "x"),
            snapshot("b", false, 10, "y"),
            snapshot("b", false, 10, "z"),
            snapshot("c", false, 10, "only"),
            snapshot("c", false, 10, "only"),
        ];
        let contests = contests(&state, &batch);
        let named: Vec<_> = contests
            .iter()
            .map(|contest| (contest.key.id.as_str(), contest.standing.is_some()))
            .collect();
        assert_eq!(named, [("a", true), ("b", false)]);
        let settled = Settled::from([(key("a"), None), (key("b"), Some(snapshot("b", false, 10, "z")))]);
        assert_eq!(events(decide_all(&state, batch, settled)), ["z", "only"]);
        let earlier = snapshot("a", false, 10, "of an earlier batch");
        let settled = Settled::from([(key("a"), Some(earlier))]);
        assert_eq!(
            events(decide_all(&state, Vec::new(), settled)),
            ["of an earlier batch"]
        );
    }
}
