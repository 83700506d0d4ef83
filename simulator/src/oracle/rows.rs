//! What is told of one object, in the words of the recorded scenarios' `expected`.

use serde_json::{Value, json};

use super::Books;
use crate::objects::{
    charge::Charge, checkout::Purchase, checkout::Session, dispute::Dispute, invoice::Invoice,
    payment_intent::PaymentIntent, refund::Refund, subscription::Subscription,
};

/// From nothing to best: a user is where their best subscription is.
pub(super) const STATES: [&str; 6] = [
    "no_subscription",
    "expired",
    "canceled",
    "past_due",
    "trialing",
    "active",
];

/// Our word for a status of Stripe's, as a place in [`STATES`].
pub(super) fn state(status: &str) -> usize {
    match status {
        "incomplete_expired" => 1,
        "canceled" => 2,
        "past_due" | "unpaid" | "paused" => 3,
        "trialing" => 4,
        "active" => 5,
        _ => 0,
    }
}

pub(super) fn subscription(it: &Subscription) -> Value {
    json!({
        "user": it.metadata["user_id"], "stripe_status": it.status, "state": STATES[state(it.status)], "price": it.price.id,
        "current_period_start": it.period_start, "current_period_end": it.period_end,
        "cancel_at_period_end": it.cancel_at_period_end, "cancel_at": it.cancel_at,
        "canceled_at": it.canceled_at, "ended_at": it.ended_at, "trial_end": it.trial.map(|(_, end)| end),
        "latest_invoice": it.latest_invoice
    })
}

pub(super) fn invoice(it: &Invoice) -> Value {
    json!({
        "status": it.status, "billing_reason": it.billing_reason, "total": it.total(), "amount_due": it.total(),
        "amount_paid": it.amount_paid, "currency": it.currency(), "subscription": it.subscription,
        "attempt_count": it.attempt_count
    })
}

pub(super) fn payment(it: &PaymentIntent, books: &Books) -> Value {
    json!({
        "status": it.status, "amount": it.amount, "amount_received": it.amount_received(),
        "currency": it.currency, "latest_charge": it.latest_charge, "invoice": books.links.get(&it.id)
    })
}

pub(super) fn charge(it: &Charge) -> Value {
    json!({
        "status": it.status, "amount": it.amount, "amount_refunded": it.amount_refunded,
        "refunded": it.amount_refunded == it.amount
    })
}

pub(super) fn refund(it: &Refund) -> Value {
    json!({
        "status": it.status, "amount": it.amount, "payment_intent": it.charge.intent, "charge": it.charge.id
    })
}

pub(super) fn dispute(it: &Dispute) -> Value {
    json!({"status": it.status, "amount": it.amount, "charge": it.charge.id})
}

pub(super) fn session(it: &Session) -> Value {
    let mode = match it.purchase {
        Purchase::Payment { .. } => "payment",
        Purchase::Subscription { .. } => "subscription",
    };
    json!({"status": it.status, "payment_status": it.payment_status, "mode": mode})
}
