//! What the clock does to subscriptions and their invoices.

use crate::{
    history::{DAY, History},
    objects::{invoice::Invoice, payment_intent::PaymentIntent, subscription::Subscription},
};

/// Time from each failed attempt to have an invoice paid to the next one; then the subscription ends.
/// Stripe retries as the account's settings say: <https://docs.stripe.com/billing/revenue-recovery/smart-retries>.
const RETRIES: [i64; 3] = [3 * DAY, 5 * DAY, 7 * DAY];

/// What an attempt to have an invoice paid came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collected {
    Paid,
    Declined,
}

impl History<'_> {
    /// A period ends, and the draft for the next one is there.
    pub(crate) fn turn_period(&mut self, subscription: &mut Subscription) {
        self.by_itself();
        self.draft_period(subscription, subscription.period_end);
    }

    /// The hour of a draft is over: it is finalized, and the customer is to pay.
    pub(crate) fn collect_draft(
        &mut self,
        subscription: &mut Subscription,
        invoice: &mut Invoice,
        outcome: Collected,
    ) {
        self.by_itself();
        let mut intent = self.finalize_draft(invoice);
        self.collect(subscription, invoice, &mut intent, outcome);
    }

    /// An attempt to have an open invoice paid.
    pub(crate) fn collect(
        &mut self,
        subscription: &mut Subscription,
        invoice: &mut Invoice,
        intent: &mut PaymentIntent,
        outcome: Collected,
    ) {
        self.by_itself();
        match outcome {
            Collected::Paid if subscription.status == "active" => {
                let charge = self.succeed(intent);
                self.settle(invoice, Some(&charge));
            }
            Collected::Paid => self.recover(subscription, invoice, intent),
            Collected::Declined => self.fail_to_collect(subscription, invoice, intent),
        }
    }

    pub(super) fn fail_to_collect(
        &mut self,
        subscription: &mut Subscription,
        invoice: &mut Invoice,
        intent: &mut PaymentIntent,
    ) {
        let failures = usize::try_from(invoice.attempt_count).unwrap_or(usize::MAX);
        let retry = RETRIES.get(failures).copied();
        self.decline_invoice(invoice, intent, retry);
        if retry.is_none() {
            self.end(subscription, "payment_failed");
        } else if subscription.status != "past_due" {
            self.set_status(subscription, "past_due");
        }
    }

    /// The next period comes closer.
    pub(crate) fn announce_renewal(&mut self, subscription: &Subscription) {
        self.by_itself();
        self.announce_upcoming(subscription);
    }

    /// The planned end is there.
    pub(crate) fn end_as_planned(&mut self, subscription: &mut Subscription) {
        self.by_itself();
        self.end(subscription, "cancellation_requested");
    }
}
