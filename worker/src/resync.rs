//! What to ask Stripe for one customer anew, and what answers raise: pure. The loop that asks is `refetcher`.
//!
//! A question is for an object by its id, or for all objects of a kind that a parent has: `customer/cus_1`. Ids of
//! Stripe have no slash.

use domain::{Kind, ObjectKey};
use serde::Deserialize;
use stripe_api::Parent;

/// Everything Stripe lists by customer. Refunds and disputes are listed by charge: see [`raised`].
const OF_CUSTOMER: [Kind; 5] = [
    Kind::Subscription,
    Kind::Invoice,
    Kind::PaymentIntent,
    Kind::Charge,
    Kind::CheckoutSession,
];
const CUSTOMER: &str = "customer/";
const CHARGE: &str = "charge/";

/// The first questions about a customer.
#[must_use]
pub fn questions(account: &str, customer: &str) -> Vec<ObjectKey> {
    let key = |kind, id| ObjectKey {
        account: account.to_owned(),
        kind,
        id,
    };
    let all = OF_CUSTOMER.map(|kind| key(kind, format!("{CUSTOMER}{customer}")));
    let itself = key(Kind::Customer, customer.to_owned());
    [itself].into_iter().chain(all).collect()
}

/// Whose objects a question is about, when it is about all of somebody's.
#[must_use]
pub fn parent(id: &str) -> Option<Parent> {
    let customer = id
        .strip_prefix(CUSTOMER)
        .map(|id| Parent::Customer(id.to_owned()));
    customer.or_else(|| id.strip_prefix(CHARGE).map(|id| Parent::Charge(id.to_owned())))
}

/// What objects that Stripe showed make us ask next: what came back of a charge, and what a payment paid.
#[must_use]
pub fn raised<'a>(account: &str, bodies: impl IntoIterator<Item = &'a [u8]>) -> Vec<ObjectKey> {
    bodies
        .into_iter()
        .flat_map(|body| of_object(account, body))
        .collect()
}

fn of_object(account: &str, body: &[u8]) -> Vec<ObjectKey> {
    #[derive(Deserialize)]
    struct Head {
        id: String,
        object: String,
        status: Option<String>,
        #[serde(default)]
        amount_refunded: i64,
        #[serde(default)]
        disputed: bool,
    }
    let Ok(head) = serde_json::from_slice::<Head>(body) else {
        return Vec::new();
    };
    let key = |kind, id| ObjectKey {
        account: account.to_owned(),
        kind,
        id,
    };
    let mut keys = Vec::new();
    match head.object.as_str() {
        "charge" => {
            if head.amount_refunded > 0 {
                keys.push(key(Kind::Refund, format!("{CHARGE}{}", head.id)));
            }
            if head.disputed {
                keys.push(key(Kind::Dispute, format!("{CHARGE}{}", head.id)));
            }
        }
        "payment_intent" if head.status.as_deref() == Some("succeeded") => {
            keys.push(key(Kind::InvoicePayment, head.id));
        }
        _ => {}
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_asked_for_by_itself_and_by_all_it_has() {
        let keys = questions("", "cus_1");
        assert_eq!((keys[0].kind, keys[0].id.as_str()), (Kind::Customer, "cus_1"));
        assert_eq!(parent(&keys[0].id), None);
        for key in &keys[1..] {
            assert_eq!(
                parent(&key.id),
                Some(Parent::Customer("cus_1".to_owned())),
                "{key:?}"
            );
        }
        assert_eq!(parent("pi_1"), None);
    }

    #[test]
    fn what_came_back_is_asked_for_where_something_did() {
        let ask = |body: &str| {
            let keys = raised("", [body.as_bytes()]);
            keys.into_iter().map(|key| (key.kind, key.id)).collect::<Vec<_>>()
        };
        let charge = |refunded: i64, disputed: bool| {
            ask(&format!(
                r#"{{"id":"ch_1","object":"charge","status":"succeeded","amount_refunded":{refunded},"disputed":{disputed}}}"#
            ))
        };
        assert_eq!(charge(0, false), []);
        assert_eq!(charge(5, false), [(Kind::Refund, "charge/ch_1".to_owned())]);
        assert_eq!(charge(0, true), [(Kind::Dispute, "charge/ch_1".to_owned())]);
        let payment = r#"{"id":"pi_1","object":"payment_intent","status":"succeeded"}"#;
        assert_eq!(ask(payment), [(Kind::InvoicePayment, "pi_1".to_owned())]);
        assert_eq!(
            ask(r#"{"id":"pi_1","object":"payment_intent","status":"canceled"}"#),
            []
        );
        assert_eq!(ask("[]"), []);
    }
}
