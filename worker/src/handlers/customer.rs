//! `customer.created`, `.updated`, `.deleted`.

use domain::objects::Customer;
use domain::{Kind, Object};

use super::Handler;
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::Customer,
    types: &[
        "customer.created",
        "customer.updated",
        "customer.deleted",
        "customer.fetched",
    ],
    id: "id",
    needed: &["metadata", "metadata.user_id"],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    Ok(Object::Customer(Box::new(Customer {
        created: view.time("created")?,
        email: view.text("email")?,
        name: view.text("name")?,
        user_id: view.object("metadata")?.text("user_id")?,
        currency: view.text("currency")?,
        balance: view.integer("balance")?,
        delinquent: view.flag("delinquent")?,
        metadata: view.metadata()?,
    })))
}
