//! Which snapshot of an object stands. The place of the ordering laws.
//!
//! Stripe promises no order and its `created` has one-second resolution. Today one law is here: a later
//! `created` replaces an earlier one. Two snapshots of one second are taken in the order they arrive;
//! terminal states, status rank and the `previous_attributes` chain join here, as further comparisons in
//! [`decide`], and need nothing outside this file but what [`State`] carries.

use std::collections::HashMap;

use crate::{ObjectKey, Snapshot, Version};

/// The newest known snapshot of every object a batch touches.
pub type State = HashMap<ObjectKey, Version>;

/// What becomes of one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It stands now.
    Apply,
    /// A newer one is known already; the event is history, and done.
    Superseded,
}

/// Decides about one snapshot.
#[must_use]
pub fn decide(state: &State, snapshot: &Snapshot) -> Decision {
    match state.get(&snapshot.key) {
        Some(known) if known.created > snapshot.version.created => Decision::Superseded,
        _ => Decision::Apply,
    }
}

/// Decides about a batch, one snapshot after another, and returns the last standing one of each object
/// that changed, in key order (the one order in which rows are locked and written).
#[must_use]
pub fn decide_all(mut state: State, snapshots: impl IntoIterator<Item = Snapshot>) -> Vec<Snapshot> {
    let mut standing: HashMap<ObjectKey, Snapshot> = HashMap::new();
    for snapshot in snapshots {
        if decide(&state, &snapshot) == Decision::Apply {
            state.insert(snapshot.key.clone(), snapshot.version.clone());
            standing.insert(snapshot.key.clone(), snapshot);
        }
    }
    let mut standing: Vec<Snapshot> = standing.into_values().collect();
    standing.sort_by(|a, b| a.key.cmp(&b.key));
    standing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::EntitlementSummary;
    use crate::{Kind, Object};

    fn snapshot(id: &str, created: i64) -> Snapshot {
        Snapshot {
            key: key(id),
            version: version(created),
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

    fn version(created: i64) -> Version {
        Version {
            created,
            event_id: format!("evt_{created}"),
        }
    }

    #[test]
    fn a_later_snapshot_replaces_an_earlier_one() {
        let state = State::from([(key("a"), version(10))]);
        assert_eq!(decide(&state, &snapshot("a", 11)), Decision::Apply);
        assert_eq!(decide(&state, &snapshot("a", 9)), Decision::Superseded);
        assert_eq!(
            decide(&state, &snapshot("b", 9)),
            Decision::Apply,
            "an object not seen before"
        );
    }

    #[test]
    fn one_snapshot_of_each_object_stands_in_any_order() {
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            let batch = order
                .map(|created| snapshot("a", created))
                .into_iter()
                .chain([snapshot("b", 1)]);
            let standing: Vec<_> = decide_all(State::new(), batch)
                .into_iter()
                .map(|s| (s.key.id, s.version.created))
                .collect();
            assert_eq!(standing, [("a".to_owned(), 3), ("b".to_owned(), 1)]);
        }
    }

    #[test]
    fn what_is_known_already_is_not_written_again() {
        let state = State::from([(key("a"), version(10))]);
        assert!(decide_all(state, [snapshot("a", 3), snapshot("a", 4)]).is_empty());
    }
}
