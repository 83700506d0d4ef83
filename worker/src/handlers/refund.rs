//! `refund.*` and its older twin `charge.refund.updated`.

use domain::objects::Refund;
use domain::{Kind, Object};

use super::Handler;
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::Refund,
    types: &["refund.", "charge.refund."],
    id: "id",
    needed: &["status", "amount", "charge.", "payment_intent."],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    Ok(Object::Refund(Box::new(Refund {
        created: view.time("created")?,
        charge_id: view.id("charge")?,
        payment_intent_id: view.id("payment_intent")?,
        status: view.text("status")?,
        currency: view.text("currency")?,
        amount: view.integer("amount")?,
        reason: view.text("reason")?,
        failure_reason: view.text("failure_reason")?,
        metadata: view.metadata()?,
    })))
}
