//! What has to be the case for a step.

use super::{Held, Payment, Person, Walk};

pub(super) fn is_customer(w: &Walk<'_>) -> bool {
    w.is_customer()
}

pub(super) fn is_stranger(w: &Walk<'_>) -> bool {
    w.person == Person::Stranger
}

/// Nothing is open that a deletion would leave in an unclear state.
pub(super) fn is_settled(w: &Walk<'_>) -> bool {
    w.is_customer() && w.debits.is_empty() && w.subs.iter().all(has_begun)
}

pub(super) fn has_none(w: &Walk<'_>) -> bool {
    w.is_customer() && w.subs.is_empty()
}

pub(super) fn has_one(w: &Walk<'_>) -> bool {
    w.is_customer() && w.subs.len() == 1
}

pub(super) fn has(w: &Walk<'_>, of: fn(&Held) -> bool) -> bool {
    w.subs.iter().any(of)
}

pub(super) fn pays(w: &Walk<'_>, of: fn(&Payment) -> bool) -> bool {
    w.payments.iter().any(of)
}

pub(super) fn is_trial_with_card(held: &Held) -> bool {
    held.it.status == "trialing" && held.it.payment_method.is_some() && held.it.cancel_at.is_none()
}

pub(super) fn can_upgrade(held: &Held) -> bool {
    held.it.status == "active"
        && held.it.price.unit_amount == 2000
        && held.paid.is_some()
        && held.it.pending_lines.is_empty()
}

pub(super) fn can_downgrade(held: &Held) -> bool {
    held.it.status == "active" && held.it.price.unit_amount == 5000
}

/// Nobody has planned its end.
pub(super) fn runs_on(held: &Held) -> bool {
    matches!(held.it.status, "active" | "trialing") && held.it.cancel_at.is_none()
}

pub(super) fn will_end(held: &Held) -> bool {
    held.it.cancel_at.is_some()
}

/// It can be canceled; before its first payment it can only expire.
pub(super) fn has_begun(held: &Held) -> bool {
    held.it.status != "incomplete"
}

pub(super) fn is_paused(held: &Held) -> bool {
    held.it.status == "paused"
}

pub(super) fn is_unpaid(held: &Held) -> bool {
    held.unpaid.is_some()
}

/// An invoice is unpaid, but not the first one.
pub(super) fn is_behind(held: &Held) -> bool {
    held.unpaid.is_some() && held.it.status != "incomplete"
}
