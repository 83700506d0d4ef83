//! `price.*`: what things cost. Each recurring price also sends `plan.*` with the same id, which is ignored.

use domain::objects::Price;
use domain::{Kind, Object};

use super::Handler;
use super::terms::terms;
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::Price,
    types: &["price."],
    id: "id",
    needed: &[],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    let recurring = view.object("recurring")?;
    Ok(Object::Price(Box::new(Price {
        created: view.time("created")?,
        product_id: view.id("product")?,
        active: view.is("active")?,
        price_type: view.text("type")?,
        currency: view.text("currency")?,
        unit_amount: view.integer("unit_amount")?,
        unit_amount_decimal: view.text("unit_amount_decimal")?,
        recurring_interval: recurring.text("interval")?,
        recurring_interval_count: recurring.integer("interval_count")?,
        lookup_key: view.text("lookup_key")?,
        nickname: view.text("nickname")?,
        metadata: view.metadata()?,
        terms: terms(view),
    })))
}
