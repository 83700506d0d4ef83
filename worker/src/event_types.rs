//! The event types that metrics tell apart: those of the objects we handle. What Stripe invents next is `other`, so
//! that the number of series is ours to say.

/// In alphabetical order.
pub const KNOWN: [&str; 53] = [
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.failed",
    "charge.pending",
    "charge.refund.updated",
    "charge.refunded",
    "charge.succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.created",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.updated",
    "entitlements.active_entitlement_summary.updated",
    "invoice.created",
    "invoice.finalization_failed",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.upcoming",
    "invoice.updated",
    "invoice.voided",
    "invoice_payment.paid",
    "payment_intent.canceled",
    "payment_intent.created",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "price.created",
    "price.deleted",
    "price.updated",
    "product.created",
    "product.deleted",
    "product.updated",
    "refund.created",
    "refund.failed",
    "refund.updated",
];
/// All others.
const OTHER: &str = "other";

/// Every value of the label.
pub(crate) fn all() -> Vec<&'static str> {
    [KNOWN.as_slice(), &[OTHER]].concat()
}

/// The place of an event type in [`all`].
pub(crate) fn place(event_type: &str) -> usize {
    KNOWN.binary_search(&event_type).unwrap_or(KNOWN.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::HANDLERS;

    #[test]
    fn each_is_found_at_its_place() {
        for (at, event_type) in all().into_iter().enumerate() {
            assert_eq!(place(event_type), at, "{event_type}");
        }
        assert_eq!(all()[place("galactic.teleport.completed")], OTHER);
        assert_eq!(all()[place("")], OTHER);
    }

    #[test]
    fn each_is_about_an_object_we_handle() {
        for event_type in KNOWN {
            let concerns = |pattern: &&str| event_type.starts_with(*pattern);
            let handled = HANDLERS.iter().any(|handler| handler.types.iter().any(concerns));
            assert!(handled, "{event_type}");
        }
    }
}
