//! `invoice_payment.*`: what paid an invoice.

use domain::objects::InvoicePayment;
use domain::{Kind, Object};

use super::Handler;
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::InvoicePayment,
    types: &["invoice_payment."],
    id: "id",
    needed: &[
        "status",
        "invoice.",
        "payment",
        "payment.payment_intent.",
        "payment.charge.",
        "amount_paid",
    ],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    let payment = view.object("payment")?;
    Ok(Object::InvoicePayment(Box::new(InvoicePayment {
        created: view.time("created")?,
        invoice_id: view.id("invoice")?,
        status: view.text("status")?,
        payment_type: payment.text("type")?,
        payment_intent_id: payment.id("payment_intent")?,
        charge_id: payment.id("charge")?,
        currency: view.text("currency")?,
        amount_paid: view.integer("amount_paid")?,
        amount_requested: view.integer("amount_requested")?,
        is_default: view.is("is_default")?,
        paid_at: view.object("status_transitions")?.time("paid_at")?,
    })))
}
