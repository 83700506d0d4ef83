//! `charge.dispute.*`: chargebacks and inquiries.

use domain::objects::Dispute;
use domain::{Kind, Object};

use super::Handler;
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::Dispute,
    types: &["charge.dispute."],
    id: "id",
    needed: &["status", "amount", "charge.", "payment_intent."],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    Ok(Object::Dispute(Box::new(Dispute {
        created: view.time("created")?,
        charge_id: view.id("charge")?,
        payment_intent_id: view.id("payment_intent")?,
        status: view.text("status")?,
        currency: view.text("currency")?,
        amount: view.integer("amount")?,
        reason: view.text("reason")?,
        evidence_due_by: view.object("evidence_details")?.time("due_by")?,
        balance_transactions: view.count("balance_transactions")?,
        metadata: view.metadata()?,
    })))
}
