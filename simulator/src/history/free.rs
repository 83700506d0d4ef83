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
        let mut subscription = self.new_subscription(price, "trialing");
        let end = self.clock + TRIAL;
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
        self.start_unpaid(opened, &mut subscription, invoice);
        subscription
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
        self.start_unpaid(opened, &mut subscription, invoice);
        subscription
    }

    fn start_unpaid(&mut self, opened: i64, subscription: &mut Subscription, mut invoice: Invoice) {
        subscription.latest_invoice = Some(invoice.id.clone());
        self.emit("customer.subscription.created", &*subscription);
        self.open_invoice(&mut invoice);
        self.settle(&mut invoice, None);
        self.wait(1);
        self.complete_session(opened, subscription, &invoice, "no_payment_required");
    }
}
