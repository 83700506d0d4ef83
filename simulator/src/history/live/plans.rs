//! What a customer, or the shop for them, decides about a subscription.

use crate::{
    history::{History, proration::Chosen},
    objects::{invoice::Invoice, subscription::Subscription},
};

/// How a change of plan is paid for: the value of `proration_behavior`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Now.
    AlwaysInvoice,
    /// With the next invoice.
    CreateProrations,
    /// Not at all.
    None,
}

impl History<'_> {
    /// Goes to another price or quantity. `declined` says whether what is to be paid now is declined, which leaves
    /// the subscription past due. Less money than before is settled with the next invoice,
    /// because the simulation keeps no balance of a customer.
    pub(crate) fn switch_plan(
        &mut self,
        subscription: &mut Subscription,
        paid: Option<&Invoice>,
        to: Chosen,
        how: Change,
        declined: bool,
    ) {
        self.by_api();
        match how {
            Change::None => {
                self.change_subscription(subscription, |it| (it.price, it.quantity) = to);
            }
            Change::AlwaysInvoice if costs_more(subscription, &to) => {
                let (mut invoice, mut intent) = self.prorate(subscription, paid, &to);
                self.switch_now(subscription, &mut invoice, to);
                if declined {
                    self.fail_to_collect(subscription, &mut invoice, &mut intent);
                } else {
                    let charge = self.succeed(&mut intent);
                    self.settle(&mut invoice, Some(&charge));
                }
            }
            Change::AlwaysInvoice | Change::CreateProrations => {
                self.settle_later(subscription, paid, to);
            }
        }
    }

    /// Cancels for the end of the period, or for a given second.
    pub(crate) fn plan_end(&mut self, subscription: &mut Subscription, at: Option<i64>) {
        match at {
            Some(at) => self.schedule_cancel_at(subscription, at),
            None => self.schedule_cancel(subscription),
        }
    }

    /// Ends now.
    pub(crate) fn end_now(&mut self, subscription: &mut Subscription) {
        self.by_api();
        self.end(subscription, "cancellation_requested");
    }

    /// Anything else about a subscription.
    pub(crate) fn alter_subscription(
        &mut self,
        subscription: &mut Subscription,
        change: impl FnOnce(&mut Subscription),
    ) {
        self.by_api();
        self.change_subscription(subscription, change);
    }
}

/// Whether a change of plan is paid for at once, if it is to be.
pub(crate) fn costs_more(subscription: &Subscription, (price, quantity): &Chosen) -> bool {
    price.unit_amount * quantity > subscription.price.unit_amount * subscription.quantity
}
