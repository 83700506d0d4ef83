//! Subscriptions and the invoices that pay for them.

use serde_json::{Value, json};

use super::{DAY, History, MONTH};
use crate::objects::{
    Method,
    catalogue::Price,
    charge::Charge,
    checkout::{Purchase, Session},
    invoice::Invoice,
    invoice_line::Line,
    invoice_payment::InvoicePayment,
    payment_intent::PaymentIntent,
    subscription::Subscription,
};

/// Days before a renewal at which `invoice.upcoming` is sent (an account setting).
const UPCOMING_DAYS: i64 = 7;
/// A renewal's draft is finalized an hour after it was made.
/// Source: <https://docs.stripe.com/billing/invoices/subscription#sub-invoice-lifecycle>.
const DRAFT_SECONDS: i64 = 3600;
/// From an open invoice to the end of the first attempt to have it paid.
pub(super) const ATTEMPT_SECONDS: i64 = 2;
impl History<'_> {
    /// A customer registers.
    pub(super) fn register(&mut self) {
        self.by_api();
        let object = self.customer.json(self.version);
        self.emit("customer.created", object);
        self.pass(20, 300);
    }

    /// A customer subscribes through Checkout and pays at once.
    pub(super) fn subscribe(&mut self, price: &Price) -> (Subscription, Invoice, Charge) {
        self.by_api();
        let opened = self.clock;
        self.pass(20, 120);
        let mut subscription = self.new_subscription(price, "incomplete");
        let mut invoice = self.first_invoice(&subscription);
        subscription.latest_invoice = Some(invoice.id.clone());
        let mut intent = self.intent_for(&invoice);
        let charge = if self.version.is_current() {
            self.subscribe_current(&mut subscription, &mut invoice, &mut intent)
        } else {
            self.subscribe_old(&mut subscription, &mut invoice, &mut intent)
        };
        self.clock += 1;
        self.complete_session(opened, &subscription, &invoice, "paid");
        (subscription, invoice, charge)
    }

    /// Since 2025-03-31.basil Checkout makes the subscription after the payment.
    fn subscribe_current(
        &mut self,
        subscription: &mut Subscription,
        invoice: &mut Invoice,
        intent: &mut PaymentIntent,
    ) -> Charge {
        let charge = self.succeed(intent);
        self.clock += 1;
        subscription.status = "active";
        subscription.payment_method = Some(intent.payment_method.clone());
        self.emit("customer.subscription.created", subscription.json(self.version));
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
        self.emit("customer.subscription.created", subscription.json(self.version));
        invoice.intent = Some(intent.id.clone());
        self.open_invoice(invoice);
        self.clock += ATTEMPT_SECONDS;
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
        self.customer.currency = Some(price.currency.to_owned());
        Subscription {
            id: self.id("sub"),
            item_id: self.mint.short("si"),
            customer: self.customer.id.clone(),
            user_id: self.customer.user_id.clone(),
            created: self.clock,
            status,
            price: price.clone(),
            period_start: self.clock,
            period_end: self.clock + MONTH,
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
            customer: self.customer.clone(),
            purchase: Purchase::Subscription {
                subscription: subscription.id.clone(),
                invoice: invoice.id.clone(),
            },
            amount: invoice.total(),
            currency: subscription.price.currency.to_owned(),
            metadata: json!({"user_id": self.customer.user_id, "plan": subscription.price.lookup_key}),
            method: Method::Card,
            status: "complete",
            payment_status,
        };
        self.by_itself();
        self.emit("checkout.session.completed", session.json(self.version));
    }

    /// Changes a subscription and announces it.
    pub(super) fn change_subscription(
        &mut self,
        subscription: &mut Subscription,
        change: impl FnOnce(&mut Subscription),
    ) {
        let before = subscription.json(self.version);
        change(subscription);
        self.emit_change(
            "customer.subscription.updated",
            &before,
            subscription.json(self.version),
        );
    }

    /// The period ends and the next begins: an upcoming notice, the rollover, a draft, and an hour
    /// later the finalized invoice, which the caller lets succeed or fail.
    pub(super) fn roll_over(&mut self, subscription: &mut Subscription) -> (Invoice, PaymentIntent) {
        self.by_itself();
        let renewal = subscription.period_end;
        self.clock = self.clock.max(renewal - UPCOMING_DAYS * DAY);
        self.announce_upcoming(subscription);
        self.clock = self.clock.max(renewal);
        let previous = subscription.period_start;
        let mut next = subscription.clone();
        next.period_start = renewal;
        next.period_end = renewal + MONTH;
        next.status = "active";
        let mut invoice = self.draft(&next, "subscription_cycle");
        invoice.period = (previous, renewal);
        invoice.automatically_finalizes_at = Some(self.clock + DRAFT_SECONDS);
        next.latest_invoice = Some(invoice.id.clone());
        self.change_subscription(subscription, |subscription| *subscription = next);
        self.emit("invoice.created", invoice.json(self.version));
        self.clock += DRAFT_SECONDS;
        let intent = self.intent_for(&invoice);
        invoice.intent = Some(intent.id.clone());
        self.finalize(&mut invoice);
        self.clock += ATTEMPT_SECONDS;
        (invoice, intent)
    }

    /// A month is paid: the usual renewal.
    pub(super) fn renew(&mut self, subscription: &mut Subscription) -> (Invoice, Charge) {
        let (mut invoice, mut intent) = self.roll_over(subscription);
        let charge = self.succeed(&mut intent);
        self.settle(&mut invoice, Some(&charge));
        (invoice, charge)
    }

    fn announce_upcoming(&mut self, subscription: &Subscription) {
        let mut next = subscription.clone();
        next.period_start = subscription.period_end;
        next.period_end = subscription.period_end + MONTH;
        let mut preview = self.draft(&next, "upcoming");
        preview.id.clear();
        preview.period = (subscription.period_start, subscription.period_end);
        preview.automatically_finalizes_at = Some(self.clock + DRAFT_SECONDS);
        preview.next_payment_attempt = Some(subscription.period_end + DRAFT_SECONDS);
        self.emit("invoice.upcoming", preview.json(self.version));
    }

    pub(super) fn first_invoice(&mut self, subscription: &Subscription) -> Invoice {
        self.draft(subscription, "subscription_create")
    }

    /// A draft for the running period of `subscription`, not announced yet.
    pub(super) fn draft(&mut self, subscription: &Subscription, reason: &'static str) -> Invoice {
        let line = Line {
            id: self.id("il"),
            amount: subscription.price.unit_amount,
            description: format!("1 × {} plan (per month)", subscription.price.name),
            price: subscription.price.clone(),
            period: (subscription.period_start, subscription.period_end),
            proration: None,
        };
        Invoice {
            id: self.id("in"),
            created: self.clock,
            customer: self.customer.clone(),
            subscription: subscription.id.clone(),
            item: subscription.item_id.clone(),
            billing_reason: reason,
            status: "draft",
            lines: vec![line],
            discount: None,
            amount_paid: 0,
            amount_overpaid: 0,
            period: (self.clock, self.clock),
            number: None,
            hosted: None,
            automatically_finalizes_at: None,
            attempt_count: 0,
            next_payment_attempt: None,
            finalized_at: None,
            paid_at: None,
            voided_at: None,
            uncollectible_at: None,
            out_of_band: false,
            finalization_error: None,
            intent: None,
            charge: None,
            account: self.catalogue.account.clone(),
        }
    }

    /// Announces a draft and finalizes it in the same second.
    pub(super) fn open_invoice(&mut self, invoice: &mut Invoice) {
        self.emit("invoice.created", invoice.json(self.version));
        self.finalize(invoice);
    }

    pub(super) fn finalize(&mut self, invoice: &mut Invoice) {
        invoice.status = "open";
        invoice.number = Some(self.customer.next_invoice_number());
        invoice.hosted = Some(self.mint.text(56));
        invoice.automatically_finalizes_at = None;
        invoice.finalized_at = Some(self.clock);
        self.emit("invoice.finalized", invoice.json(self.version));
    }

    /// The invoice is paid: by `charge`, or without one when nothing is due.
    pub(super) fn settle(&mut self, invoice: &mut Invoice, charge: Option<&Charge>) {
        if let Some(charge) = charge {
            invoice.intent = Some(charge.intent.clone());
            invoice.charge = Some(charge.id.clone());
            invoice.attempt_count += 1;
            self.link_payment(invoice, charge);
        }
        invoice.status = "paid";
        invoice.amount_paid = invoice.total();
        invoice.next_payment_attempt = None;
        invoice.paid_at = Some(self.clock);
        self.emit("invoice.paid", invoice.json(self.version));
        self.emit("invoice.payment_succeeded", invoice.json(self.version));
    }

    /// The only current event that says which intent paid which invoice.
    fn link_payment(&mut self, invoice: &Invoice, charge: &Charge) {
        if !self.version.is_current() {
            return;
        }
        let payment = InvoicePayment {
            id: self.id("inpay"),
            invoice: invoice.id.clone(),
            intent: charge.intent.clone(),
            amount: charge.amount,
            currency: charge.currency.clone(),
            created: invoice.finalized_at.unwrap_or(self.clock),
            paid_at: self.clock,
        };
        self.emit("invoice_payment.paid", payment.json());
    }

    /// Announces a later state of an invoice, with what changed.
    pub(super) fn change_invoice(
        &mut self,
        kind: &str,
        invoice: &mut Invoice,
        change: impl FnOnce(&mut Invoice),
    ) {
        let before = invoice.json(self.version);
        change(invoice);
        let after = invoice.json(self.version);
        // Only *.updated documents previous_attributes.
        if kind == "invoice.updated" {
            self.emit_change(kind, &before, after);
        } else {
            self.emit(kind, after);
        }
    }

    /// A new intent for what an invoice has due.
    pub(super) fn intent_for(&mut self, invoice: &Invoice) -> PaymentIntent {
        let currency = invoice.lines.first().map_or("usd", |line| line.price.currency);
        self.new_intent(
            invoice.total(),
            currency,
            Some(invoice.id.clone()),
            json!({}),
            Method::Card,
        )
    }

    pub(super) fn new_intent(
        &mut self,
        amount: i64,
        currency: &str,
        invoice: Option<String>,
        metadata: Value,
        method: Method,
    ) -> PaymentIntent {
        PaymentIntent {
            id: self.payment_id("pi"),
            secret: self.mint.text(25),
            created: self.clock,
            amount,
            currency: currency.to_owned(),
            customer: self.customer.id.clone(),
            invoice,
            metadata,
            method,
            payment_method: self.id("pm"),
            status: "requires_payment_method",
            latest_charge: None,
            failed_charge: None,
            canceled_at: None,
            cancellation_reason: None,
        }
    }
}
