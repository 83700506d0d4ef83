//! What becomes of a subscription: dunning, trials, upgrades, pauses, cancellations.

use super::{DAY, History, MONTH, billing::ATTEMPT_SECONDS};
use crate::objects::{
    invoice::Invoice, invoice_line::Line, invoice_line::Proration, payment_intent::PaymentIntent,
    subscription::Subscription,
};

/// `customer.subscription.trial_will_end` comes three days before the end.
/// Source: <https://docs.stripe.com/billing/subscriptions/trials>.
const TRIAL_NOTICE: i64 = 3 * DAY;
/// A pending update lapses after 23 hours.
/// Source: <https://docs.stripe.com/billing/subscriptions/pending-updates>.
const PENDING_SECONDS: i64 = 23 * 3600;
/// An incomplete subscription lapses after 23 hours.
/// Source: <https://docs.stripe.com/billing/subscriptions/overview#subscription-lifecycle>.
const INCOMPLETE_SECONDS: i64 = 23 * 3600;

impl History<'_> {
    /// A payment of an open invoice fails; `retry_in` is the time to the next attempt, seconds.
    pub(super) fn decline_invoice(
        &mut self,
        invoice: &mut Invoice,
        intent: &mut PaymentIntent,
        retry_in: Option<i64>,
    ) {
        let charge = self.decline(intent);
        let next = retry_in.map(|seconds| self.clock + seconds);
        self.change_invoice("invoice.payment_failed", invoice, |invoice| {
            invoice.attempt_count += 1;
            invoice.charge = Some(charge.id);
            invoice.next_payment_attempt = next;
        });
    }

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

    /// The shop gives an invoice up for lost.
    pub(super) fn write_off(&mut self, invoice: &mut Invoice) {
        let now = self.clock;
        self.change_invoice("invoice.marked_uncollectible", invoice, |invoice| {
            invoice.status = "uncollectible";
            invoice.uncollectible_at = Some(now);
        });
    }

    /// The shop voids an invoice, which cancels its intent.
    pub(super) fn void(&mut self, invoice: &mut Invoice, intent: &mut PaymentIntent) {
        let now = self.clock;
        self.change_invoice("invoice.voided", invoice, |invoice| {
            invoice.status = "void";
            invoice.voided_at = Some(now);
            invoice.next_payment_attempt = None;
        });
        self.cancel_intent(intent, "void_invoice");
    }

    /// The bank wants to see the customer (3-D Secure) before a renewal is paid.
    pub(super) fn require_action(&mut self, invoice: &mut Invoice, intent: &mut PaymentIntent) {
        intent.status = "requires_action";
        self.emit("payment_intent.requires_action", intent.json(self.version));
        self.change_invoice("invoice.payment_action_required", invoice, |invoice| {
            invoice.attempt_count += 1;
        });
        self.emit("invoice.payment_failed", invoice.json(self.version));
    }

    /// A subscription made by the API whose first payment never succeeds.
    pub(super) fn never_start(&mut self) {
        self.by_api();
        let price = self.catalogue.pro.clone();
        let mut subscription = self.new_subscription(&price, "incomplete");
        let mut invoice = self.draft(&subscription, "subscription_create");
        subscription.latest_invoice = Some(invoice.id.clone());
        let mut intent = self.intent_for(&invoice);
        invoice.intent = Some(intent.id.clone());
        self.emit("customer.subscription.created", subscription.json(self.version));
        self.open_invoice(&mut invoice);
        self.clock += ATTEMPT_SECONDS;
        self.decline_invoice(&mut invoice, &mut intent, None);
        self.by_itself();
        self.clock += INCOMPLETE_SECONDS;
        let now = self.clock;
        self.change_subscription(&mut subscription, |subscription| {
            subscription.status = "incomplete_expired";
            subscription.ended_at = Some(now);
        });
        self.void(&mut invoice, &mut intent);
    }

    /// Three days before the end of a trial.
    pub(super) fn warn_of_trial_end(&mut self, subscription: &Subscription) {
        self.by_itself();
        self.clock = self.clock.max(subscription.period_end - TRIAL_NOTICE);
        self.emit(
            "customer.subscription.trial_will_end",
            subscription.json(self.version),
        );
    }

    /// A trial without a card ends in a pause.
    pub(super) fn pause_at_trial_end(&mut self, subscription: &mut Subscription) {
        self.by_itself();
        self.clock = subscription.period_end;
        let now = self.clock;
        self.change_subscription(subscription, |subscription| {
            subscription.status = "paused";
            subscription.paused_at = Some(now);
        });
        self.emit("customer.subscription.paused", subscription.json(self.version));
    }

    /// The customer brings a card and goes on.
    pub(super) fn resume(&mut self, subscription: &mut Subscription) {
        self.by_api();
        self.pass(DAY, 5 * DAY);
        let mut next = subscription.clone();
        next.period_start = self.clock;
        next.period_end = self.clock + MONTH;
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
        next.latest_invoice = Some(invoice.id);
        self.change_subscription(subscription, |subscription| *subscription = next);
        self.emit("customer.subscription.resumed", subscription.json(self.version));
    }

    /// From Pro to Team at half of the period, paid at once: one line takes back, one adds.
    pub(super) fn upgrade(&mut self, subscription: &mut Subscription, paid: &Invoice) {
        self.by_api();
        let period = (subscription.period_start + MONTH / 2, subscription.period_end);
        self.clock = self.clock.max(period.0);
        let team = self.catalogue.team.clone();
        let mut invoice = self.draft(subscription, "subscription_update");
        invoice.lines = self.proration_lines(subscription, paid, period);
        let mut intent = self.intent_for(&invoice);
        invoice.intent = Some(intent.id.clone());
        let id = invoice.id.clone();
        self.change_subscription(subscription, |subscription| {
            subscription.price = team;
            subscription.latest_invoice = Some(id);
        });
        self.open_invoice(&mut invoice);
        self.clock += ATTEMPT_SECONDS;
        let charge = self.succeed(&mut intent);
        self.settle(&mut invoice, Some(&charge));
    }

    fn proration_lines(
        &mut self,
        subscription: &Subscription,
        paid: &Invoice,
        period: (i64, i64),
    ) -> Vec<Line> {
        let team = self.catalogue.team.clone();
        let credited = paid.lines.first().map(|line| (paid.id.clone(), line.id.clone()));
        let unused = Line {
            id: self.id("il"),
            amount: -subscription.price.unit_amount / 2,
            description: format!("Unused time on {} plan", subscription.price.name),
            price: subscription.price.clone(),
            period,
            proration: Some(Proration {
                invoice_item: self.id("ii"),
                credits: credited,
            }),
        };
        let remaining = Line {
            id: self.id("il"),
            amount: team.unit_amount / 2,
            description: format!("Remaining time on {} plan", team.name),
            price: team,
            period,
            proration: Some(Proration {
                invoice_item: self.id("ii"),
                credits: None,
            }),
        };
        vec![unused, remaining]
    }

    /// A change of price that waits for its payment, which then succeeds or never comes.
    pub(super) fn pend_update(&mut self, subscription: &mut Subscription, succeeds: bool) {
        self.by_api();
        self.pass(DAY, 3 * DAY);
        let team = self.catalogue.team.clone();
        let expires = self.clock + PENDING_SECONDS;
        let wanted = team.clone();
        self.change_subscription(subscription, |subscription| {
            subscription.pending_update = Some((expires, wanted));
        });
        if succeeds {
            self.pass(60, 3600);
            self.change_subscription(subscription, |subscription| {
                subscription.price = team;
                subscription.pending_update = None;
            });
            self.emit(
                "customer.subscription.pending_update_applied",
                subscription.json(self.version),
            );
        } else {
            self.by_itself();
            self.clock = expires;
            self.change_subscription(subscription, |subscription| subscription.pending_update = None);
            self.emit(
                "customer.subscription.pending_update_expired",
                subscription.json(self.version),
            );
        }
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

    /// The customer changes their mind.
    pub(super) fn undo_cancel(&mut self, subscription: &mut Subscription) {
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
        self.emit("customer.subscription.deleted", subscription.json(self.version));
    }
}
