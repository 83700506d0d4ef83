//! What the shop does to its customers and its catalogue.

use crate::{
    history::History,
    objects::{
        catalogue::{Price, Product},
        customer::Customer,
    },
};

impl History<'_> {
    /// An id of a customer, product or the like.
    pub(crate) fn short_id(&mut self, prefix: &str) -> String {
        self.mint.short(prefix)
    }

    /// An id of a price, or of anything else that is made now.
    pub(crate) fn dated_id(&mut self, prefix: &str) -> String {
        self.id(prefix)
    }

    /// An id of a Checkout session.
    pub(crate) fn session_id(&mut self) -> String {
        self.mint.session()
    }

    /// Somebody becomes a customer.
    pub(crate) fn welcome(&mut self) -> Customer {
        self.by_api();
        self.customer.id = self.mint.short("cus");
        self.customer.created = self.clock;
        self.customer.invoice_prefix = self.mint.upper(8);
        self.guest = false;
        let customer = self.customer.clone();
        self.emit("customer.created", &customer);
        customer
    }

    /// The shop writes something else about its customer.
    pub(crate) fn change_customer(&mut self, change: impl FnOnce(&mut Customer)) -> Customer {
        self.by_api();
        let before = self.customer.json(self.version);
        change(&mut self.customer);
        let customer = self.customer.clone();
        self.emit_change("customer.updated", &before, &customer);
        customer
    }

    /// Something new is sold.
    pub(crate) fn offer_product(&mut self, product: &Product) {
        self.by_api();
        self.emit("product.created", product);
    }

    /// At a price.
    pub(crate) fn offer_price(&mut self, price: &Price) {
        self.by_api();
        self.announce_price("created", price);
    }

    /// The shop writes something else about a product.
    pub(crate) fn change_product(&mut self, product: &mut Product, change: impl FnOnce(&mut Product)) {
        self.by_api();
        let before = product.json(self.version);
        change(product);
        product.updated = self.clock;
        self.emit_change("product.updated", &before, &*product);
    }

    /// The shop writes something else about a price.
    pub(crate) fn alter_price(&mut self, price: &mut Price, change: impl FnOnce(&mut Price)) {
        self.by_api();
        let before = price.clone();
        change(price);
        self.change_price(&before, price);
    }
}
