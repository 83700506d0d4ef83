//! The ordering laws: which of two snapshots of an object is the newer one.
//!
//! Stripe promises no order of delivery (<https://docs.stripe.com/webhooks#event-ordering>) and its `created`
//! has one-second resolution, so three laws are needed before anything has to be guessed:
//!
//! 1. A terminal snapshot replaces any other, and is replaced only by a terminal one.
//! 2. Then the later `created` wins.
//! 3. Then, where status only ever moves forward, the further one wins: [`Object::rank`].
//!
//! What is still equal is told apart by `previous_attributes`: [`last`].

use crate::Object;
use crate::objects::{Charge, CheckoutSession, Dispute, Invoice, PaymentIntent, Refund};

/// How far an object has come, within one second. Compared element by element; only ever among snapshots
/// of one object.
pub type Rank = [i64; 2];

impl Object {
    /// Whether nothing but another terminal snapshot can follow. (An invoice that is `uncollectible` can still
    /// be paid or voided; sessions and disputes have no end of this kind.)
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Subscription(it) => is(&it.status, &["canceled", "incomplete_expired"]),
            Self::PaymentIntent(it) => is(&it.status, &["succeeded", "canceled"]),
            Self::Invoice(it) => is(&it.status, &["paid", "void"]),
            Self::Refund(it) => is(&it.status, &["failed", "canceled"]),
            _ => false,
        }
    }

    /// How far it has come, for kinds whose status only moves forward; the same for all others. A status we do
    /// not know ranks below all we know, so that one we do know is never overruled by a guess.
    #[must_use]
    pub fn rank(&self) -> Rank {
        match self {
            Self::PaymentIntent(it) => [payment_intent(it), 0],
            Self::Invoice(it) => [invoice(it), 0],
            Self::CheckoutSession(it) => [checkout_session(it), 0],
            Self::Charge(it) => [charge(it), it.amount_refunded.unwrap_or(0)],
            Self::Refund(it) => [refund(it), 0],
            Self::Dispute(it) => [dispute(it), it.balance_transactions],
            _ => [0, 0],
        }
    }
}

fn payment_intent(it: &PaymentIntent) -> i64 {
    place(
        &it.status,
        &[
            "requires_payment_method",
            "requires_confirmation",
            "requires_action",
            "processing",
            "requires_capture",
            "canceled",
            "succeeded",
        ],
    )
}

fn invoice(it: &Invoice) -> i64 {
    place(&it.status, &["draft", "open", "uncollectible", "void", "paid"])
}

fn checkout_session(it: &CheckoutSession) -> i64 {
    match (it.status.as_deref(), it.payment_status.as_deref()) {
        (Some("open"), _) => 1,
        (Some("expired"), _) => 2,
        (Some("complete"), Some("unpaid")) => 3,
        (Some("complete"), Some("no_payment_required")) => 4,
        (Some("complete"), Some("paid")) => 5,
        _ => 0,
    }
}

fn charge(it: &Charge) -> i64 {
    place(&it.status, &["pending", "failed", "succeeded"])
}

fn refund(it: &Refund) -> i64 {
    place(
        &it.status,
        &["requires_action", "pending", "succeeded", "canceled", "failed"],
    )
}

fn dispute(it: &Dispute) -> i64 {
    match it.status.as_deref() {
        Some(status) if status.starts_with("warning_") => 1,
        Some("needs_response") => 2,
        Some("under_review") => 3,
        Some("won" | "lost") => 4,
        _ => 0,
    }
}

fn is(status: &Option<String>, words: &[&str]) -> bool {
    status.as_deref().is_some_and(|status| words.contains(&status))
}

/// Counted from 1; 0 for what is not listed.
fn place(status: &Option<String>, order: &[&str]) -> i64 {
    let place = order.iter().position(|word| status.as_deref() == Some(*word));
    place.and_then(|place| i64::try_from(place + 1).ok()).unwrap_or(0)
}

/// One of several snapshots of an object that laws 1 and 2 cannot tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contender {
    /// See [`Object::rank`].
    pub rank: Rank,
    /// Whether the event says that the object was just made: it comes before all others.
    pub is_creation: bool,
    /// Which of the others this one can directly follow: every value that its `previous_attributes` name is
    /// what the other shows. By position among the contenders.
    pub follows: Vec<usize>,
    /// The last resort, so that the outcome is at least the same everywhere.
    pub event_id: String,
}

/// Which of several contenders is the last, by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// The last one.
    pub winner: usize,
    /// Those that could be it as well. Unless they show the same, the winner is a guess.
    pub rivals: Vec<usize>,
}

/// Finds the last of several contenders; `None` without any.
///
/// Rank comes first. Among equals, the last one is the one that no other follows. When there is not exactly one
/// such (a change and its reversal within a second, two events about one change, no `previous_attributes`), the
/// event id decides: it means nothing, but every replica and every order of delivery comes to the same result.
#[must_use]
pub fn last(contenders: &[Contender]) -> Option<Last> {
    let standing = |at: usize| (contenders[at].rank, !contenders[at].is_creation);
    let best = (0..contenders.len()).map(standing).max()?;
    let equals: Vec<usize> = (0..contenders.len()).filter(|at| standing(*at) == best).collect();
    let followed = |at: &usize| {
        equals
            .iter()
            .any(|other| other != at && contenders[*other].follows.contains(at))
    };
    let ends: Vec<usize> = equals.iter().copied().filter(|at| !followed(at)).collect();
    // In a circle everybody is followed.
    let mut candidates = if ends.is_empty() { equals } else { ends };
    candidates.sort_by_key(|at| &contenders[*at].event_id);
    let winner = candidates.pop()?;
    Some(Last {
        winner,
        rivals: candidates,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(event_id: &str, follows: &[usize]) -> Contender {
        Contender {
            rank: [0, 0],
            is_creation: false,
            follows: follows.to_vec(),
            event_id: event_id.into(),
        }
    }

    fn found(winner: usize, rivals: &[usize]) -> Option<Last> {
        Some(Last {
            winner,
            rivals: rivals.to_vec(),
        })
    }

    #[test]
    fn rank_decides_before_the_chain() {
        let ahead = Contender {
            rank: [5, 0],
            ..contender("a", &[])
        };
        assert_eq!(last(&[contender("b", &[1]), ahead]), found(1, &[]));
    }

    #[test]
    fn the_chain_is_followed_to_its_end() {
        // 1 follows 0, 2 follows 1; 2 cannot be compared with 0.
        assert_eq!(
            last(&[contender("c", &[]), contender("b", &[0]), contender("a", &[1])]),
            found(2, &[])
        );
    }

    #[test]
    fn creation_comes_first_whatever_the_chain_says() {
        let made = Contender {
            is_creation: true,
            ..contender("z", &[1])
        };
        assert_eq!(last(&[made, contender("a", &[])]), found(1, &[]));
    }

    #[test]
    fn what_cannot_be_told_is_the_same_everywhere_and_said() {
        assert_eq!(
            last(&[contender("a", &[1]), contender("b", &[0])]),
            found(1, &[0]),
            "a circle"
        );
        assert_eq!(
            last(&[contender("b", &[]), contender("a", &[])]),
            found(0, &[1]),
            "no relation"
        );
        assert_eq!(last(&[]), None);
    }
}
