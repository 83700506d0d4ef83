//! Top-ups, refunds and disputes.

use super::{DAY, Payment, Walk};
use crate::objects::catalogue::Price;

impl Payment {
    /// Part of it is still ours to give back. (The bank forbids refunds of what it disputes.)
    pub(super) fn is_refundable(&self) -> bool {
        let free = self
            .dispute
            .as_ref()
            .is_none_or(|dispute| dispute.status == "won" || dispute.status.starts_with("warning_"));
        free && self.charge.amount_refunded < self.charge.amount
    }

    pub(super) fn has_pending_refund(&self) -> bool {
        self.refunds.iter().any(|refund| refund.status == "pending")
    }

    /// A refund that may yet fail; even one that succeeded can.
    pub(super) fn has_refund(&self) -> bool {
        self.refunds.iter().any(|refund| refund.status != "failed")
    }

    pub(super) fn is_disputable(&self) -> bool {
        self.dispute.is_none() && self.charge.amount_refunded < self.charge.amount
    }

    fn dispute_is(&self, statuses: &[&str]) -> bool {
        let status = self.dispute.as_ref().map(|dispute| dispute.status);
        status.is_some_and(|status| statuses.contains(&status))
    }

    pub(super) fn needs_response(&self) -> bool {
        self.dispute_is(&["needs_response", "warning_needs_response"])
    }

    pub(super) fn is_inquiry(&self) -> bool {
        self.dispute_is(&["warning_needs_response", "warning_under_review"])
    }

    pub(super) fn is_under_review(&self) -> bool {
        self.dispute_is(&["under_review"])
    }

    pub(super) fn is_chargeback(&self) -> bool {
        self.dispute_is(&["needs_response", "under_review"])
    }
}

impl Walk<'_> {
    pub(super) fn top_up(&mut self) {
        let price = self.h.catalogue.top_up.clone();
        self.buy(&price);
    }

    pub(super) fn top_up_yen(&mut self) {
        let price = self.h.catalogue.top_up_jpy.clone();
        self.buy(&price);
    }

    /// Somebody who is not logged in to Stripe buys: no event names a customer.
    pub(super) fn top_up_as_guest(&mut self) {
        self.h.guest = true;
        self.top_up();
        self.h.guest = false;
    }

    fn buy(&mut self, price: &Price) {
        self.h.pass(600, DAY);
        let charge = self.h.top_up(price);
        self.receive(charge);
    }

    pub(super) fn begin_debit(&mut self) {
        let price = self.h.catalogue.top_up.clone();
        let debit = self.h.begin_debit(&price);
        self.debits.push(debit);
    }

    pub(super) fn conclude_debit(&mut self, arrives: bool) {
        let place = self.h.mint.dice.index(self.debits.len());
        let mut debit = self.debits.swap_remove(place);
        self.h.pass(DAY, 4 * DAY);
        self.h.conclude_debit(&mut debit, arrives);
        if arrives {
            self.receive(debit.charge);
        }
    }

    pub(super) fn abandon_checkout(&mut self) {
        let price = self.h.catalogue.top_up.clone();
        self.h.abandon_checkout(&price);
    }

    /// Does something to one of the payments that it can be done to.
    fn with_payment(&mut self, of: fn(&Payment) -> bool, act: impl FnOnce(&mut Self, &mut Payment)) {
        let Some(place) = Self::choose(&mut self.h.mint.dice, &self.payments, of) else {
            return;
        };
        let mut payment = self.payments.swap_remove(place);
        act(self, &mut payment);
        self.payments.push(payment);
    }

    /// All of what is left, or a part of it.
    pub(super) fn refund(&mut self) {
        self.with_payment(Payment::is_refundable, |w, payment| {
            let left = payment.charge.amount - payment.charge.amount_refunded;
            let all = w.h.mint.dice.chance(0.4);
            let amount = if all {
                left
            } else {
                1 + w.h.mint.dice.seconds(0, left)
            };
            w.h.pass(600, 2 * DAY);
            w.h.until(payment.failed_at + 1);
            let refund = w.h.refund(&mut payment.charge, amount);
            payment.shown_at = w.h.clock;
            payment.refunds.push(refund);
        });
    }

    pub(super) fn complete_refund(&mut self) {
        self.with_payment(Payment::has_pending_refund, |w, payment| {
            let pending = payment
                .refunds
                .iter_mut()
                .find(|refund| refund.status == "pending");
            if let Some(refund) = pending {
                w.h.complete_refund(refund);
            }
        });
    }

    pub(super) fn fail_refund(&mut self) {
        self.with_payment(Payment::has_refund, |w, payment| {
            let refund = payment
                .refunds
                .iter_mut()
                .find(|refund| refund.status != "failed");
            if let Some(refund) = refund {
                w.h.until(payment.shown_at + 1);
                w.h.fail_refund(&mut payment.charge, refund);
                payment.failed_at = w.h.clock;
            }
        });
    }

    /// The bank asks or takes: what is left, or all of it although some was given back.
    pub(super) fn dispute(&mut self, inquiry: bool) {
        self.with_payment(Payment::is_disputable, |w, payment| {
            let left = payment.charge.amount - payment.charge.amount_refunded;
            let whole = w.h.mint.dice.chance(0.3);
            let amount = if whole { payment.charge.amount } else { left };
            w.h.pass(DAY, 5 * DAY);
            payment.dispute = Some(w.h.open_dispute(&mut payment.charge, amount, inquiry));
        });
    }

    pub(super) fn answer(&mut self) {
        self.with_payment(Payment::needs_response, |w, payment| {
            if let Some(dispute) = &mut payment.dispute {
                w.h.answer_dispute(dispute);
            }
        });
    }

    pub(super) fn escalate(&mut self) {
        self.with_payment(Payment::is_inquiry, |w, payment| {
            if let Some(dispute) = &mut payment.dispute {
                w.h.escalate_dispute(dispute);
            }
        });
    }

    pub(super) fn close_inquiry(&mut self) {
        self.with_payment(Payment::is_inquiry, |w, payment| {
            if let Some(dispute) = &mut payment.dispute {
                w.h.close_dispute(dispute, "warning_closed");
            }
        });
    }

    /// Only answered disputes are won; any is lost.
    pub(super) fn close(&mut self, outcome: &'static str) {
        let of = match outcome {
            "won" => Payment::is_under_review,
            _ => Payment::is_chargeback,
        };
        self.with_payment(of, |w, payment| {
            if let Some(dispute) = &mut payment.dispute {
                w.h.close_dispute(dispute, outcome);
            }
        });
    }
}
