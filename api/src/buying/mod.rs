//! Buying: what is asked for, whether this user may, as whom, and what Stripe is asked for then.
//!
//! `wish.rs` understands the request, `purchase.rs` what it comes to by the catalogue, `parameters.rs` what Stripe is
//! told; `subscribe.rs` and `once.rs` begin it, `change.rs` changes what runs.
//!
//! Whether a user may is decided from Postgres, not from what is kept.

mod change;
mod customer;
mod once;
mod parameters;
mod purchase;
mod subscribe;
mod wish;

pub(crate) use change::{Change, change};
pub(crate) use customer::customer_if_any;
pub(crate) use once::{Buying, begin};
pub(crate) use subscribe::subscribe;
pub(crate) use wish::{TopUpWish, Wish, wish};

use domain::{Permission, Position, can_purchase, can_subscribe};
use store::api::{ActingTx, UserPosition};

use crate::problem::{Kind, Problem};

/// How often a purchase is looked at anew, because something had to be made or ended first.
const ROUNDS_MAX: u32 = 8;

/// Refuses who may not buy, by what is committed. `capacity` is asked for before: with a connection of one's own there
/// must be no waiting for another.
async fn require_may(
    tx: &mut ActingTx,
    user: &str,
    capacity: Option<i64>,
    subscribes: bool,
) -> Result<(), Problem> {
    let facts = facts(&tx.position_of(user).await?, capacity);
    let permission = if subscribes {
        can_subscribe(&facts)
    } else {
        can_purchase(&facts)
    };
    refusal(permission).map_or(Ok(()), Err)
}

fn facts(position: &UserPosition, capacity: Option<i64>) -> Position {
    Position {
        standing: position.standing,
        told: position.told,
        balance: position.balance,
        team_balance: position.team_balance,
        capacity,
    }
}

fn refusal(permission: Permission) -> Option<Problem> {
    if permission.allowed {
        return None;
    }
    Some(match permission.reason {
        "capacity_used_up" => Kind::CAPACITY.because("the platform gives no more credits at the moment"),
        "payment_overdue" => Kind::OVERDUE.because("what is owed comes first; the portal takes it"),
        "has_subscription" => Kind::SUBSCRIBED.because("there is one already; it can be changed"),
        other => Kind::CONFLICT.because(other),
    })
}

#[cfg(test)]
mod tests {
    use domain::{Standing, State};

    use super::*;

    #[test]
    fn every_refusal_has_a_code_of_its_own() {
        let position = |state, capacity| Position {
            standing: Standing {
                state,
                entitled: false,
            },
            told: state,
            balance: 0,
            team_balance: 0,
            capacity,
        };
        let code = |facts: Position| refusal(can_subscribe(&facts)).map(|problem| problem.code);
        assert_eq!(code(position(State::NoSubscription, None)), None);
        assert_eq!(code(position(State::Active, None)), Some("has_subscription"));
        assert_eq!(code(position(State::PastDue, None)), Some("payment_overdue"));
        assert_eq!(code(position(State::Canceled, Some(0))), Some("capacity_used_up"));
    }
}
