//! Events that are set aside: three types that Postgres refuses until it is mended, and one in twenty that nobody can read.

use bytes::Bytes;
use serde_json::{Value, json};

/// All ids contain it, so that copies can have others.
pub(super) const MARK: &str = "dead0000";
/// Tables that refuse them.
pub(super) const TABLES: [&str; 3] = ["customers", "products", "charges"];
/// What is said of those that Postgres refuses.
pub(super) const REFUSED: &str = "rejected_by_database";
/// The type of most.
pub(super) const TYPE: &str = "customer.updated";
/// Events that follow each other and are about one customer.
const OF_CUSTOMER: usize = 20;

/// So many events. The first of each twenty stays what it is however often it is run again.
pub(super) fn bodies(count: usize) -> Vec<Bytes> {
    (0..count).map(body).collect()
}

/// Whether nobody can read it.
pub(super) fn is_unreadable(number: usize) -> bool {
    number.is_multiple_of(OF_CUSTOMER)
}

/// The customer of the first events.
pub(super) fn customer(number: usize) -> String {
    format!("cus_{MARK}_{}", number / OF_CUSTOMER)
}

fn body(number: usize) -> Bytes {
    let created = 1_793_000_000 + i64::try_from(number).unwrap_or(0);
    let (event_type, object) = match number % OF_CUSTOMER {
        _ if is_unreadable(number) => ("charge.failed", charge(number, &json!("ten"))),
        1..10 => (
            TYPE,
            json!({"id": customer(number), "object": "customer", "email": format!("{number}@example.com")}),
        ),
        10..15 => (
            "product.updated",
            json!({"id": format!("prod_{MARK}_{number}"), "object": "product", "name": "Plan", "active": true}),
        ),
        _ => ("charge.failed", charge(number, &json!(500))),
    };
    let event = json!({
        "id": format!("evt_{MARK}_{number}"), "object": "event", "type": event_type, "created": created,
        "livemode": false, "api_version": "2026-10-28.endive", "data": {"object": object},
    });
    Bytes::from(event.to_string())
}

fn charge(number: usize, amount: &Value) -> Value {
    json!({
        "id": format!("ch_{MARK}_{number}"), "object": "charge", "amount": amount, "currency": "usd",
        "status": "failed", "customer": customer(number),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_twenty_cannot_be_read() {
        let bodies = bodies(40);
        let unreadable = bodies.iter().filter(|body| {
            let body: Value = serde_json::from_slice(body).expect("JSON");
            body["data"]["object"]["amount"] == "ten"
        });
        assert_eq!(unreadable.count(), 2);
        assert_eq!((0..40).filter(|number| is_unreadable(*number)).count(), 2);
    }
}
