//! The customer's own data, what they may use, and the shop's catalogue.

use super::{DAY, History, Setting};
use crate::{
    dice::Dice,
    event::Event,
    objects::{
        Plan, Summary,
        catalogue::{Price, Product, Recurring},
        entitlement::{Entitlement, summary},
        subscription::Subscription,
    },
};

/// The events of the whole catalogue of a shop, as of the day it opened.
#[must_use]
pub fn catalogue_events(setting: Setting<'_>) -> Vec<Event> {
    let mut history = History::new(setting, Dice::new(setting.seed), setting.now);
    history.by_api();
    for product in &setting.catalogue.products {
        history.clock = product.created;
        history.emit("product.created", product);
    }
    for price in setting.catalogue.prices() {
        history.announce_price("created", price);
    }
    history.events
}

impl History<'_> {
    /// Every recurring price is announced as a plan too, under the same id.
    pub(super) fn announce_price(&mut self, what: &str, price: &Price) {
        if price.recurring.is_some() {
            self.emit(&format!("plan.{what}"), &Plan(price.clone()));
        }
        self.emit(&format!("price.{what}"), price);
    }

    /// A product that is tried out and withdrawn again.
    pub(super) fn try_product(&mut self) {
        self.by_api();
        let mut product = Product::new(self.mint.short("prod"), self.clock, "Trial balloon", 300);
        self.emit("product.created", &product);
        let mut price = self.new_price(&product);
        self.announce_price("created", &price);
        self.pass(60, 3600);
        let before = product.json(self.version);
        product.default_price = Some(price.id.clone());
        product.updated = self.clock;
        self.emit_change("product.updated", &before, &product);
        self.pass(60, DAY);
        let before = price.clone();
        price.active = false;
        self.change_price(&before, &price);
        self.pass(60, 3600);
        self.announce_price("deleted", &price);
        product.active = false;
        self.emit("product.deleted", &product);
    }

    /// A price is not what it was before, and neither is its plan.
    pub(super) fn change_price(&mut self, before: &Price, after: &Price) {
        if after.recurring.is_some() {
            let plan = before.plan_json(self.version);
            self.emit_change("plan.updated", &plan, &Plan(after.clone()));
        }
        let price = before.json(self.version);
        self.emit_change("price.updated", &price, after);
    }

    fn new_price(&mut self, product: &Product) -> Price {
        Price {
            id: self.id("price"),
            product: product.id.clone(),
            created: self.clock,
            name: product.name.clone(),
            lookup_key: Some(format!("balloon_{}", self.mint.text(6).to_lowercase())),
            nickname: Some(format!("{} monthly", product.name)),
            currency: "usd".to_owned(),
            unit_amount: 300,
            metadata: product.metadata.clone(),
            recurring: Some(Recurring::MONTHLY),
            active: true,
        }
    }

    /// The customer may use what the plan includes.
    pub(super) fn entitle(&mut self) {
        self.by_itself();
        let id = |prefix: &str, token: String| format!("{prefix}_test_61{token}");
        let active = vec![Entitlement {
            id: id("ent", self.mint.text(30)),
            feature: id("feat", self.mint.text(30)),
            lookup_key: "api_access",
        }];
        self.change_entitlements(&[], &active);
    }

    pub(super) fn change_entitlements(&mut self, before: &[Entitlement], after: &[Entitlement]) {
        let customer = self.customer.id.clone();
        let before = summary(&customer, before);
        let after = Summary {
            customer,
            active: after.to_vec(),
        };
        self.emit_change("entitlements.active_entitlement_summary.updated", &before, &after);
    }

    /// The customer changes their mail address.
    pub(super) fn change_email(&mut self) {
        self.by_api();
        self.pass(3600, DAY);
        let before = self.customer.json(self.version);
        self.customer.email = self.customer.email.as_ref().map(|email| format!("new.{email}"));
        let customer = self.customer.clone();
        self.emit_change("customer.updated", &before, &customer);
    }

    /// The customer is deleted, which ends the subscriptions at once.
    pub(crate) fn delete_customer<'s>(&mut self, running: impl IntoIterator<Item = &'s mut Subscription>) {
        self.by_api();
        self.pass(3600, 3 * DAY);
        for subscription in running {
            self.end(subscription, "cancellation_requested");
        }
        self.customer.deleted = true;
        let customer = self.customer.clone();
        self.emit("customer.deleted", &customer);
    }
}
