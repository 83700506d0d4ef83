//! `payment_intent.*`: payments, through all their attempts.

use domain::objects::PaymentIntent;
use domain::{Kind, Object};

use super::Handler;
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::PaymentIntent,
    types: &["payment_intent."],
    id: "id",
    needed: &[
        "status",
        "amount",
        "amount_received",
        "customer.",
        "invoice.",
        "metadata",
    ],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    let error = view.object("last_payment_error")?;
    Ok(Object::PaymentIntent(Box::new(PaymentIntent {
        created: view.time("created")?,
        customer_id: view.id("customer")?,
        invoice_id: view.id("invoice")?,
        status: view.text("status")?,
        currency: view.text("currency")?,
        amount: view.integer("amount")?,
        amount_received: view.integer("amount_received")?,
        latest_charge_id: view.id("latest_charge")?,
        payment_method_id: view.id("payment_method")?,
        error_code: error.text("code")?,
        error_decline_code: error.text("decline_code")?,
        error_message: error.text("message")?,
        cancellation_reason: view.text("cancellation_reason")?,
        canceled_at: view.time("canceled_at")?,
        metadata: view.metadata()?,
    })))
}
