//! Snapshots of one object and one second: which is the last? Pure.
//!
//! `previous_attributes` says what changed and what it was before, so it says which snapshot an event can follow:
//! one in which every value it names is as it was. More than two events in one second make a chain, of which only
//! neighbours can be compared, so the whole second is looked at together.

use std::collections::HashMap;

use domain::{Contender, Contest, Last, ObjectKey, Settled, Snapshot, Version, last};
use serde_json::Value;

use crate::read::{FullEvent, full_event};

/// Settles contests among stored events, given as bodies with the index of the contest each belongs to. Says
/// also of which objects the outcome is a guess.
#[must_use]
pub fn settle(
    contests: &[Contest],
    bodies: &[(usize, String)],
    batch: &[Snapshot],
) -> (Settled, Vec<ObjectKey>) {
    let mut events: HashMap<usize, Vec<FullEvent>> = HashMap::new();
    for (index, body) in bodies {
        let takes_part = |event: &FullEvent| {
            contests
                .get(*index)
                .is_some_and(|contest| belongs(contest, event))
        };
        events
            .entry(*index)
            .or_default()
            .extend(full_event(body).filter(takes_part));
    }
    let mut guesses = Vec::new();
    let outcome = |(index, contest): (usize, &Contest)| {
        let (winner, guessed) = match events.remove(&index) {
            Some(events) if !events.is_empty() => last_of(events),
            _ => (by_event_id(contest, batch), true),
        };
        guesses.extend(guessed.then(|| contest.key.clone()));
        (contest.key.clone(), winner)
    };
    let settled = contests.iter().enumerate().map(outcome).collect();
    (settled, guesses)
}

/// The same object (ids are unique only within a kind), and as far as laws 1 and 2 go.
fn belongs(contest: &Contest, event: &FullEvent) -> bool {
    let Snapshot { key, version, .. } = &event.snapshot;
    *key == contest.key && version.created == contest.created && version.terminal == contest.terminal
}

/// The last event, and whether that is a guess. Two events about one change show the same, so either will do.
fn last_of(events: Vec<FullEvent>) -> (Option<Snapshot>, bool) {
    let Some(Last { winner, rivals }) = last(&contenders(&events)) else {
        return (None, false);
    };
    let shows = |at: usize| &events[at].snapshot.object;
    let guessed = rivals.into_iter().any(|rival| shows(rival) != shows(winner));
    (
        events.into_iter().nth(winner).map(|event| event.snapshot),
        guessed,
    )
}

/// Objects without an id of their own cannot be looked up by it; their events are not compared.
fn by_event_id(contest: &Contest, batch: &[Snapshot]) -> Option<Snapshot> {
    let takes_part = |it: &&Snapshot| {
        let Version {
            created, terminal, ..
        } = it.version;
        it.key == contest.key && created == contest.created && terminal == contest.terminal
    };
    let best = batch
        .iter()
        .filter(takes_part)
        .max_by_key(|it| &it.version.event_id)?;
    let stays = contest
        .standing
        .as_ref()
        .is_some_and(|standing| standing.event_id > best.version.event_id);
    (!stays).then(|| best.clone())
}

fn contenders(events: &[FullEvent]) -> Vec<Contender> {
    let follows = |at: usize| {
        let others = (0..events.len()).filter(|other| *other != at);
        others
            .filter(|other| can_follow(&events[at].previous, &events[*other].object))
            .collect()
    };
    let contender = |(at, event): (usize, &FullEvent)| Contender {
        rank: event.snapshot.object.rank(),
        is_creation: event.is_creation,
        follows: follows(at),
        event_id: event.snapshot.version.event_id.clone(),
    };
    events.iter().enumerate().map(contender).collect()
}

/// Whether an event that was preceded by `previous` can directly follow a snapshot that shows `object`.
fn can_follow(previous: &Value, object: &Value) -> bool {
    match (previous, object) {
        (Value::Object(before), Value::Object(shown)) => {
            // A member that was not there before is named with null.
            let agrees = |(name, value): (&String, &Value)| {
                let shown = shown.get(name).unwrap_or(&Value::Null);
                if value.is_object() {
                    can_follow(value, shown)
                } else {
                    value == shown
                }
            };
            before.iter().all(agrees)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use domain::Kind;
    use serde_json::json;

    use super::*;

    fn body(id: &str, event_type: &str, object: &Value, previous: Option<Value>) -> String {
        let mut data = json!({"object": object});
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        json!({"id": id, "object": "event", "type": event_type, "created": 10, "data": data}).to_string()
    }

    fn subscription(status: &str, ending: bool) -> Value {
        json!({"id": "sub_1", "object": "subscription", "status": status, "cancel_at_period_end": ending})
    }

    fn contest() -> Contest {
        let key = ObjectKey {
            account: String::new(),
            kind: Kind::Subscription,
            id: "sub_1".into(),
        };
        Contest {
            key,
            created: 10,
            terminal: false,
            standing: None,
        }
    }

    fn winner(bodies: &[String]) -> (String, usize) {
        let bodies: Vec<_> = bodies.iter().map(|body| (0, body.clone())).collect();
        let (mut settled, guesses) = settle(&[contest()], &bodies, &[]);
        let winner = settled.remove(&contest().key).flatten().expect("a winner");
        (winner.version.event_id, guesses.len())
    }

    #[test]
    fn a_chain_of_one_second_is_followed_in_every_order() {
        let mut bodies = vec![
            body(
                "evt_z",
                "customer.subscription.created",
                &subscription("incomplete", false),
                None,
            ),
            body(
                "evt_y",
                "customer.subscription.updated",
                &subscription("active", false),
                Some(json!({"status": "incomplete"})),
            ),
            body(
                "evt_x",
                "customer.subscription.updated",
                &subscription("active", true),
                Some(json!({"cancel_at_period_end": false})),
            ),
        ];
        for _ in 0..3 {
            bodies.rotate_left(1);
            assert_eq!(winner(&bodies), ("evt_x".into(), 0));
            let reversed: Vec<_> = bodies.iter().rev().cloned().collect();
            assert_eq!(winner(&reversed), ("evt_x".into(), 0));
        }
    }

    #[test]
    fn a_change_and_its_reversal_are_a_guess_and_said_to_be_one() {
        let there = body(
            "evt_a",
            "customer.subscription.updated",
            &subscription("active", true),
            Some(json!({"cancel_at_period_end": false})),
        );
        let back = body(
            "evt_b",
            "customer.subscription.updated",
            &subscription("active", false),
            Some(json!({"cancel_at_period_end": true})),
        );
        assert_eq!(winner(&[there.clone(), back.clone()]), ("evt_b".into(), 1));
        assert_eq!(winner(&[back, there]), ("evt_b".into(), 1));
    }

    #[test]
    fn two_events_about_one_change_are_no_guess() {
        let previous = || Some(json!({"status": "incomplete"}));
        let twin = |id| {
            body(
                id,
                "customer.subscription.updated",
                &subscription("active", false),
                previous(),
            )
        };
        assert_eq!(winner(&[twin("evt_a"), twin("evt_b")]), ("evt_b".into(), 0));
    }

    #[test]
    fn rank_tells_invoices_apart() {
        let invoice = |status: &str| json!({"id": "sub_1", "object": "invoice", "status": status});
        let contest = Contest {
            key: ObjectKey {
                kind: Kind::Invoice,
                ..contest().key
            },
            ..contest()
        };
        let bodies = [
            body("evt_b", "invoice.created", &invoice("draft"), None),
            body("evt_a", "invoice.finalized", &invoice("open"), None),
        ];
        let bodies: Vec<_> = bodies.into_iter().map(|body| (0, body)).collect();
        let (settled, guesses) = settle(std::slice::from_ref(&contest), &bodies, &[]);
        let winner = settled[&contest.key].as_ref().expect("a winner");
        assert_eq!((winner.version.event_id.as_str(), guesses.len()), ("evt_a", 0));
    }

    #[test]
    fn nested_and_absent_members_are_compared_by_leaf() {
        let object = json!({"a": {"b": 1, "c": 2}, "list": [1, 2]});
        assert!(can_follow(&json!({"a": {"b": 1}}), &object));
        assert!(can_follow(&json!({"gone": null, "list": [1, 2]}), &object));
        assert!(!can_follow(&json!({"a": {"b": 2}}), &object));
        assert!(!can_follow(&json!({"list": [1]}), &object));
        assert!(
            !can_follow(&Value::Null, &object),
            "an event that does not say follows nothing"
        );
    }

    #[test]
    fn without_stored_events_the_event_id_decides() {
        let key = ObjectKey {
            account: String::new(),
            kind: Kind::EntitlementSummary,
            id: "cus_1".into(),
        };
        let standing = Version {
            terminal: false,
            created: 10,
            event_id: "evt_m".into(),
        };
        let contest = Contest {
            key: key.clone(),
            created: 10,
            terminal: false,
            standing: Some(standing),
        };
        let summary = domain::objects::EntitlementSummary {
            has_more: false,
            entitlements: Vec::new(),
        };
        for (new, wins) in [("evt_a", None), ("evt_z", Some("evt_z"))] {
            let snapshot = Snapshot {
                key: key.clone(),
                version: Version {
                    terminal: false,
                    created: 10,
                    event_id: new.into(),
                },
                livemode: false,
                deleted: false,
                object: domain::Object::EntitlementSummary(summary.clone()),
            };
            let (settled, guesses) = settle(std::slice::from_ref(&contest), &[], &[snapshot]);
            let winner = settled[&key]
                .as_ref()
                .map(|winner| winner.version.event_id.as_str());
            assert_eq!((winner, guesses.len()), (wins, 1));
        }
    }
}
