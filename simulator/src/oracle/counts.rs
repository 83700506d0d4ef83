//! How many events there were, in the words of the recorded scenarios' `expected`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::event::Event;

/// The types about objects that [`super::Truth`] tells of, or that link them. The catalogue and entitlements are
/// counted as not applied, like what nobody projects.
const TOLD: [&str; 7] = [
    "charge.",
    "checkout.session.",
    "customer.",
    "invoice.",
    "invoice_payment.",
    "payment_intent.",
    "refund.",
];

/// `deliveries`, `distinct` events among them, and those of them that are about nothing a truth tells:
/// `not_applied`.
pub(super) fn counts<'a>(deliveries: impl IntoIterator<Item = &'a Event>) -> Value {
    let mut count = 0;
    let mut events: BTreeMap<&str, &Event> = BTreeMap::new();
    for event in deliveries {
        count += 1;
        events.insert(&event.id, event);
    }
    let not_applied = events.values().filter(|event| !is_told(event)).count();
    json!({"deliveries": count, "distinct": events.len(), "not_applied": not_applied})
}

/// Thin events show nothing, a connected account's are about somebody else's objects, and what has no id
/// (`invoice.upcoming`) is only a preview.
fn is_told(event: &Event) -> bool {
    let told = TOLD.iter().any(|prefix| event.kind.starts_with(prefix));
    told && !event.is_thin() && event.account.is_none() && event.object_id.is_some()
}
