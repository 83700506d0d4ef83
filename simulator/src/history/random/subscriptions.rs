//! What is decided about subscriptions.

use super::{
    super::{MONTH, proration::PENDING_SECONDS},
    DAY, Held, Walk,
    conditions::{can_downgrade, can_upgrade, has_begun, is_paused, is_trial_with_card, runs_on, will_end},
};
use crate::objects::{catalogue::Price, invoice::Invoice, payment_intent::PaymentIntent};

/// Share of subscriptions that are for more than one of the plan.
const SEVERAL: f64 = 0.2;
/// How often somebody who wavers changes plan and back. Each time makes four lines, together more than the ten
/// that an event shows.
const CHANGES_OF_MIND: usize = 3;

impl Walk<'_> {
    /// One of the plans, and how many of it.
    fn choose_plan(&mut self) -> Price {
        if self.ended > 0 {
            self.note("resubscribe");
        }
        let h = &mut self.h;
        h.quantity = if h.mint.dice.chance(SEVERAL) {
            h.mint.dice.seconds(2, 5)
        } else {
            1
        };
        let plans = [&h.catalogue.pro, &h.catalogue.team];
        (*h.mint.dice.pick(&plans)).clone()
    }

    pub(super) fn subscribe(&mut self) {
        let price = self.choose_plan();
        let (it, invoice, charge) = self.h.subscribe(&price);
        self.receive(charge);
        self.subs.push(Held::new(it, Some(invoice)));
    }

    pub(super) fn start_trial(&mut self) {
        let price = self.choose_plan();
        let end = *self
            .h
            .mint
            .dice
            .pick(&["create_invoice", "create_invoice", "pause", "cancel"]);
        let it = self.h.start_trial(&price, end);
        self.subs.push(Held::new(it, None));
    }

    pub(super) fn subscribe_with_coupon(&mut self) {
        let price = self.choose_plan();
        let it = self.h.subscribe_with_coupon(&price);
        self.subs.push(Held::new(it, None));
    }

    /// By the API: the first payment is declined, or the bank wants to see the customer.
    pub(super) fn begin_incomplete(&mut self, action: bool) {
        self.h.by_api();
        let price = self.choose_plan();
        let (it, mut invoice, mut intent) = self.h.begin_incomplete(&price);
        if action {
            self.h.require_action(&mut invoice, &mut intent);
        } else {
            self.h.decline_invoice(&mut invoice, &mut intent, None);
        }
        let mut held = Held::new(it, None);
        held.unpaid = Some(self.unpaid(invoice, intent));
        self.subs.push(held);
    }

    /// Takes one of the subscriptions that `of` is true of, to do something to it.
    fn take(&mut self, of: fn(&Held) -> bool) -> Option<Held> {
        let place = Self::choose(&mut self.h.mint.dice, &self.subs, of)?;
        Some(self.subs.swap_remove(place))
    }

    /// Does something to one of the subscriptions that `of` is true of.
    pub(super) fn with(&mut self, of: fn(&Held) -> bool, act: impl FnOnce(&mut Self, &mut Held)) {
        if let Some(mut held) = self.take(of) {
            act(self, &mut held);
            self.subs.push(held);
        }
    }

    /// A subscription has ended; what was unpaid stays unpaid.
    pub(super) fn bury(&mut self, held: Held) {
        self.ended += 1;
        self.stale.extend(held.unpaid);
    }

    pub(super) fn upgrade(&mut self, paid: bool) {
        self.with(can_upgrade, |w, held| {
            w.h.pass(60, 3 * DAY);
            let Some(last) = &held.paid else { return };
            let (mut invoice, mut intent) = w.h.begin_upgrade(&mut held.it, last);
            if paid {
                let charge = w.h.succeed(&mut intent);
                w.h.settle(&mut invoice, Some(&charge));
                w.receive(charge);
            } else {
                w.decline(&mut invoice, &mut intent);
                w.h.set_status(&mut held.it, "past_due");
                held.unpaid = Some(w.unpaid(invoice, intent));
            }
        });
    }

    /// A change of price that waits for its payment, for which the bank wants to see the customer.
    pub(super) fn pend_update(&mut self, succeeds: bool) {
        self.with(can_upgrade, |w, held| {
            w.h.by_api();
            w.h.pass(60, DAY);
            let Some(last) = &held.paid else { return };
            let team = w.h.catalogue.team.clone();
            let chosen = (team.clone(), held.it.quantity);
            let (mut invoice, mut intent) = w.h.prorate(&held.it, Some(last), &chosen);
            let (id, lapses) = (invoice.id.clone(), w.h.clock + PENDING_SECONDS);
            w.h.change_subscription(&mut held.it, |it| {
                it.pending_update = Some((lapses, team));
                it.latest_invoice = Some(id);
            });
            w.h.open_invoice(&mut invoice);
            w.h.require_action(&mut invoice, &mut intent);
            if succeeds {
                w.h.pass(60, 3600);
                w.apply_update(held, &mut invoice, &mut intent);
            } else {
                w.h.until(lapses);
                w.drop_update(held, &mut invoice, &mut intent);
            }
        });
    }

    fn apply_update(&mut self, held: &mut Held, invoice: &mut Invoice, intent: &mut PaymentIntent) {
        let charge = self.h.succeed(intent);
        self.h.settle(invoice, Some(&charge));
        self.receive(charge);
        self.h.change_subscription(&mut held.it, |it| {
            if let Some((_, price)) = it.pending_update.take() {
                it.price = price;
            }
        });
        let kind = "customer.subscription.pending_update_applied";
        self.h.emit(kind, &held.it);
    }

    fn drop_update(&mut self, held: &mut Held, invoice: &mut Invoice, intent: &mut PaymentIntent) {
        self.h.by_itself();
        self.h
            .change_subscription(&mut held.it, |it| it.pending_update = None);
        let kind = "customer.subscription.pending_update_expired";
        self.h.emit(kind, &held.it);
        self.h.void(invoice, intent);
    }

    /// To Team and back again and again; the next invoice settles it all.
    pub(super) fn waver(&mut self) {
        self.with(can_upgrade, |w, held| {
            let Some(last) = &held.paid else { return };
            let plans = [w.h.catalogue.team.clone(), w.h.catalogue.pro.clone()];
            for plan in plans.into_iter().cycle().take(2 * CHANGES_OF_MIND) {
                w.h.pass(60, 3600);
                let chosen = (plan, held.it.quantity);
                w.h.settle_later(&mut held.it, Some(last), chosen);
            }
        });
    }

    /// From Team to Pro without a settlement: the next period costs less.
    pub(super) fn downgrade(&mut self) {
        self.with(can_downgrade, |w, held| {
            w.h.by_api();
            w.h.pass(60, 3 * DAY);
            let pro = w.h.catalogue.pro.clone();
            w.h.change_subscription(&mut held.it, |it| it.price = pro);
        });
    }

    pub(super) fn schedule_cancel(&mut self) {
        self.with(runs_on, |w, held| w.h.schedule_cancel(&mut held.it));
    }

    pub(super) fn cancel_at_date(&mut self) {
        self.with(runs_on, |w, held| {
            w.h.pass(60, 3 * DAY);
            let at = w.h.mint.dice.seconds(w.h.clock, held.it.period_end) + 1;
            w.h.schedule_cancel_at(&mut held.it, at);
        });
    }

    pub(super) fn undo_cancel(&mut self) {
        self.with(will_end, |w, held| w.h.undo_cancel(&mut held.it));
    }

    pub(super) fn cancel_now(&mut self) {
        if let Some(mut held) = self.take(has_begun) {
            self.h.by_api();
            self.h.pass(60, 2 * DAY);
            self.h.end(&mut held.it, "cancellation_requested");
            self.bury(held);
        }
    }

    pub(super) fn resume(&mut self) {
        self.with(is_paused, |w, held| {
            let (invoice, charge) = w.h.resume(&mut held.it);
            held.paid = Some(invoice);
            w.receive(charge);
        });
    }

    /// The shop ends a trial at once, and the customer pays.
    pub(super) fn cut_trial_short(&mut self) {
        self.with(is_trial_with_card, |w, held| {
            w.h.by_api();
            w.h.pass(60, DAY);
            let now = w.h.clock;
            let (mut invoice, mut intent) = w.h.begin_period(&mut held.it, now);
            // The notice comes at once as well, and shows the subscription as it is now.
            w.h.emit("customer.subscription.trial_will_end", &held.it);
            let charge = w.h.succeed(&mut intent);
            w.h.settle(&mut invoice, Some(&charge));
            w.receive(charge);
            held.paid = Some(invoice);
        });
    }

    /// Waits for what comes next by itself, if that is not too far away.
    pub(super) fn let_time_pass(&mut self) {
        match self.next_due() {
            Some((at, place)) if at - self.h.clock <= MONTH => self.fall_due(place),
            _ => self.h.pass(3600, DAY),
        }
    }
}
