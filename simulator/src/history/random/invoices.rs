//! What is decided about invoices that are still to be paid.

use super::{
    DAY, Held, Unpaid, Walk,
    conditions::{is_behind, is_unpaid},
};
use crate::objects::{invoice::Invoice, payment_intent::PaymentIntent};

/// From a declined payment to the next attempt, seconds.
const RETRY: (i64, i64) = (3 * DAY, 5 * DAY);

impl Walk<'_> {
    pub(super) fn unpaid(&mut self, invoice: Invoice, intent: PaymentIntent) -> Unpaid {
        let wait = self.h.mint.dice.seconds(RETRY.0, RETRY.1);
        let retry_at = invoice.next_payment_attempt.unwrap_or(self.h.clock + wait);
        Unpaid {
            invoice,
            intent,
            retry_at,
        }
    }

    /// A payment fails; another attempt will follow.
    pub(super) fn decline(&mut self, invoice: &mut Invoice, intent: &mut PaymentIntent) {
        let retry = self.h.mint.dice.seconds(RETRY.0, RETRY.1);
        self.h.decline_invoice(invoice, intent, Some(retry));
    }

    pub(super) fn pay_open_invoice(&mut self) {
        self.with(is_unpaid, |w, held| {
            w.h.by_api();
            w.h.pass(60, DAY);
            w.collect(held);
        });
    }

    /// What is open is paid, and the subscription is active.
    pub(super) fn collect(&mut self, held: &mut Held) {
        let Some(mut unpaid) = held.unpaid.take() else {
            return;
        };
        let charge = self.h.succeed(&mut unpaid.intent);
        self.h.settle(&mut unpaid.invoice, Some(&charge));
        let method = unpaid.intent.payment_method.clone();
        self.h.change_subscription(&mut held.it, |it| {
            it.status = "active";
            it.payment_method.get_or_insert(method);
        });
        self.receive(charge);
        if unpaid.invoice.billing_reason != "subscription_update" {
            held.paid = Some(unpaid.invoice);
        }
    }

    pub(super) fn void_open_invoice(&mut self) {
        self.with(is_behind, |w, held| {
            w.h.by_api();
            w.h.pass(60, DAY);
            if let Some(mut unpaid) = held.unpaid.take() {
                w.h.void(&mut unpaid.invoice, &mut unpaid.intent);
                w.h.set_status(&mut held.it, "active");
            }
        });
    }

    pub(super) fn write_off_open_invoice(&mut self) {
        self.with(is_behind, |w, held| {
            w.h.by_api();
            w.h.pass(60, DAY);
            if let Some(mut unpaid) = held.unpaid.take() {
                w.h.write_off(&mut unpaid.invoice);
                w.h.set_status(&mut held.it, "active");
                w.stale.push(unpaid);
            }
        });
    }

    /// The customer pays in another way; Stripe's own attempt is given up.
    pub(super) fn pay_out_of_band(&mut self) {
        self.with(is_behind, |w, held| {
            w.h.by_api();
            w.h.pass(60, DAY);
            if let Some(mut unpaid) = held.unpaid.take() {
                w.h.pay_out_of_band(&mut unpaid.invoice);
                w.h.cancel_intent(&mut unpaid.intent, Some("abandoned"));
                w.h.set_status(&mut held.it, "active");
            }
        });
    }

    pub(super) fn trouble(&mut self) {
        self.with(|held| held.it.status == "active", |w, held| w.h.trouble(&held.it));
    }

    fn take_stale(&mut self, of: fn(&Unpaid) -> bool) -> Option<Unpaid> {
        let place = Self::choose(&mut self.h.mint.dice, &self.stale, of)?;
        self.h.by_api();
        self.h.pass(60, 3 * DAY);
        Some(self.stale.swap_remove(place))
    }

    /// An invoice is paid that nobody hoped for any more.
    pub(super) fn pay_late(&mut self) {
        if let Some(mut unpaid) = self.take_stale(|_| true) {
            let charge = self.h.succeed(&mut unpaid.intent);
            self.h.settle(&mut unpaid.invoice, Some(&charge));
            self.receive(charge);
        }
    }

    pub(super) fn void_late(&mut self) {
        if let Some(mut unpaid) = self.take_stale(|_| true) {
            self.h.void(&mut unpaid.invoice, &mut unpaid.intent);
        }
    }

    pub(super) fn write_off_late(&mut self) {
        if let Some(mut unpaid) = self.take_stale(|it| it.invoice.status == "open") {
            self.h.write_off(&mut unpaid.invoice);
            self.stale.push(unpaid);
        }
    }
}
