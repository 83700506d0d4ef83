//! `product.*`: what is sold.

use domain::objects::Product;
use domain::{Kind, Object};

use super::Handler;
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::Product,
    types: &["product."],
    id: "id",
    needed: &[],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    Ok(Object::Product(Box::new(Product {
        created: view.time("created")?,
        name: view.text("name")?,
        description: view.text("description")?,
        active: view.is("active")?,
        default_price_id: view.id("default_price")?,
        metadata: view.metadata()?,
    })))
}
