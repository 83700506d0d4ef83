//! Changes of plan within a period, and what they cost.

use super::{DAY, History, MONTH, billing::ATTEMPT_SECONDS};
use crate::objects::{
    invoice::Invoice, invoice_line::Line, invoice_line::Proration, subscription::Subscription,
};

/// A pending update lapses after 23 hours.
/// Source: <https://docs.stripe.com/billing/subscriptions/pending-updates>.
const PENDING_SECONDS: i64 = 23 * 3600;

impl History<'_> {
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
            amount: -subscription.price.unit_amount * subscription.quantity / 2,
            description: format!("Unused time on {} plan", subscription.price.name),
            price: subscription.price.clone(),
            quantity: subscription.quantity,
            period,
            proration: Some(Proration {
                invoice_item: self.id("ii"),
                credits: credited,
            }),
        };
        let remaining = Line {
            id: self.id("il"),
            amount: team.unit_amount * subscription.quantity / 2,
            description: format!("Remaining time on {} plan", team.name),
            price: team,
            quantity: subscription.quantity,
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
}
