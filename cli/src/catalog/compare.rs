//! A catalogue file against what Stripe's events said. What Stripe never changes about a price cannot differ, unless
//! the file is wrong; what a person may change there is said and left to them.

use std::fmt::Display;

use store::{KnownPrice, PriceFacts};

use super::finding::{Finding, Level};
use super::offer::{Kind, Offer};

/// What differs. `known` is about the prices of `offers`, in their order.
pub(super) fn compare(offers: &[Offer], known: &[KnownPrice]) -> Vec<Finding> {
    let pairs = offers.iter().zip(known);
    pairs.flat_map(|(offer, known)| of_offer(offer, known)).collect()
}

fn of_offer(offer: &Offer, known: &KnownPrice) -> Vec<Finding> {
    let mut notes = Notes {
        offer,
        findings: Vec::new(),
    };
    match &known.facts {
        Some(facts) => notes.facts(facts),
        None if known.terms.is_some() => notes.embedded(known),
        None => notes.warning("no event about this price has come yet; is it of this account and mode?"),
    }
    notes.metadata(known);
    notes.findings
}

struct Notes<'a> {
    offer: &'a Offer,
    findings: Vec<Finding>,
}

impl Notes<'_> {
    fn note(&mut self, level: Level, text: impl Into<String>) {
        let label = self.offer.label();
        self.findings.push(Finding {
            level,
            ..Finding::error(self.offer.line, Some(&label), text)
        });
    }

    fn warning(&mut self, text: &str) {
        self.note(Level::Warning, text);
    }

    /// What both say must be the same.
    fn same<T: PartialEq + Display>(&mut self, what: &str, file: Option<&T>, stripe: Option<&T>) {
        if let (Some(file), Some(stripe)) = (file, stripe)
            && file != stripe
        {
            self.note(
                Level::Error,
                format!("{what}: {file} in the file, {stripe} at Stripe"),
            );
        }
    }

    fn facts(&mut self, facts: &PriceFacts) {
        let offer = self.offer;
        self.same("product", offer.product.as_ref(), facts.product_id.as_ref());
        self.same("currency", offer.currency.as_ref(), facts.currency.as_ref());
        self.same(
            "unit_amount",
            offer.unit_amount.as_ref(),
            facts.unit_amount.as_ref(),
        );
        self.same("interval", offer.interval.as_ref(), facts.interval.as_ref());
        if offer.unit_amount.is_some() && facts.unit_amount.is_none() {
            self.note(
                Level::Error,
                "unit_amount: Stripe's is no whole number of minor units; leave it out",
            );
        }
        match (offer.kind, facts.price_type.as_deref()) {
            (Kind::Plan, Some("one_time")) => {
                self.note(Level::Error, "this price is paid once; offer it as a [[package]]");
            }
            (Kind::Package, Some("recurring")) => {
                self.note(
                    Level::Error,
                    "this price is paid again and again; offer it as a [[plan]]",
                );
            }
            _ => {}
        }
        if offer.active && facts.deleted {
            self.warning("this price is deleted at Stripe, so nobody can buy it; set active = false");
        } else if offer.active && !facts.active {
            self.warning("this price is archived at Stripe, so nobody can buy it; set active = false");
        }
    }

    /// Nothing was said about the price itself; what other objects carried along is true, too.
    fn embedded(&mut self, known: &KnownPrice) {
        let terms = known.terms.as_ref();
        let currency = terms.and_then(|terms| terms.currency.as_ref());
        self.same("currency", self.offer.currency.as_ref(), currency);
        let amount = terms.and_then(|terms| terms.unit_amount.as_ref());
        self.same("unit_amount", self.offer.unit_amount.as_ref(), amount);
    }

    /// The file's word counts, and somebody may have meant the other one. 0 is what metadata says by saying nothing.
    fn metadata(&mut self, known: &KnownPrice) {
        let Some(stripe) = &known.terms else { return };
        let file = self.offer.terms();
        let days = |days: Option<i32>| days.map_or(0, i64::from);
        for (what, file, stripe) in [
            ("credits", file.credits, stripe.credits),
            ("free_monthly_credits", file.free_monthly, stripe.free_monthly),
            (
                "credits_expire_days",
                days(file.expire_days),
                days(stripe.expire_days),
            ),
        ] {
            if stripe != 0 && file != stripe {
                self.warning(&format!(
                    "{what}: {file} in the file, which counts; {stripe} in the price's metadata"
                ));
            }
        }
    }
}
