//! Subscriptions: how they begin, and go on from period to period.

use serde_json::{Value, json};

use super::{DAY, History};
use crate::objects::{
    Method,
    catalogue::Price,
    charge::Charge,
    checkout::{Cart, Links, OPEN_SECONDS, Purchase, Session},
    invoice::Invoice,
    payment_intent::PaymentIntent,
    subscription::Subscription,
};

/// Days before a renewal at which `invoice.upcoming` is sent (an account setting).
pub(crate) const UPCOMING_DAYS: i64 = 7;
/// A renewal's draft is finalized an hour after it was made.
/// Source: <https://docs.stripe.com/billing/invoices/subscription#sub-invoice-lifecycle>.
const DRAFT_SECONDS: i64 = 3600;
/// From an open invoice to the end of the first attempt to have it paid.
pub(super) const ATTEMPT_SECONDS: i64 = 2;

impl History<'_> {
    /// A customer registers.
    pub(super) fn register(&mut self) {
        self.by_api();
        let customer = self.customer.clone();
        self.emit("customer.created", &customer);
        self.pass(20, 300);
    }

    /// A customer subscribes through Checkout and pays at once.
    pub(super) fn subscribe(&mut self, price: &Price) -> (Subscription, Invoice, Charge) {
        self.by_api();
        let opened = self.clock;
        self.pass(20, 120);
        let (mut subscription, mut invoice) = self.new_paid_subscription(price);
        let mut intent = self.intent_for(&invoice);
        let charge = self.pay_first(&mut subscription, &mut invoice, &mut intent);
        self.wait(1);
        self.complete_session(opened, &subscription, &invoice, "paid");
        (subscription, invoice, charge)
    }

    /// A subscription and its first invoice, neither announced yet.
    pub(super) fn new_paid_subscription(&mut self, price: &Price) -> (Subscription, Invoice) {
        let mut subscription = self.new_subscription(price, "incomplete");
        let invoice = self.first_invoice(&subscription);
        subscription.latest_invoice = Some(invoice.id.clone());
        (subscription, invoice)
    }

    /// The first invoice is paid, and the subscription runs.
    pub(super) fn pay_first(
        &mut self,
        subscription: &mut Subscription,
        invoice: &mut Invoice,
        intent: &mut PaymentIntent,
    ) -> Charge {
        if self.version.is_current() {
            self.subscribe_current(subscription, invoice, intent)
        } else {
            self.subscribe_old(subscription, invoice, intent)
        }
    }

    /// Since 2025-03-31.basil Checkout makes the subscription after the payment.
    fn subscribe_current(
        &mut self,
        subscription: &mut Subscription,
        invoice: &mut Invoice,
        intent: &mut PaymentIntent,
    ) -> Charge {
        let charge = self.succeed(intent);
        self.wait(1);
        subscription.status = "active";
        subscription.payment_method = Some(intent.payment_method.clone());
        self.emit("customer.subscription.created", &*subscription);
        self.open_invoice(invoice);
        self.settle(invoice, Some(&charge));
        charge
    }

    /// Before, the subscription was there first, incomplete.
    fn subscribe_old(
        &mut self,
        subscription: &mut Subscription,
        invoice: &mut Invoice,
        intent: &mut PaymentIntent,
    ) -> Charge {
        self.emit("customer.subscription.created", &*subscription);
        invoice.intent = Some(intent.id.clone());
        self.open_invoice(invoice);
        self.wait(ATTEMPT_SECONDS);
        let charge = self.succeed(intent);
        self.settle(invoice, Some(&charge));
        let method = intent.payment_method.clone();
        self.change_subscription(subscription, |subscription| {
            subscription.status = "active";
            subscription.payment_method = Some(method);
        });
        charge
    }

    /// A subscription that starts now, not announced yet.
    pub(super) fn new_subscription(&mut self, price: &Price, status: &'static str) -> Subscription {
        self.customer.currency = Some(price.currency.clone());
        Subscription {
            id: self.id("sub"),
            item_id: self.mint.short("si"),
            customer: self.customer.id.clone(),
            metadata: json!({"user_id": self.customer.user_id()}),
            created: self.clock,
            status,
            price: price.clone(),
            quantity: self.quantity,
            pending_lines: Vec::new(),
            period_start: self.clock,
            period_end: self.clock + price.period(),
            billing_cycle_anchor: self.clock,
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            ended_at: None,
            cancel_reason: None,
            latest_invoice: None,
            payment_method: None,
            trial: None,
            missing_payment_method: "create_invoice",
            paused_at: None,
            pending_update: None,
        }
    }

    pub(super) fn complete_session(
        &mut self,
        opened: i64,
        subscription: &Subscription,
        invoice: &Invoice,
        payment_status: &'static str,
    ) {
        let session = Session {
            id: self.mint.session(),
            created: opened,
            expires_at: opened + OPEN_SECONDS,
            links: Links::default(),
            reference: Some(self.customer.user_id().to_owned()),
            customer: self.customer.clone(),
            guest: false,
            purchase: Purchase::Subscription {
                subscription: Some(subscription.id.clone()),
                invoice: Some(invoice.id.clone()),
            },
            amount: invoice.total(),
            currency: subscription.price.currency.clone(),
            metadata: json!({"user_id": self.customer.user_id(), "plan": subscription.price.lookup_key}),
            method: Method::Card,
            status: "complete",
            payment_status,
            cart: Cart::default(),
            extra: Value::Null,
        };
        self.by_itself();
        self.emit("checkout.session.completed", &session);
    }

    /// Changes a subscription and announces it.
    pub(super) fn change_subscription(
        &mut self,
        subscription: &mut Subscription,
        change: impl FnOnce(&mut Subscription),
    ) {
        let before = subscription.json(self.version);
        change(subscription);
        self.emit_change("customer.subscription.updated", &before, &*subscription);
    }

    /// The period ends and the next begins: an upcoming notice, the rollover, a draft, and an hour
    /// later the finalized invoice, which the caller lets succeed or fail.
    pub(super) fn roll_over(&mut self, subscription: &mut Subscription) -> (Invoice, PaymentIntent) {
        self.by_itself();
        let renewal = subscription.period_end;
        let notice = renewal - UPCOMING_DAYS * DAY;
        // Among ordinary stories, trials announce their first renewal a few days late.
        if self.rush.is_none() || self.clock <= notice {
            self.until(notice);
            self.announce_upcoming(subscription);
        }
        self.until(renewal);
        self.begin_period(subscription, renewal)
    }

    /// A period begins at `renewal`, which may cut a trial short.
    pub(super) fn begin_period(
        &mut self,
        subscription: &mut Subscription,
        renewal: i64,
    ) -> (Invoice, PaymentIntent) {
        let mut invoice = self.draft_period(subscription, renewal);
        self.clock += DRAFT_SECONDS;
        let intent = self.finalize_draft(&mut invoice);
        (invoice, intent)
    }

    /// The period that begins at `renewal`, and the draft of its invoice.
    pub(super) fn draft_period(&mut self, subscription: &mut Subscription, renewal: i64) -> Invoice {
        let previous = subscription.period_start;
        let mut next = subscription.clone();
        if let Some((start, end)) = next.trial.filter(|(_, end)| *end > renewal) {
            next.trial = Some((start, end.min(renewal)));
            next.billing_cycle_anchor = renewal;
        }
        next.period_start = renewal;
        next.period_end = renewal + next.price.period();
        next.status = "active";
        let mut invoice = self.draft(&next, "subscription_cycle");
        // What was pending comes first, the newest at the top, and the new period after it.
        // Source: https://docs.stripe.com/api/invoices/object#invoice_object-lines.
        let pending = next.pending_lines.drain(..).rev();
        invoice.lines.splice(..0, pending);
        invoice.period = (previous, renewal);
        invoice.automatically_finalizes_at = Some(self.clock + DRAFT_SECONDS);
        next.latest_invoice = Some(invoice.id.clone());
        self.change_subscription(subscription, |subscription| *subscription = next);
        self.emit("invoice.created", &invoice);
        invoice
    }

    /// A draft is finalized, up to the attempt to have it paid.
    pub(super) fn finalize_draft(&mut self, invoice: &mut Invoice) -> PaymentIntent {
        let intent = self.intent_for(invoice);
        invoice.intent = Some(intent.id.clone());
        self.finalize(invoice);
        self.wait(ATTEMPT_SECONDS);
        intent
    }

    /// A month is paid: the usual renewal.
    pub(super) fn renew(&mut self, subscription: &mut Subscription) -> (Invoice, Charge) {
        let (mut invoice, mut intent) = self.roll_over(subscription);
        let charge = self.succeed(&mut intent);
        self.settle(&mut invoice, Some(&charge));
        (invoice, charge)
    }

    pub(super) fn announce_upcoming(&mut self, subscription: &Subscription) {
        let mut next = subscription.clone();
        next.period_start = subscription.period_end;
        next.period_end = subscription.period_end + subscription.price.period();
        let mut preview = self.draft(&next, "upcoming");
        preview.id.clear();
        preview.period = (subscription.period_start, subscription.period_end);
        preview.automatically_finalizes_at = Some(self.clock + DRAFT_SECONDS);
        preview.next_payment_attempt = Some(subscription.period_end + DRAFT_SECONDS);
        let object = preview.json(self.version);
        self.record("invoice.upcoming", object, None);
    }

    pub(super) fn first_invoice(&mut self, subscription: &Subscription) -> Invoice {
        self.draft(subscription, "subscription_create")
    }
}
