//! What refunds and disputes take back from what a payment granted. Targets, not differences: `spec` 4.4.

use super::share;

/// A payment (a payment intent, or a charge without one) and what became of its money.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PaymentFacts {
    /// Stripe's id.
    pub id: String,
    /// What of the source it paid, minor units.
    pub paid: i64,
    /// Its charges.
    pub charges: Vec<ChargeFacts>,
    /// Its refunds.
    pub refunds: Vec<RefundFacts>,
    /// Its disputes.
    pub disputes: Vec<DisputeFacts>,
}

/// The newest snapshot of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeFacts {
    /// Stripe's id.
    pub id: String,
    /// Minor units given back so far; goes down again when a refund fails.
    pub amount_refunded: i64,
    /// When it looked like that, unix seconds.
    pub as_of: i64,
}

/// The newest snapshot of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundFacts {
    /// The charge it is of, when it says so.
    pub charge_id: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// Stripe's status.
    pub status: String,
    /// When it looked like that, unix seconds.
    pub as_of: i64,
}

/// The newest snapshot of a dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputeFacts {
    /// Minor units.
    pub amount: i64,
    /// Stripe's status.
    pub status: String,
}

/// Credits taken back; none is below zero, and together they are never more than the payment's share of the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Debits {
    pub(super) refund: i64,
    /// For disputes that are lost.
    pub(super) lost: i64,
    /// For disputes that are open.
    pub(super) held: i64,
}

impl PaymentFacts {
    /// Of `granted` credits for `amount_paid` minor units.
    pub(super) fn debits(&self, granted: i64, amount_paid: i64) -> Debits {
        let paid = self.paid.clamp(0, amount_paid.max(0));
        let refunded = self.refunded().min(paid);
        let lost = self.disputed(|status| status == "lost").min(paid - refunded);
        let disputed = self.disputed(takes_credits).min(paid - refunded);
        let disputed_credits = share(granted, disputed, amount_paid);
        let lost_credits = share(granted, lost, amount_paid).min(disputed_credits);
        Debits {
            refund: share(granted, refunded, amount_paid),
            lost: lost_credits,
            held: disputed_credits - lost_credits,
        }
    }

    /// Minor units given back: by the refunds we know, or by the charges, whichever is more. Old API versions send
    /// only the charge; a refund's own event may be the only word of its failure.
    #[must_use]
    pub fn refunded(&self) -> i64 {
        let known = self.refunds.iter().filter(|refund| counts(&refund.status));
        let known: i64 = known.fold(0, |sum, refund| sum.saturating_add(refund.amount));
        let by_charges = self.charges.iter().map(|charge| self.refunded_of(charge));
        known.max(by_charges.fold(0, i64::saturating_add))
    }

    /// Whether a bank holds or has taken money of it.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        self.disputed(takes_credits) > 0
    }

    /// What the charge says, without refunds that failed since it said so.
    fn refunded_of(&self, charge: &ChargeFacts) -> i64 {
        let failed = self.refunds.iter().filter(|refund| {
            has_failed(&refund.status)
                && refund.as_of >= charge.as_of
                && refund.charge_id.as_ref().is_none_or(|id| *id == charge.id)
        });
        let failed: i64 = failed.fold(0, |sum, refund| sum.saturating_add(refund.amount));
        charge.amount_refunded.saturating_sub(failed).max(0)
    }

    fn disputed(&self, which: impl Fn(&str) -> bool) -> i64 {
        let counted = self.disputes.iter().filter(|dispute| which(&dispute.status));
        counted.fold(0, |sum, dispute| sum.saturating_add(dispute.amount))
    }
}

/// <https://docs.stripe.com/api/refunds/object#refund_object-status>; a status we do not know yet takes nothing.
fn counts(status: &str) -> bool {
    matches!(status, "succeeded" | "pending" | "requires_action")
}

fn has_failed(status: &str) -> bool {
    matches!(status, "failed" | "canceled")
}

/// <https://docs.stripe.com/api/disputes/object#dispute_object-status>: inquiries (`warning_*`) move no money.
fn takes_credits(status: &str) -> bool {
    matches!(status, "needs_response" | "under_review" | "lost") || status.starts_with("appeal_")
}
