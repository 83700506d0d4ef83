//! What becomes of a subscription: dunning, trials, pauses, cancellations.

use super::{DAY, History, billing::ATTEMPT_SECONDS};
use crate::objects::{
    catalogue::Price, charge::Charge, invoice::Invoice, payment_intent::PaymentIntent,
    subscription::Subscription,
};

/// `customer.subscription.trial_will_end` comes three days before the end.
/// Source: <https://docs.stripe.com/billing/subscriptions/trials>.
pub(crate) const TRIAL_NOTICE: i64 = 3 * DAY;
/// An incomplete subscription lapses after 23 hours.
/// Source: <https://docs.stripe.com/billing/subscriptions/overview#subscription-lifecycle>.
pub(crate) const INCOMPLETE_SECONDS: i64 = 23 * 3600;

impl History<'_> {
    /// The status changes with nothing else.
    pub(super) fn set_status(&mut self, subscription: &mut Subscription, status: &'static str) {
        self.change_subscription(subscription, |subscription| subscription.status = status);
    }

    /// A retry pays an invoice that was past due.
    pub(super) fn recover(
        &mut self,
        subscription: &mut Subscription,
        invoice: &mut Invoice,
        intent: &mut PaymentIntent,
    ) {
        let charge = self.succeed(intent);
        self.settle(invoice, Some(&charge));
        self.set_status(subscription, "active");
    }

    /// A subscription made by the API whose first payment never succeeds.
    pub(super) fn never_start(&mut self) {
        self.by_api();
        let price = self.catalogue.pro.clone();
        let (mut subscription, mut invoice, mut intent) = self.begin_incomplete(&price);
        self.decline_invoice(&mut invoice, &mut intent, None);
        self.clock += INCOMPLETE_SECONDS;
        self.expire_incomplete(&mut subscription, &mut invoice, &mut intent);
    }

    /// A subscription made by the API, and its first invoice, up to the first attempt to have it paid.
    pub(super) fn begin_incomplete(&mut self, price: &Price) -> (Subscription, Invoice, PaymentIntent) {
        let mut subscription = self.new_subscription(price, "incomplete");
        let mut invoice = self.draft(&subscription, "subscription_create");
        subscription.latest_invoice = Some(invoice.id.clone());
        let intent = self.intent_for(&invoice);
        invoice.intent = Some(intent.id.clone());
        self.emit("customer.subscription.created", &subscription);
        self.open_invoice(&mut invoice);
        self.wait(ATTEMPT_SECONDS);
        (subscription, invoice, intent)
    }

    /// Nobody paid within [`INCOMPLETE_SECONDS`].
    pub(crate) fn expire_incomplete(
        &mut self,
        subscription: &mut Subscription,
        invoice: &mut Invoice,
        intent: &mut PaymentIntent,
    ) {
        self.by_itself();
        let now = self.clock;
        self.change_subscription(subscription, |subscription| {
            subscription.status = "incomplete_expired";
            subscription.ended_at = Some(now);
        });
        self.void(invoice, intent);
    }

    /// Three days before the end of a trial.
    pub(crate) fn warn_of_trial_end(&mut self, subscription: &Subscription) {
        self.by_itself();
        self.clock = self.clock.max(subscription.period_end - TRIAL_NOTICE);
        self.emit("customer.subscription.trial_will_end", subscription);
    }

    /// A trial without a card ends in a pause.
    pub(super) fn pause_at_trial_end(&mut self, subscription: &mut Subscription) {
        self.by_itself();
        self.clock = self.clock.max(subscription.period_end);
        let now = self.clock;
        self.change_subscription(subscription, |subscription| {
            subscription.status = "paused";
            subscription.paused_at = Some(now);
        });
        self.emit("customer.subscription.paused", &*subscription);
    }

    /// The customer brings a card and goes on.
    pub(super) fn resume(&mut self, subscription: &mut Subscription) -> (Invoice, Charge) {
        self.by_api();
        self.pass(DAY, 5 * DAY);
        let mut next = subscription.clone();
        next.period_start = self.clock;
        next.period_end = self.clock + next.price.period();
        next.billing_cycle_anchor = self.clock;
        let mut invoice = self.draft(&next, "subscription_cycle");
        let mut intent = self.intent_for(&invoice);
        invoice.intent = Some(intent.id.clone());
        self.open_invoice(&mut invoice);
        let charge = self.succeed(&mut intent);
        self.settle(&mut invoice, Some(&charge));
        next.status = "active";
        next.paused_at = None;
        next.payment_method = Some(intent.payment_method);
        next.latest_invoice = Some(invoice.id.clone());
        self.change_subscription(subscription, |subscription| *subscription = next);
        self.emit("customer.subscription.resumed", &*subscription);
        (invoice, charge)
    }

    /// The customer cancels for the end of the period.
    pub(super) fn schedule_cancel(&mut self, subscription: &mut Subscription) {
        self.by_api();
        self.pass(DAY, 6 * DAY);
        let now = self.clock;
        self.change_subscription(subscription, |subscription| {
            subscription.cancel_at_period_end = true;
            subscription.cancel_at = Some(subscription.period_end);
            subscription.canceled_at = Some(now);
            subscription.cancel_reason = Some("cancellation_requested");
        });
    }

    /// The customer cancels for a day of their own choice.
    pub(super) fn schedule_cancel_at(&mut self, subscription: &mut Subscription, at: i64) {
        self.by_api();
        let now = self.clock;
        self.change_subscription(subscription, |subscription| {
            subscription.cancel_at = Some(at);
            subscription.canceled_at = Some(now);
            subscription.cancel_reason = Some("cancellation_requested");
        });
    }

    /// The customer changes their mind.
    pub(crate) fn undo_cancel(&mut self, subscription: &mut Subscription) {
        self.by_api();
        self.pass(3600, 2 * DAY);
        self.change_subscription(subscription, |subscription| {
            subscription.cancel_at_period_end = false;
            subscription.cancel_at = None;
            subscription.canceled_at = None;
            subscription.cancel_reason = None;
        });
    }

    /// The scheduled end comes.
    pub(super) fn reach_end(&mut self, subscription: &mut Subscription) {
        self.by_itself();
        self.clock = self.clock.max(subscription.period_end);
        self.end(subscription, "cancellation_requested");
    }

    /// The subscription is over now.
    pub(super) fn end(&mut self, subscription: &mut Subscription, reason: &'static str) {
        subscription.status = "canceled";
        subscription.canceled_at.get_or_insert(self.clock);
        subscription.ended_at = Some(self.clock);
        subscription.cancel_reason = Some(reason);
        self.emit("customer.subscription.deleted", &*subscription);
    }
}
