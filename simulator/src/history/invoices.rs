//! Invoices: from the draft to whatever becomes of them.

use serde_json::json;

use super::{DAY, History};
use crate::objects::{
    Method, charge::Charge, invoice::Invoice, invoice_line::Line, invoice_payment::InvoicePayment,
    payment_intent::PaymentIntent, subscription::Subscription,
};

impl History<'_> {
    /// A draft for the running period of `subscription`, not announced yet.
    pub(super) fn draft(&mut self, subscription: &Subscription, reason: &'static str) -> Invoice {
        let line = Line {
            id: self.id("il"),
            amount: subscription.price.unit_amount * subscription.quantity,
            description: format!(
                "{} × {} plan (per month)",
                subscription.quantity, subscription.price.name
            ),
            price: subscription.price.clone(),
            quantity: subscription.quantity,
            period: (subscription.period_start, subscription.period_end),
            proration: None,
        };
        let invoice = Invoice {
            id: self.id("in"),
            created: self.clock,
            customer: self.customer.clone(),
            subscription: subscription.id.clone(),
            metadata: subscription.metadata.clone(),
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
        };
        if matches!(reason, "subscription_create" | "subscription_cycle") {
            let credits = subscription.price.credits() * subscription.quantity;
            self.books.promise(&invoice.id, credits);
        }
        invoice
    }

    /// Announces a draft and finalizes it in the same second.
    pub(super) fn open_invoice(&mut self, invoice: &mut Invoice) {
        self.emit("invoice.created", &*invoice);
        self.finalize(invoice);
    }

    pub(super) fn finalize(&mut self, invoice: &mut Invoice) {
        invoice.status = "open";
        invoice.number = Some(self.customer.next_invoice_number());
        invoice.hosted = Some(self.mint.text(56));
        invoice.automatically_finalizes_at = None;
        invoice.finalized_at = Some(self.clock);
        self.emit("invoice.finalized", &*invoice);
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
        let by = charge.map(|charge| (charge.intent.as_str(), charge.amount));
        self.books.invoice_paid(&invoice.id, by);
        self.emit("invoice.paid", &*invoice);
        self.emit("invoice.payment_succeeded", &*invoice);
    }

    /// The only current event that says which intent paid which invoice.
    fn link_payment(&mut self, invoice: &Invoice, charge: &Charge) {
        let announced = self.version.is_current();
        // Before there was an event, the link already existed; its id is made without the dice.
        let id = if announced {
            self.id("inpay")
        } else {
            invoice.id.replacen("in_", "inpay_", 1)
        };
        let payment = InvoicePayment {
            id,
            invoice: invoice.id.clone(),
            intent: charge.intent.clone(),
            amount: charge.amount,
            currency: charge.currency.clone(),
            created: invoice.finalized_at.unwrap_or(self.clock),
            paid_at: self.clock,
        };
        if announced {
            self.emit("invoice_payment.paid", &payment);
        } else {
            self.books.keep((&payment).into());
        }
    }

    /// Announces a later state of an invoice, with what changed.
    pub(super) fn change_invoice(
        &mut self,
        kind: &str,
        invoice: &mut Invoice,
        change: impl FnOnce(&mut Invoice),
    ) {
        // Only *.updated documents previous_attributes.
        let before = (kind == "invoice.updated").then(|| invoice.json(self.version));
        change(invoice);
        match before {
            Some(before) => self.emit_change(kind, &before, &*invoice),
            None => self.emit(kind, &*invoice),
        }
    }

    /// A new intent for what an invoice has due.
    pub(super) fn intent_for(&mut self, invoice: &Invoice) -> PaymentIntent {
        self.new_intent(
            invoice.total(),
            invoice.currency(),
            Some(invoice.id.clone()),
            json!({}),
            Method::Card,
        )
    }

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

    /// The shop voids an invoice, which cancels its intent.
    pub(super) fn void(&mut self, invoice: &mut Invoice, intent: &mut PaymentIntent) {
        let now = self.clock;
        self.change_invoice("invoice.voided", invoice, |invoice| {
            invoice.status = "void";
            invoice.voided_at = Some(now);
            invoice.next_payment_attempt = None;
        });
        self.cancel_intent(intent, Some("void_invoice"));
    }

    /// The shop gives an invoice up for lost.
    pub(super) fn write_off(&mut self, invoice: &mut Invoice) {
        let now = self.clock;
        self.change_invoice("invoice.marked_uncollectible", invoice, |invoice| {
            invoice.status = "uncollectible";
            invoice.uncollectible_at = Some(now);
        });
    }

    /// The bank wants to see the customer (3-D Secure) before a renewal is paid.
    pub(super) fn require_action(&mut self, invoice: &mut Invoice, intent: &mut PaymentIntent) {
        intent.status = "requires_action";
        self.emit("payment_intent.requires_action", &*intent);
        self.change_invoice("invoice.payment_action_required", invoice, |invoice| {
            invoice.attempt_count += 1;
        });
        self.emit("invoice.payment_failed", &*invoice);
    }

    /// An invoice that cannot be finalized at first, is announced as due and overdue, and is then
    /// paid out of band, a little too much.
    pub(super) fn trouble(&mut self, subscription: &Subscription) {
        self.by_api();
        self.pass(3600, DAY);
        let mut invoice = self.draft(subscription, "manual");
        self.emit("invoice.created", &invoice);
        self.wait(5);
        self.change_invoice("invoice.finalization_failed", &mut invoice, |invoice| {
            invoice.finalization_error = Some("customer_tax_location_invalid");
        });
        self.pass(60, 3600);
        invoice.finalization_error = None;
        self.finalize(&mut invoice);
        self.wait(5);
        let next = Some(self.clock + 3 * DAY);
        self.change_invoice("invoice.updated", &mut invoice, |invoice| {
            invoice.next_payment_attempt = next;
            invoice.attempt_count += 1;
        });
        self.by_itself();
        self.clock += 2 * DAY;
        self.emit("invoice.will_be_due", &invoice);
        self.wait(2 * DAY);
        self.emit("invoice.overdue", &invoice);
        self.wait(DAY);
        self.pay_out_of_band(&mut invoice);
    }

    /// Paid at the shop's counter: `invoice.paid`, but no `invoice.payment_succeeded`.
    pub(super) fn pay_out_of_band(&mut self, invoice: &mut Invoice) {
        let now = self.clock;
        self.books.invoice_paid(&invoice.id, None);
        self.change_invoice("invoice.paid", invoice, |invoice| {
            invoice.status = "paid";
            invoice.out_of_band = true;
            invoice.amount_paid = invoice.total();
            invoice.next_payment_attempt = None;
            invoice.paid_at = Some(now);
        });
        if self.version.is_current() {
            self.wait(3600);
            self.change_invoice("invoice.overpaid", invoice, |invoice| {
                invoice.amount_overpaid = 100
            });
        }
    }
}
