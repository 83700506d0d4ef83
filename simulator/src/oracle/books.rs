//! The books of one life.

use std::collections::BTreeMap;

use crate::{ApiVersion, objects::Thing};

/// Kind and id of an object; ids of a price and its plan are equal.
type Key = (&'static str, String);

/// One object: as the last event about it shows it, and as it is, where that differs.
///
/// Some changes have no event of their own (a failed refund lowers `amount_refunded` of its charge, a
/// dispute sets `disputed`). Whoever only listens cannot know them; whoever asks the API does.
#[derive(Debug, Clone, Default)]
struct Entry {
    announced: Option<Thing>,
    real: Option<Thing>,
}

/// What one payment (a payment intent) bought and what became of its money, minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Money {
    /// What it bought.
    pub(crate) credits: i64,
    /// What the customer paid.
    pub(crate) paid: i64,
    /// What the shop gave back, less what came back because it could not be delivered.
    pub(crate) refunded: i64,
    /// What the bank took and did not return.
    pub(crate) disputed: i64,
}

impl Money {
    /// Credits that went with the refunds.
    pub(crate) fn refund_debit(self) -> i64 {
        self.share(self.given_back())
    }

    /// Credits that went with the disputes: the bank cannot take what was given back before.
    pub(crate) fn dispute_debit(self) -> i64 {
        self.share(self.disputed.min(self.paid - self.given_back()))
    }

    fn given_back(self) -> i64 {
        self.refunded.min(self.paid)
    }

    fn share(self, amount: i64) -> i64 {
        if self.paid == 0 {
            return 0;
        }
        let share = i128::from(self.credits) * i128::from(amount) / i128::from(self.paid);
        i64::try_from(share).expect("a part of the credits")
    }
}

/// Everything a life must be able to say about itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    entries: BTreeMap<Key, Entry>,
    /// Which invoice an intent pays, as far as events said so: since 2025-03-31.basil only once paid.
    pub(super) links: BTreeMap<String, String>,
    /// What an invoice buys once it is paid.
    worth: BTreeMap<String, i64>,
    /// Credits that were bought, by business key.
    pub(super) grants: BTreeMap<String, i64>,
    /// What became of payments, by intent.
    pub(super) payments: BTreeMap<String, Money>,
}

impl Books {
    /// An event shows `thing` in `version`.
    pub(crate) fn announce(&mut self, thing: Thing, version: ApiVersion) {
        if let Some((intent, invoice)) = link(&thing, version) {
            self.links.insert(intent, invoice);
        }
        let key = (thing.object(), thing.id().to_owned());
        let entry = Entry {
            announced: Some(thing),
            real: None,
        };
        self.entries.insert(key, entry);
    }

    /// `thing` was made or changed without an event.
    pub(crate) fn keep(&mut self, thing: Thing) {
        let key = (thing.object(), thing.id().to_owned());
        self.entries.entry(key).or_default().real = Some(thing);
    }

    /// A paid `invoice` will have bought `credits`.
    pub(crate) fn promise(&mut self, invoice: &str, credits: i64) {
        self.worth.insert(invoice.to_owned(), credits);
    }

    /// `invoice` is paid; by an intent with an amount, or in another way, or because nothing was due.
    pub(crate) fn invoice_paid(&mut self, invoice: &str, by: Option<(&str, i64)>) {
        let credits = self.worth.get(invoice).copied().unwrap_or(0);
        self.buy(format!("grant:{invoice}"), credits, by);
    }

    /// The top-up of a Checkout session is paid.
    pub(crate) fn topped_up(&mut self, session: &str, credits: i64, intent: &str, paid: i64) {
        self.buy(format!("topup:{session}"), credits, Some((intent, paid)));
    }

    fn buy(&mut self, key: String, credits: i64, by: Option<(&str, i64)>) {
        if credits > 0 {
            self.grants.insert(key, credits);
        }
        if let Some((intent, paid)) = by {
            let money = Money {
                credits,
                paid,
                ..Money::default()
            };
            self.payments.insert(intent.to_owned(), money);
        }
    }

    /// `amount` went back to the customer; negative when it could not be delivered and returned.
    pub(crate) fn refunded(&mut self, intent: &str, amount: i64) {
        self.payments.entry(intent.to_owned()).or_default().refunded += amount;
    }

    /// The bank took `amount`; negative when it returned it.
    pub(crate) fn disputed(&mut self, intent: &str, amount: i64) {
        self.payments.entry(intent.to_owned()).or_default().disputed += amount;
    }

    /// Every object as its last event shows it.
    pub(super) fn announced(&self) -> impl Iterator<Item = &Thing> {
        self.entries.values().filter_map(|entry| entry.announced.as_ref())
    }

    /// Every object as it is.
    pub(crate) fn into_objects(self) -> impl Iterator<Item = Thing> {
        self.entries
            .into_values()
            .filter_map(|entry| entry.real.or(entry.announced))
    }
}

/// Intent and invoice that an event about `thing` connects.
fn link(thing: &Thing, version: ApiVersion) -> Option<(String, String)> {
    match thing {
        Thing::Intent(it) if !version.is_current() => Some((it.id.clone(), it.invoice.clone()?)),
        Thing::Invoice(it) if !version.is_current() => Some((it.intent.clone()?, it.id.clone())),
        Thing::InvoicePayment(it) => Some((it.intent.clone(), it.invoice.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_go_in_the_proportion_of_the_money() {
        let money = |credits, paid, refunded, disputed| Money {
            credits,
            paid,
            refunded,
            disputed,
        };
        // Credits, paid, refunded, disputed: what refunds and disputes take.
        let cases = [
            (money(1000, 1000, 0, 0), 0, 0),
            (money(1000, 1000, 750, 0), 750, 0),
            (money(1000, 1500, 100, 0), 66, 0),
            (money(1000, 1000, 0, 1000), 0, 1000),
            (money(1000, 1000, 300, 1000), 300, 700),
            (money(1000, 1000, 300, 500), 300, 500),
            (money(1000, 1000, 1200, 0), 1000, 0),
            (money(0, 1500, 1500, 0), 0, 0),
            (money(6000, 5000, 1, 1), 1, 1),
            (money(500, 0, 0, 0), 0, 0),
        ];
        for (money, refund, dispute) in cases {
            assert_eq!(
                (money.refund_debit(), money.dispute_debit()),
                (refund, dispute),
                "{money:?}"
            );
        }
    }
}
