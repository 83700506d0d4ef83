//! `charge.*`: single attempts to take money.

use domain::objects::Charge;
use domain::{Kind, Object};

use super::Handler;
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::Charge,
    types: &["charge."],
    id: "id",
    needed: &[
        "status",
        "amount",
        "amount_refunded",
        "payment_intent.",
        "invoice.",
        "customer.",
    ],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    Ok(Object::Charge(Box::new(Charge {
        created: view.time("created")?,
        customer_id: view.id("customer")?,
        payment_intent_id: view.id("payment_intent")?,
        invoice_id: view.id("invoice")?,
        status: view.text("status")?,
        currency: view.text("currency")?,
        amount: view.integer("amount")?,
        amount_captured: view.integer("amount_captured")?,
        amount_refunded: view.integer("amount_refunded")?,
        refunded: view.is("refunded")?,
        disputed: view.is("disputed")?,
        paid: view.is("paid")?,
        failure_code: view.text("failure_code")?,
        failure_message: view.text("failure_message")?,
        balance_transaction_id: view.id("balance_transaction")?,
        receipt_url: view.text("receipt_url")?,
        metadata: view.metadata()?,
    })))
}
