//! What a subscription's status means to us, and what follows for its user.

use crate::{PastDue, Policy};

/// The state of a subscription, and of a user: the best of all theirs. Ordered from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// None, or one whose first payment has not come.
    NoSubscription,
    /// It ended, and so has what was paid for.
    Expired,
    /// It ended.
    Canceled,
    /// A payment is overdue.
    PastDue,
    /// Not paid for yet.
    Trialing,
    /// Paid for.
    Active,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::NoSubscription,
        Self::Expired,
        Self::Canceled,
        Self::PastDue,
        Self::Trialing,
        Self::Active,
    ];

    /// The word in tables, answers and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSubscription => "no_subscription",
            Self::Expired => "expired",
            Self::Canceled => "canceled",
            Self::PastDue => "past_due",
            Self::Trialing => "trialing",
            Self::Active => "active",
        }
    }

    /// The state of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// Where a subscription or a user stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// Whether what was bought may be used.
    pub entitled: bool,
}

impl Standing {
    /// Of somebody who never had a subscription.
    pub const NONE: Self = Self {
        state: State::NoSubscription,
        entitled: false,
    };
}

/// What a status of Stripe's means; `None` for one that is newer than we are, which changes nothing.
/// <https://docs.stripe.com/api/subscriptions/object#subscription_object-status>
#[must_use]
pub fn standing_of(status: &str, policy: &Policy) -> Option<Standing> {
    let (state, entitled) = match status {
        "incomplete" => (State::NoSubscription, false),
        "trialing" => (State::Trialing, true),
        "active" => (State::Active, true),
        "past_due" => (State::PastDue, policy.past_due == PastDue::Grace),
        // Both can become active again.
        "unpaid" | "paused" => (State::PastDue, false),
        "canceled" => (State::Canceled, false),
        "incomplete_expired" => (State::Expired, false),
        _ => return None,
    };
    Some(Standing { state, entitled })
}

/// A user stands as well as their best subscription, and is entitled by any.
#[must_use]
pub fn best_of(subscriptions: impl IntoIterator<Item = Standing>) -> Standing {
    subscriptions
        .into_iter()
        .fold(Standing::NONE, |best, one| Standing {
            state: best.state.max(one.state),
            entitled: best.entitled || one.entitled,
        })
}

/// What a person said a user's plan is, whatever Stripe says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// They have one.
    Plan,
    /// They have none.
    NoPlan,
}

/// Where a user stands: as Stripe's word has it, unless a person has corrected it.
#[must_use]
pub fn corrected(told: Standing, correction: Option<Correction>) -> Standing {
    match correction {
        None => told,
        Some(Correction::NoPlan) => Standing::NONE,
        Some(Correction::Plan) => Standing {
            state: State::Active,
            entitled: true,
        },
    }
}

/// When a canceled subscription is expired, unix seconds: when it and everything paid for are over.
#[must_use]
pub fn expires_at(ended_at: i64, paid_through: Option<i64>, grace_seconds: i64) -> i64 {
    ended_at
        .max(paid_through.unwrap_or(ended_at))
        .saturating_add(grace_seconds)
}

/// Since when it is expired at `now`, if it is.
#[must_use]
pub fn expired_since(ended_at: i64, paid_through: Option<i64>, policy: &Policy, now: i64) -> Option<i64> {
    let paid_through = paid_through.filter(|_| policy.honour_paid_time);
    Some(expires_at(ended_at, paid_through, policy.expire_grace_seconds)).filter(|since| *since <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_stripe_has_a_meaning() {
        let cases = [
            ("incomplete", "no_subscription", false),
            ("trialing", "trialing", true),
            ("active", "active", true),
            ("past_due", "past_due", true),
            ("unpaid", "past_due", false),
            ("paused", "past_due", false),
            ("canceled", "canceled", false),
            ("incomplete_expired", "expired", false),
        ];
        for (status, state, entitled) in cases {
            let standing = standing_of(status, &Policy::default()).expect(status);
            assert_eq!(
                (standing.state.as_str(), standing.entitled),
                (state, entitled),
                "{status}"
            );
            assert_eq!(State::parse(state), Some(standing.state));
        }
        assert_eq!(standing_of("hibernating", &Policy::default()), None);
    }

    #[test]
    fn grace_is_a_choice() {
        let policy = Policy {
            past_due: PastDue::Stop,
            ..Policy::default()
        };
        assert!(!standing_of("past_due", &policy).expect("known").entitled);
    }

    #[test]
    fn a_user_stands_as_their_best_subscription() {
        let of = |statuses: &[&str]| {
            best_of(
                statuses
                    .iter()
                    .filter_map(|status| standing_of(status, &Policy::default())),
            )
        };
        assert_eq!(of(&[]), Standing::NONE);
        assert_eq!(of(&["canceled", "active"]).state, State::Active);
        assert_eq!(of(&["trialing", "active", "past_due"]).state, State::Active);
        assert_eq!(of(&["past_due", "trialing"]).state, State::Trialing);
        assert_eq!(of(&["incomplete", "incomplete_expired"]).state, State::Expired);
        assert_eq!(of(&["incomplete_expired", "canceled"]).state, State::Canceled);
        // Unpaid does not entitle, the other one does.
        assert!(of(&["unpaid", "past_due"]).entitled);
        assert!(!of(&["unpaid", "canceled"]).entitled);
    }

    #[test]
    fn a_person_has_the_last_word() {
        let told = Standing {
            state: State::PastDue,
            entitled: true,
        };
        assert_eq!(corrected(told, None), told);
        assert_eq!(corrected(told, Some(Correction::NoPlan)), Standing::NONE);
        let with_plan = corrected(told, Some(Correction::Plan));
        assert_eq!((with_plan.state, with_plan.entitled), (State::Active, true));
    }

    #[test]
    fn paid_time_is_honoured() {
        assert_eq!(expires_at(10, None, 0), 10);
        assert_eq!(expires_at(10, Some(30), 0), 30);
        assert_eq!(expires_at(10, Some(5), 7), 17);
        assert_eq!(expires_at(i64::MAX, None, 7), i64::MAX);
    }

    #[test]
    fn a_cancellation_expires_when_its_time_comes() {
        let policy = |honour_paid_time, expire_grace_seconds| Policy {
            honour_paid_time,
            expire_grace_seconds,
            ..Policy::default()
        };
        let cases = [
            (policy(true, 0), None, 10, Some(10)),
            (policy(true, 0), None, 9, None),
            (policy(true, 0), Some(30), 29, None),
            (policy(true, 0), Some(30), 30, Some(30)),
            (policy(false, 0), Some(30), 10, Some(10)),
            (policy(true, 5), Some(30), 34, None),
            (policy(true, 5), Some(30), 35, Some(35)),
        ];
        for (policy, paid_through, now, since) in cases {
            assert_eq!(
                expired_since(10, paid_through, &policy, now),
                since,
                "{policy:?} {paid_through:?} {now}"
            );
        }
    }
}
