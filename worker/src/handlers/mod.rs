//! One file per kind of object: which events are about it, and how it is read, by shape and never by
//! version. To add one: a file here, a line in [`HANDLERS`], a kind in `domain`, a table in `store`.

mod charge;
mod checkout_session;
mod customer;
mod dispute;
mod entitlement_summary;
mod invoice;
mod invoice_payment;
mod payment_intent;
mod price;
mod product;
mod refund;
mod subscription;
mod terms;

use domain::{Kind, Object};

use crate::view::{ReadError, View};

/// How events about one kind of object are handled.
pub struct Handler {
    /// The kind; its name is the value of the object's `object` member.
    pub kind: Kind,
    /// Event types: whole, or everything that begins with a text ending in a dot.
    pub types: &'static [&'static str],
    /// The member that identifies the object.
    pub id: &'static str,
    /// Members a rule cannot do without, by path; with a final dot, everything below as well. Of a wrong type they
    /// park the event; all others then count as absent.
    pub needed: &'static [&'static str],
    /// Reads it.
    pub read: fn(&View<'_>) -> Result<Object, ReadError>,
}

/// All of them. Most frequent first.
pub const HANDLERS: &[Handler] = &[
    invoice::HANDLER,
    subscription::HANDLER,
    payment_intent::HANDLER,
    charge::HANDLER,
    customer::HANDLER,
    checkout_session::HANDLER,
    invoice_payment::HANDLER,
    refund::HANDLER,
    dispute::HANDLER,
    product::HANDLER,
    price::HANDLER,
    entitlement_summary::HANDLER,
];

/// The handler for an event, chosen by its type and confirmed by what its object says it is: families
/// overlap (`charge.refunded` is about a charge, `charge.refund.updated` about a refund).
#[must_use]
pub fn find(event_type: &str, object_type: Option<&str>) -> Option<&'static Handler> {
    let concerns = |pattern: &&str| match pattern.strip_suffix('.') {
        Some(_) => event_type.starts_with(*pattern),
        None => event_type == *pattern,
    };
    HANDLERS
        .iter()
        .find(|handler| object_type == Some(handler.kind.as_str()) && handler.types.iter().any(concerns))
}

/// The members of a list, each id once: a table holds it once, and the last one is the newest.
fn distinct<T>(parts: Vec<T>, id: impl Fn(&T) -> &str) -> Vec<T> {
    let last = |at: usize| parts[at + 1..].iter().all(|later| id(later) != id(&parts[at]));
    let keep: Vec<bool> = (0..parts.len()).map(last).collect();
    parts
        .into_iter()
        .zip(keep)
        .filter_map(|(part, keep)| keep.then_some(part))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_member_counts_once() {
        let parts = vec![("a", 1), ("b", 2), ("a", 3)];
        assert_eq!(distinct(parts, |part| part.0), [("b", 2), ("a", 3)]);
    }

    #[test]
    fn type_and_object_choose_together() {
        let kind = |event_type, object| find(event_type, Some(object)).map(|handler| handler.kind);
        assert_eq!(kind("charge.refunded", "charge"), Some(Kind::Charge));
        assert_eq!(kind("charge.refund.updated", "refund"), Some(Kind::Refund));
        assert_eq!(kind("charge.dispute.closed", "dispute"), Some(Kind::Dispute));
        assert_eq!(kind("customer.updated", "customer"), Some(Kind::Customer));
        assert_eq!(
            kind("customer.subscription.updated", "subscription"),
            Some(Kind::Subscription)
        );
        assert_eq!(
            kind("customer.subscription.past_due", "subscription"),
            Some(Kind::Subscription)
        );
        assert_eq!(kind("customer.source.created", "card"), None);
        assert_eq!(kind("customer.tax_id.created", "customer"), None);
        assert_eq!(kind("galactic.teleport.completed", "galactic.teleport"), None);
        assert_eq!(find("invoice.paid", None).map(|handler| handler.kind), None);
    }
}
