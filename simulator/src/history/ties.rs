//! Several events about one object within one second, and whether a reader can tell which is the last.
//!
//! Nothing in an event says so. A reader has: terminal states, a status that only moves forward, and for
//! subscriptions the chain of `previous_attributes` (an event follows those that show what it says was
//! before). What these cannot settle, only a request to Stripe can. This is the model's own reading of
//! those rules; it keeps a life from asking riddles, or counts the riddles.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::objects::Thing;

/// What to do with events of one second that no rule puts into order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Riddles {
    /// The second event comes a second later.
    Avoid,
    /// They are left to the reader, and counted in [`crate::history::Life::riddles`].
    Allow,
}

/// Place within one second: terminal or not, then rank.
type Standing = (bool, i64, i64);

/// An event of the running second.
#[derive(Debug)]
pub(super) struct Seen {
    object: &'static str,
    id: String,
    creation: bool,
    standing: Standing,
    pub(super) previous: Option<Value>,
    pub(super) shown: Value,
}

/// The events of the running second.
#[derive(Debug)]
pub(super) struct Ties {
    pub(super) riddles: Riddles,
    second: i64,
    seen: Vec<Seen>,
    /// Objects whose newest events are a riddle.
    unsolved: BTreeSet<(&'static str, String)>,
}

impl Ties {
    pub(super) fn new(riddles: Riddles) -> Self {
        Self {
            riddles,
            second: 0,
            seen: Vec::new(),
            unsolved: BTreeSet::new(),
        }
    }

    /// Whether an event at `second` has to come a second later.
    pub(super) fn is_too_early(&mut self, second: i64, new: &Seen) -> bool {
        if self.second != second {
            self.second = second;
            self.seen.clear();
        }
        let last = self.is_last(new);
        let later = !last && self.riddles == Riddles::Avoid;
        let key = (new.object, new.id.clone());
        if later {
            self.second = second + 1;
            self.seen.clear();
        } else if last {
            self.unsolved.remove(&key);
        } else {
            self.unsolved.insert(key);
        }
        later
    }

    /// Takes note of an event that was made in the running second.
    pub(super) fn remember(&mut self, seen: Seen) {
        self.seen.push(seen);
    }

    /// The ids of the objects whose newest events are a riddle.
    pub(super) fn into_unsolved(self) -> BTreeSet<String> {
        self.unsolved.into_iter().map(|(_, id)| id).collect()
    }

    fn is_last(&self, new: &Seen) -> bool {
        let group = || self.seen.iter().filter(|old| old.is_about(new));
        let mut others = group().filter(|old| old.shown != new.shown).peekable();
        if others.peek().is_none() {
            return true;
        }
        // The rules of the chain are for subscriptions; one that has ended needs none.
        if new.object == "subscription" && !new.standing.0 {
            return !new.creation
                && others.all(|old| {
                    let followed =
                        group().any(|other| !std::ptr::eq(other, old) && other.follows(old, false));
                    let after = followed || new.follows(old, false) || old.creation;
                    after && (old.creation || !old.follows(new, true))
                });
        }
        others.all(|old| old.standing < new.standing)
    }
}

impl Seen {
    /// An event of the type `kind` about `thing`, and its `data`.
    pub(super) fn new(kind: &str, thing: &Thing, shown: Value, previous: Option<Value>) -> Self {
        Self {
            object: thing.object(),
            id: thing.id().to_owned(),
            creation: kind.ends_with(".created"),
            standing: standing(thing),
            previous,
            shown,
        }
    }

    fn is_about(&self, other: &Self) -> bool {
        self.object == other.object && self.id == other.id
    }

    /// Whether every leaf of our `previous_attributes` is what the other one shows. Readers differ on a
    /// leaf of null for a member that the other does not have; `lenient` takes it for equal.
    fn follows(&self, other: &Self, lenient: bool) -> bool {
        let previous = self.previous.as_ref();
        previous.is_some_and(|previous| agrees(previous, Some(&other.shown), lenient))
    }
}

fn agrees(previous: &Value, shown: Option<&Value>, lenient: bool) -> bool {
    match (previous, shown) {
        (Value::Object(leaves), Some(Value::Object(shown))) => leaves
            .iter()
            .all(|(name, leaf)| agrees(leaf, shown.get(name), lenient)),
        (Value::Null, None) => lenient,
        (leaf, shown) => Some(leaf) == shown,
    }
}

/// The rules for kinds whose status only moves forward. Kinds that have no rule stand still.
fn standing(thing: &Thing) -> Standing {
    match thing {
        Thing::Customer(it) => (it.deleted, 0, 0),
        Thing::Subscription(it) => (matches!(it.status, "canceled" | "incomplete_expired"), 0, 0),
        Thing::Intent(it) => {
            let terminal = matches!(it.status, "succeeded" | "canceled");
            (terminal, place(INTENT, it.status), 0)
        }
        Thing::Invoice(it) => (matches!(it.status, "paid" | "void"), place(INVOICE, it.status), 0),
        Thing::Refund(it) => (
            matches!(it.status, "failed" | "canceled"),
            place(REFUND, it.status),
            0,
        ),
        Thing::Charge(it) => (false, place(CHARGE, it.status), it.amount_refunded),
        Thing::Session(it) => {
            let paid = place(&["unpaid", "no_payment_required", "paid"], it.payment_status);
            (false, place(&["open", "expired", "complete"], it.status), paid)
        }
        Thing::Dispute(it) => {
            let moved = i64::try_from(it.movements.len()).expect("a few");
            (false, dispute(it.status), moved)
        }
        _ => (false, 0, 0),
    }
}

const INTENT: &[&str] = &[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "canceled",
    "succeeded",
];
const INVOICE: &[&str] = &["draft", "open", "uncollectible", "void", "paid"];
const REFUND: &[&str] = &["requires_action", "pending", "succeeded", "canceled", "failed"];
const CHARGE: &[&str] = &["pending", "failed", "succeeded"];

/// Inquiries all stand at the beginning, whatever became of them.
fn dispute(status: &str) -> i64 {
    match status {
        "needs_response" => 1,
        "under_review" => 2,
        "won" | "lost" => 3,
        _ => 0,
    }
}

fn place(order: &[&str], word: &str) -> i64 {
    let place = order.iter().position(|other| *other == word);
    place.and_then(|place| i64::try_from(place).ok()).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(creation: bool, status: &str, ending: bool, previous: Option<Value>) -> Seen {
        Seen {
            object: "subscription",
            id: "sub_1".to_owned(),
            creation,
            standing: (false, 0, 0),
            previous,
            shown: json!({"status": status, "ending": ending}),
        }
    }

    fn solved(events: Vec<Seen>) -> bool {
        let mut ties = Ties::new(Riddles::Allow);
        let mut solved = true;
        for event in events {
            solved = ties.is_last(&event);
            ties.seen.push(event);
        }
        solved
    }

    #[test]
    fn a_chain_is_solved() {
        let chain = vec![
            seen(true, "incomplete", false, None),
            seen(false, "active", false, Some(json!({"status": "incomplete"}))),
            seen(false, "active", true, Some(json!({"ending": false}))),
        ];
        assert!(solved(chain));
    }

    #[test]
    fn a_change_and_its_reversal_are_a_riddle() {
        let circle = vec![
            seen(false, "active", false, Some(json!({"status": "past_due"}))),
            seen(false, "active", true, Some(json!({"ending": false}))),
            seen(false, "active", false, Some(json!({"ending": true}))),
        ];
        assert!(!solved(circle));
    }

    #[test]
    fn an_event_without_previous_attributes_follows_nothing() {
        let news = |previous| seen(false, "paused", false, previous);
        let before = seen(false, "trialing", false, None);
        assert!(solved(vec![before, news(Some(json!({"status": "trialing"})))]));
        let before = seen(false, "trialing", false, None);
        assert!(!solved(vec![before, news(None)]));
    }

    #[test]
    fn a_member_that_was_not_there_pleases_not_every_reader() {
        let mut after = seen(false, "paused", false, Some(json!({"details": null})));
        after.shown["details"] = json!(1);
        assert!(!solved(vec![seen(false, "trialing", false, None), after]));
    }
}
