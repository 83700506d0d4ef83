//! Subscriptions that begin with nothing to pay: trials, and coupons for the whole price.

use super::{DAY, History};
use crate::objects::{catalogue::Price, invoice::Invoice, subscription::Subscription};

/// Length of a trial, seconds.
const TRIAL: i64 = 14 * DAY;

impl History<'_> {
    /// A customer starts a trial through Checkout: nothing to pay yet.
    pub(super) fn start_trial(
        &mut self,
        price: &Price,
        missing_payment_method: &'static str,
    ) -> Subscription {
        self.by_api();
        let opened = self.clock;
        self.pass(20, 120);
        let (mut subscription, mut invoice) = self.new_trial(price, TRIAL, missing_payment_method);
        self.begin_unpaid(&mut subscription, &mut invoice);
        self.wait(1);
        self.complete_session(opened, &subscription, &invoice, "no_payment_required");
        subscription
    }

    /// A trial of so many seconds and its invoice over nothing, neither announced yet.
    pub(super) fn new_trial(
        &mut self,
        price: &Price,
        length: i64,
        missing_payment_method: &'static str,
    ) -> (Subscription, Invoice) {
        let mut subscription = self.new_subscription(price, "trialing");
        let end = self.clock + length;
        subscription.trial = Some((self.clock, end));
        subscription.period_end = end;
        subscription.billing_cycle_anchor = end;
        subscription.missing_payment_method = missing_payment_method;
        if missing_payment_method == "create_invoice" {
            subscription.payment_method = Some(self.id("pm"));
        }
        let mut invoice = self.first_invoice(&subscription);
        self.books.promise(&invoice.id, 0);
        invoice.lines[0].amount = 0;
        invoice.lines[0].description = format!("Trial period for {} plan", price.name);
        (subscription, invoice)
    }

    /// A customer subscribes with a coupon for the whole first month: the line stays gross, the
    /// total is zero, and no payment happens.
    pub(super) fn subscribe_with_coupon(&mut self, price: &Price) -> Subscription {
        self.by_api();
        let opened = self.clock;
        self.pass(20, 120);
        let mut subscription = self.new_subscription(price, "active");
        subscription.payment_method = Some(self.id("pm"));
        let mut invoice = self.first_invoice(&subscription);
        invoice.discount = Some((self.id("di"), price.unit_amount));
        self.begin_unpaid(&mut subscription, &mut invoice);
        self.wait(1);
        self.complete_session(opened, &subscription, &invoice, "no_payment_required");
        subscription
    }

    /// A subscription with nothing to pay yet begins.
    pub(super) fn begin_unpaid(&mut self, subscription: &mut Subscription, invoice: &mut Invoice) {
        subscription.latest_invoice = Some(invoice.id.clone());
        self.emit("customer.subscription.created", &*subscription);
        self.open_invoice(invoice);
        self.settle(invoice, None);
    }
}
