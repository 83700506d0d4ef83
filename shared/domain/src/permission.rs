//! "May this user do that?", with the reason.

use crate::{NegativeBalance, Policy, Standing, State};

/// What the answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Best of all subscriptions, or what a person said instead.
    pub standing: Standing,
    /// Best of all subscriptions, whatever a person said.
    pub told: State,
    /// The user's own credits; below zero when some were refunded after they were spent.
    pub balance: i64,
    /// Credits of their teams.
    pub team_balance: i64,
    /// Credits the platform may still hand out; `None` without a limit.
    pub capacity: Option<i64>,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// Yes or no.
    pub allowed: bool,
    /// Why, a word from a closed set.
    pub reason: &'static str,
}

impl Permission {
    const fn yes(reason: &'static str) -> Self {
        Self {
            allowed: true,
            reason,
        }
    }

    const fn no(reason: &'static str) -> Self {
        Self {
            allowed: false,
            reason,
        }
    }
}

/// Whether credits may be used now. Credits that were bought stay usable without a subscription.
#[must_use]
pub fn can_use_credits(position: &Position, policy: &Policy) -> Permission {
    let Position {
        standing,
        balance,
        team_balance,
        ..
    } = *position;
    let tolerated = policy.negative_balance == NegativeBalance::Tolerate && standing.entitled;
    if balance < 0 && !tolerated {
        return Permission::no("balance_below_zero");
    }
    if standing.state == State::PastDue && !standing.entitled {
        return Permission::no("payment_overdue");
    }
    match (balance.max(0), team_balance.max(0)) {
        (0, 0) if balance < 0 => Permission::yes("entitled"),
        (0, 0) => Permission::no("no_credits"),
        (0, _) => Permission::yes("team_credits"),
        _ if standing.entitled => Permission::yes("entitled"),
        _ => Permission::yes("bought_credits"),
    }
}

/// Whether credits or a plan may be bought now.
#[must_use]
pub fn can_purchase(position: &Position) -> Permission {
    match position {
        Position {
            capacity: Some(..=0), ..
        } => Permission::no("capacity_used_up"),
        // What is owed comes first.
        Position { standing, .. } if standing.state == State::PastDue => Permission::no("payment_overdue"),
        _ => Permission::yes("ok"),
    }
}

/// Whether a subscription may be bought: one at a time. Also when a person said that there is none: Stripe would go on
/// charging for the one it has.
#[must_use]
pub fn can_subscribe(position: &Position) -> Permission {
    match (position.standing.state, position.told) {
        (State::Active | State::Trialing, _) => Permission::no("has_subscription"),
        (State::PastDue, _) => can_purchase(position),
        (_, State::Active | State::Trialing | State::PastDue) => Permission::no("has_subscription"),
        _ => can_purchase(position),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(state: State, entitled: bool, balance: i64) -> Position {
        Position {
            standing: Standing { state, entitled },
            told: state,
            balance,
            team_balance: 0,
            capacity: None,
        }
    }

    #[test]
    fn credits_can_be_used_as_long_as_there_are_some() {
        let policy = Policy::default();
        let cases = [
            (position(State::Active, true, 5), true, "entitled"),
            (position(State::Active, true, 0), false, "no_credits"),
            (position(State::NoSubscription, false, 5), true, "bought_credits"),
            (position(State::Canceled, false, 5), true, "bought_credits"),
            (position(State::PastDue, true, 5), true, "entitled"),
            (position(State::PastDue, false, 5), false, "payment_overdue"),
            (position(State::Active, true, -1), false, "balance_below_zero"),
        ];
        for (position, allowed, reason) in cases {
            assert_eq!(
                can_use_credits(&position, &policy),
                Permission { allowed, reason },
                "{position:?}"
            );
        }
        let team = Position {
            team_balance: 3,
            ..position(State::NoSubscription, false, 0)
        };
        assert_eq!(can_use_credits(&team, &policy), Permission::yes("team_credits"));
        let tolerant = Policy {
            negative_balance: NegativeBalance::Tolerate,
            ..policy
        };
        assert!(can_use_credits(&position(State::Active, true, -1), &tolerant).allowed);
        assert!(!can_use_credits(&position(State::Canceled, false, -1), &tolerant).allowed);
    }

    #[test]
    fn nothing_is_sold_beyond_capacity_or_to_those_who_owe() {
        assert!(can_purchase(&position(State::Active, true, 0)).allowed);
        assert_eq!(
            can_purchase(&position(State::PastDue, true, 0)),
            Permission::no("payment_overdue")
        );
        let full = Position {
            capacity: Some(0),
            ..position(State::Active, true, 0)
        };
        assert_eq!(can_purchase(&full), Permission::no("capacity_used_up"));
        assert_eq!(
            can_subscribe(&position(State::Trialing, true, 0)),
            Permission::no("has_subscription")
        );
        assert!(can_subscribe(&position(State::Expired, false, 0)).allowed);
        assert_eq!(
            can_subscribe(&position(State::PastDue, true, 0)),
            Permission::no("payment_overdue")
        );
    }

    #[test]
    fn a_correction_makes_no_room_for_a_second_subscription() {
        for told in [State::Active, State::Trialing, State::PastDue] {
            let corrected = Position {
                told,
                ..position(State::NoSubscription, false, 0)
            };
            assert_eq!(
                can_subscribe(&corrected),
                Permission::no("has_subscription"),
                "{told:?}"
            );
            assert!(can_purchase(&corrected).allowed, "{told:?}");
        }
        let corrected = Position {
            told: State::Canceled,
            ..position(State::NoSubscription, false, 0)
        };
        assert!(can_subscribe(&corrected).allowed);
    }
}
