//! What customers do beside paying.

use super::{Person, Walk};
use crate::{
    ApiVersion,
    objects::{entitlement::Entitlement, subscription::Subscription},
};

const FEATURES: [&str; 3] = ["api_access", "priority_support", "single_sign_on"];

impl Walk<'_> {
    pub(super) fn register(&mut self) {
        self.h.customer.created = self.h.clock;
        self.h.register();
        self.person = Person::Customer;
    }

    /// A new customer object for the same person.
    pub(super) fn register_again(&mut self) {
        let h = &mut self.h;
        h.customer.id = h.mint.short("cus");
        h.customer.invoice_prefix = h.mint.upper(8);
        h.customer.next_invoice_sequence = 1;
        h.customer.currency = None;
        h.customer.deleted = false;
        h.customer.created = h.clock;
        self.entitled.clear();
        h.register();
        self.person = Person::Returned;
    }

    pub(super) fn delete_customer(&mut self) {
        let mut held = std::mem::take(&mut self.subs);
        let running = held.iter_mut().map(|held| &mut held.it);
        self.h
            .delete_customer(running.collect::<Vec<&mut Subscription>>());
        for held in held {
            self.bury(held);
        }
        self.person = Person::Deleted;
    }

    /// Another set of features than now.
    pub(super) fn change_entitlements(&mut self) {
        self.h.by_itself();
        let size = self.h.mint.dice.index(FEATURES.len() + 1);
        let mut after = std::mem::take(&mut self.entitled);
        let before = after.clone();
        after.truncate(size);
        for lookup_key in FEATURES.into_iter().take(size).skip(after.len()) {
            after.push(self.new_entitlement(lookup_key));
        }
        self.h.change_entitlements(&before, &after);
        self.entitled = after;
    }

    fn new_entitlement(&mut self, lookup_key: &'static str) -> Entitlement {
        let mut id = |prefix: &str| format!("{prefix}_test_61{}", self.h.mint.text(30));
        Entitlement {
            id: id("ent"),
            feature: id("feat"),
            lookup_key,
        }
    }

    /// Whether nothing is half done: what began in one version is not concluded in another one.
    pub(super) fn may_switch(&self) -> bool {
        self.may_switch
            && !self.h.events.is_empty()
            && self.stale.is_empty()
            && self.subs.iter().all(|held| held.unpaid.is_none())
    }

    /// The account is moved to another version; what follows is rendered in that one.
    pub(super) fn switch_version(&mut self) {
        let other = ApiVersion::ALL.into_iter().find(|it| *it != self.h.version);
        self.h.version = other.unwrap_or(self.h.version);
        self.may_switch = false;
        // Shapes of two versions within one second could not be compared.
        self.h.clock += 1;
    }
}
