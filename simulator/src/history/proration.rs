//! Changes of plan within a period, and what they cost.

use super::{DAY, History, MONTH, billing::ATTEMPT_SECONDS};
use crate::objects::{
    catalogue::Price, invoice::Invoice, invoice_line::Line, invoice_line::Proration,
    payment_intent::PaymentIntent, subscription::Subscription,
};

/// A pending update lapses after 23 hours.
/// Source: <https://docs.stripe.com/billing/subscriptions/pending-updates>.
pub(super) const PENDING_SECONDS: i64 = 23 * 3600;

/// A price, and how many of it.
pub(crate) type Chosen = (Price, i64);

impl History<'_> {
    /// From Pro to Team at half of the period, paid at once.
    pub(super) fn upgrade(&mut self, subscription: &mut Subscription, paid: &Invoice) {
        self.clock = self.clock.max(subscription.period_start + MONTH / 2);
        let (mut invoice, mut intent) = self.begin_upgrade(subscription, paid);
        let charge = self.succeed(&mut intent);
        self.settle(&mut invoice, Some(&charge));
    }

    /// From Pro to Team now, up to the attempt to have the difference paid.
    pub(super) fn begin_upgrade(
        &mut self,
        subscription: &mut Subscription,
        paid: &Invoice,
    ) -> (Invoice, PaymentIntent) {
        self.by_api();
        let team = (self.catalogue.team.clone(), subscription.quantity);
        let (mut invoice, intent) = self.prorate(subscription, Some(paid), &team);
        self.switch_now(subscription, &mut invoice, team);
        (invoice, intent)
    }

    /// Goes to another price (and quantity) now, up to the attempt to have the difference paid.
    pub(super) fn switch_now(
        &mut self,
        subscription: &mut Subscription,
        invoice: &mut Invoice,
        (price, quantity): Chosen,
    ) {
        let id = invoice.id.clone();
        self.change_subscription(subscription, |subscription| {
            subscription.price = price;
            subscription.quantity = quantity;
            subscription.latest_invoice = Some(id);
        });
        self.open_invoice(invoice);
        self.wait(ATTEMPT_SECONDS);
    }

    /// The invoice for going from the running price to another one for the rest of the period: one line
    /// takes back, one adds. What it buys is the difference of what the two parts of a period are worth.
    pub(super) fn prorate(
        &mut self,
        subscription: &Subscription,
        paid: Option<&Invoice>,
        to: &Chosen,
    ) -> (Invoice, PaymentIntent) {
        let mut invoice = self.draft(subscription, "subscription_update");
        invoice.lines = self.proration_lines(subscription, paid, to).into();
        let credits = prorated_credits(&invoice.lines);
        self.books.promise(&invoice.id, credits);
        let intent = self.intent_for(&invoice);
        invoice.intent = Some(intent.id.clone());
        (invoice, intent)
    }

    /// Goes to another price now; the difference is billed with the next invoice
    /// (`proration_behavior=create_prorations`). It buys nothing: the new period's line does.
    pub(super) fn settle_later(
        &mut self,
        subscription: &mut Subscription,
        paid: Option<&Invoice>,
        to: Chosen,
    ) {
        self.by_api();
        let lines = self.proration_lines(subscription, paid, &to);
        self.change_subscription(subscription, |subscription| {
            (subscription.price, subscription.quantity) = to;
            subscription.pending_lines.extend(lines);
        });
    }

    /// The rest of the period at the running price is taken back, and charged at the chosen one.
    fn proration_lines(
        &mut self,
        subscription: &Subscription,
        paid: Option<&Invoice>,
        (price, quantity): &Chosen,
    ) -> [Line; 2] {
        let period = (self.clock, subscription.period_end);
        // The line of the period itself is the last one.
        let credited = paid.and_then(|paid| Some((paid.id.clone(), paid.lines.last()?.id.clone())));
        let unused = Line {
            id: self.id("il"),
            amount: -part_of_period(&subscription.price, subscription.quantity, period),
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
            amount: part_of_period(price, *quantity, period),
            description: format!("Remaining time on {} plan", price.name),
            price: price.clone(),
            quantity: *quantity,
            period,
            proration: Some(Proration {
                invoice_item: self.id("ii"),
                credits: None,
            }),
        };
        [unused, remaining]
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
            self.emit("customer.subscription.pending_update_applied", &*subscription);
        } else {
            self.by_itself();
            self.clock = expires;
            self.change_subscription(subscription, |subscription| subscription.pending_update = None);
            self.emit("customer.subscription.pending_update_expired", &*subscription);
        }
    }
}

/// What `quantity` of a price comes to for the rest of a period.
fn part_of_period(price: &Price, quantity: i64, (start, end): (i64, i64)) -> i64 {
    price.unit_amount * quantity * (end - start) / price.period()
}

/// What the parts of months in `lines` are worth together: credits in proportion to the price, never fewer
/// than none, rounded down once. Counted in units of 1 / (product of the prices), which is exact.
fn prorated_credits(lines: &[Line]) -> i64 {
    let common: i64 = lines.iter().map(|line| line.price.unit_amount).product();
    let worth = |line: &Line| line.price.credits() * line.amount * (common / line.price.unit_amount);
    let sum: i64 = lines.iter().map(worth).sum();
    sum.max(0) / common
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn half_a_month_of_team_instead_of_pro_is_worth_2000() {
        let shop = Catalogue::new(1, 0);
        let line = |price: &Price, amount| Line {
            id: String::new(),
            amount,
            description: String::new(),
            price: price.clone(),
            quantity: 1,
            period: (0, 0),
            proration: None,
        };
        let cases = [
            (-1000, 2500, 2000),
            (-2000, 5000, 4000),
            (-666, 1667, 1334),
            (0, 1, 1),
            (-5, 2, 0),
        ];
        for (pro, team, credits) in cases {
            let lines = [line(&shop.pro, pro), line(&shop.team, team)];
            assert_eq!(prorated_credits(&lines), credits, "{pro} and {team}");
        }
    }
}
