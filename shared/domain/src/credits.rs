//! Credits: what a payment grants, and what refunds and disputes take back. Everything is a target that follows
//! from facts; the ledger is then moved to the target, so the order in which the facts came does not matter.

mod expiry;
mod free;
mod grant;
mod reversal;
mod transfer;

pub use expiry::{Expiry, Lot, expired_of, expiries};
pub use free::{free_grants, month_of};
pub use grant::{GrantBasis, Line, Problem, Terms};
pub use reversal::{ChargeFacts, DisputeFacts, PaymentFacts, RefundFacts};
pub use transfer::{Owner, Place, Posted, Side, Target, TransferKind, transfers};

use crate::Policy;

/// Something that was paid and may grant credits.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// `invoice`, `checkout.session` or `payment_intent`.
    pub kind: SourceKind,
    /// Stripe's id.
    pub id: String,
    /// Whose credits they are, when that is known.
    pub owner: Option<Owner>,
    /// What it grants.
    pub basis: GrantBasis,
    /// What was paid in all, minor units.
    pub amount_paid: i64,
    /// With which payments.
    pub payments: Vec<PaymentFacts>,
}

/// What was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// `invoice`
    Invoice,
    /// `checkout.session`
    CheckoutSession,
    /// `payment_intent`, of a top-up that did not go through Checkout
    PaymentIntent,
}

impl SourceKind {
    /// Stripe's name for the object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::CheckoutSession => "checkout.session",
            Self::PaymentIntent => "payment_intent",
        }
    }
}

/// What follows from a source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reckoned {
    /// Credits it grants.
    pub granted: i64,
    /// Credits taken back for refunds.
    pub refunded: i64,
    /// Credits taken back or held for disputes.
    pub disputed: i64,
    /// What the ledger should hold for it.
    pub targets: Vec<Target>,
    /// Why it is not more.
    pub problem: Option<Problem>,
}

impl Source {
    /// The ledger's business key of the grant.
    #[must_use]
    pub fn key(&self) -> String {
        let word = match self.kind {
            SourceKind::Invoice => "grant",
            SourceKind::CheckoutSession | SourceKind::PaymentIntent => "topup",
        };
        format!("{word}:{}", self.id)
    }

    fn grant_kind(&self) -> TransferKind {
        match self.kind {
            SourceKind::Invoice => TransferKind::Grant,
            SourceKind::CheckoutSession | SourceKind::PaymentIntent => TransferKind::TopUp,
        }
    }

    /// What follows from it.
    #[must_use]
    pub fn reckon(&self, policy: &Policy) -> Reckoned {
        let granted = match self.basis.credits(policy) {
            Ok(0) => return Reckoned::default(),
            Ok(credits) => credits,
            Err(problem) => return Reckoned::of_problem(problem),
        };
        let Some(owner) = &self.owner else {
            return Reckoned::of_problem(Problem::UnknownOwner);
        };
        let mut reckoned = Reckoned {
            granted,
            ..Reckoned::default()
        };
        reckoned.target(self.key(), self.grant_kind(), owner, Side::Issued, granted);
        for payment in &self.payments {
            let debits = payment.debits(granted, self.amount_paid);
            let (refund, dispute) = (
                format!("refund:{}", payment.id),
                format!("dispute:{}", payment.id),
            );
            reckoned.target(refund, TransferKind::Refund, owner, Side::Issued, -debits.refund);
            reckoned.target(
                dispute.clone(),
                TransferKind::Dispute,
                owner,
                Side::Issued,
                -debits.lost,
            );
            reckoned.target(dispute, TransferKind::Dispute, owner, Side::Held, -debits.held);
            reckoned.refunded += debits.refund;
            reckoned.disputed += debits.lost + debits.held;
        }
        reckoned
    }
}

impl Reckoned {
    fn of_problem(problem: Problem) -> Self {
        Self {
            problem: Some(problem),
            ..Self::default()
        }
    }

    fn target(&mut self, key: String, kind: TransferKind, owner: &Owner, side: Side, credits: i64) {
        if credits != 0 {
            self.targets.push(Target {
                place: Place {
                    key,
                    kind,
                    owner: owner.clone(),
                    side,
                },
                credits,
            });
        }
    }
}

/// `credits` × `part` / `whole`, rounded down; whole when `part` is. Nothing for nothing.
pub(crate) fn share(credits: i64, part: i64, whole: i64) -> i64 {
    if whole <= 0 || part <= 0 {
        return 0;
    }
    let share = i128::from(credits) * i128::from(part.min(whole)) / i128::from(whole);
    i64::try_from(share).unwrap_or(credits)
}

#[cfg(test)]
mod tests;
