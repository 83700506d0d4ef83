//! `checkout.session.*`: how customers came to pay.

use domain::objects::CheckoutSession;
use domain::{Kind, Object};

use super::Handler;
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::CheckoutSession,
    types: &["checkout.session."],
    id: "id",
    needed: &[
        "mode",
        "status",
        "payment_status",
        "payment_intent.",
        "customer.",
        "amount_total",
        "client_reference_id",
        "metadata",
        "metadata.user_id",
    ],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    let client_reference_id = view.text("client_reference_id")?;
    Ok(Object::CheckoutSession(Box::new(CheckoutSession {
        created: view.time("created")?,
        mode: view.text("mode")?,
        status: view.text("status")?,
        payment_status: view.text("payment_status")?,
        customer_id: view.id("customer")?,
        user_id: view
            .object("metadata")?
            .text("user_id")?
            .or(client_reference_id.clone()),
        client_reference_id,
        payment_intent_id: view.id("payment_intent")?,
        subscription_id: view.id("subscription")?,
        invoice_id: view.id("invoice")?,
        currency: view.text("currency")?,
        amount_subtotal: view.integer("amount_subtotal")?,
        amount_total: view.integer("amount_total")?,
        expires_at: view.time("expires_at")?,
        metadata: view.metadata()?,
    })))
}
