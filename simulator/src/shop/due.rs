//! What happens when its time has come.

use super::{Clerk, Shop, Who, agenda::Deed, model::Key};
use crate::{
    history::Collected,
    objects::{
        charge::Charge,
        checkout::{Purchase, Session},
        customer::Customer,
        invoice::Invoice,
        payment_intent::PaymentIntent,
        subscription::Subscription,
    },
};

impl Shop {
    /// Lets everything happen that is due by now, in its order and at its time.
    pub(crate) fn catch_up(&mut self) {
        let now = self.now();
        while let Some((at, key, deed)) = self.agenda.first(now) {
            let who = Who {
                account: key.0.clone(),
                caller: None,
            };
            Clerk::at(self, who, at).perform(&key, deed);
            let thing = self.model.thing(&key);
            self.agenda.done(key, deed, thing, at);
        }
    }
}

impl Clerk<'_> {
    fn perform(&mut self, (_, _, id): &Key, deed: Deed) {
        match deed {
            Deed::ExpireSession => self.expire_session(id, false),
            Deed::CollectDraft => self.collect(id, true),
            Deed::Retry => self.collect(id, false),
            Deed::SettleDebit => self.settle_debit(id),
            Deed::ExpireIncomplete
            | Deed::AnnounceTrialEnd
            | Deed::AnnounceRenewal
            | Deed::End
            | Deed::TurnPeriod => self.move_subscription(id, deed),
        }
    }

    /// Whoever buys in a session, as they are now.
    pub(crate) fn payer(&self, session: &Session) -> Customer {
        let known = self.get::<Customer>(&session.customer.id);
        known.unwrap_or_else(|| session.customer.clone())
    }

    fn owner(&self, subscription: &Subscription) -> Customer {
        self.customer(Some(&subscription.customer))
    }

    fn move_subscription(&mut self, id: &str, deed: Deed) {
        let Some(mut it) = self.get::<Subscription>(id) else {
            return;
        };
        let unpaid = it.latest_invoice.as_deref().and_then(|id| self.open_bill(id));
        self.play(self.owner(&it), |history| match (deed, unpaid) {
            (Deed::AnnounceTrialEnd, _) => history.warn_of_trial_end(&it),
            (Deed::AnnounceRenewal, _) => history.announce_renewal(&it),
            (Deed::End, _) => history.end_as_planned(&mut it),
            (Deed::ExpireIncomplete, Some((mut invoice, mut intent))) => {
                history.expire_incomplete(&mut it, &mut invoice, &mut intent);
            }
            (Deed::ExpireIncomplete, None) => history.end_as_planned(&mut it),
            _ => history.turn_period(&mut it),
        });
    }

    /// An invoice that is open, and the intent that is to pay it.
    pub(crate) fn open_bill(&self, id: &str) -> Option<(Invoice, PaymentIntent)> {
        let invoice = self.get::<Invoice>(id).filter(|it| it.status == "open")?;
        let intent = self.get::<PaymentIntent>(invoice.intent.as_deref()?)?;
        Some((invoice, intent))
    }

    /// Tries to have a renewal's invoice paid.
    fn collect(&mut self, id: &str, draft: bool) {
        let Some(mut invoice) = self.get::<Invoice>(id) else {
            return;
        };
        let Some(mut it) = self.get::<Subscription>(&invoice.subscription) else {
            return;
        };
        if it.status == "canceled" {
            // Stripe leaves the invoices of an ended subscription alone.
            invoice.automatically_finalizes_at = None;
            invoice.next_payment_attempt = None;
            return self.keep((&invoice).into());
        }
        let outcome = if self.shop.takes_decline() {
            Collected::Declined
        } else {
            Collected::Paid
        };
        let customer = self.owner(&it);
        if draft {
            return self.play(customer, |history| {
                history.collect_draft(&mut it, &mut invoice, outcome);
            });
        }
        let intent = invoice
            .intent
            .as_deref()
            .and_then(|id| self.get::<PaymentIntent>(id));
        if let Some(mut intent) = intent {
            self.play(customer, |history| {
                history.collect(&mut it, &mut invoice, &mut intent, outcome);
            });
        }
    }

    /// The bank says whether a debit has gone through.
    fn settle_debit(&mut self, id: &str) {
        let Some(intent) = self.get::<PaymentIntent>(id) else {
            return;
        };
        let paid_by =
            |it: &&Session| matches!(&it.purchase, Purchase::Payment { intent: Some(by) } if by == id);
        let session = self.find::<Session>(paid_by);
        let charge = intent
            .latest_charge
            .as_deref()
            .and_then(|id| self.get::<Charge>(id));
        let (Some(session), Some(charge)) = (session, charge) else {
            return;
        };
        let arrives = !self.shop.takes_decline();
        let customer = self.customer(intent.customer.as_deref());
        self.play(customer, |history| {
            history.settle_debit(session, intent, charge, arrives)
        });
    }

    /// A session is open no longer.
    pub(crate) fn expire_session(&mut self, id: &str, by_request: bool) {
        if let Some(mut session) = self.get::<Session>(id) {
            let customer = self.payer(&session);
            self.play(customer, |history| {
                history.expire_session(&mut session, by_request)
            });
        }
    }
}
