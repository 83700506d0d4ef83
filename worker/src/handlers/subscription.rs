//! `customer.subscription.*`: subscriptions and their items.

use domain::objects::{Subscription, SubscriptionItem};
use domain::{Kind, Object};

use super::terms::terms_of;
use super::{Handler, distinct};
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::Subscription,
    types: &["customer.subscription."],
    id: "id",
    needed: &[
        "status",
        "customer.",
        "ended_at",
        "metadata",
        "metadata.user_id",
        "items",
        "items.data",
        "items.data.price",
        "items.data.price.id",
    ],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    let items = view
        .list("items")?
        .iter()
        .map(item)
        .collect::<Result<Vec<_>, _>>()?;
    let items = distinct(items, |part| &part.id);
    let metadata = view.object("metadata")?;
    Ok(Object::Subscription(Box::new(Subscription {
        created: view.time("created")?,
        customer_id: view.id("customer")?,
        user_id: metadata.text("user_id")?,
        status: view.text("status")?,
        currency: view.text("currency")?,
        collection_method: view.text("collection_method")?,
        // On the subscription until 2025-03-31.basil, on each item since.
        current_period_start: view
            .time("current_period_start")?
            .or(items.iter().filter_map(|item| item.current_period_start).min()),
        current_period_end: view
            .time("current_period_end")?
            .or(items.iter().filter_map(|item| item.current_period_end).max()),
        cancel_at_period_end: view.is("cancel_at_period_end")?,
        cancel_at: view.time("cancel_at")?,
        canceled_at: view.time("canceled_at")?,
        ended_at: view.time("ended_at")?,
        cancellation_reason: view.object("cancellation_details")?.text("reason")?,
        trial_start: view.time("trial_start")?,
        trial_end: view.time("trial_end")?,
        start_date: view.time("start_date")?,
        latest_invoice_id: view.id("latest_invoice")?,
        metadata: view.metadata()?,
        items_complete: !view.object("items")?.is("has_more")?,
        items,
    })))
}

fn item(view: &View<'_>) -> Result<SubscriptionItem, ReadError> {
    Ok(SubscriptionItem {
        id: view.own_id()?,
        price_id: view.id("price")?.or(view.id("plan")?),
        product_id: match view.id("price")? {
            Some(_) if is_expanded(view, "price") => view.object("price")?.id("product")?,
            _ if is_expanded(view, "plan") => view.object("plan")?.id("product")?,
            _ => None,
        },
        terms: terms_of(view, &["price", "plan"]),
        quantity: view.integer("quantity")?,
        current_period_start: view.time("current_period_start")?,
        current_period_end: view.time("current_period_end")?,
    })
}

fn is_expanded(view: &View<'_>, name: &str) -> bool {
    view.object(name).is_ok_and(|object| object.has("id"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn subscription(value: &Value) -> Subscription {
        let value = value.into();
        match read(&View::new(&value, HANDLER.needed).expect("an object")).expect("readable") {
            Object::Subscription(subscription) => *subscription,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn period_before_and_since_basil() {
        let old = json!({"current_period_start": 10, "current_period_end": 20, "items": {"data": [{"id": "si_1"}]}});
        let new = json!({"items": {"data": [
            {"id": "si_1", "current_period_start": 10, "current_period_end": 15},
            {"id": "si_2", "current_period_start": 12, "current_period_end": 20},
        ]}});
        for value in [old, new] {
            let subscription = subscription(&value);
            assert_eq!(subscription.current_period_start, Some(10));
            assert_eq!(subscription.current_period_end, Some(20));
        }
    }

    #[test]
    fn item_price_by_id_or_expanded_or_as_plan() {
        let price = json!({"id": "price_1", "product": {"id": "prod_1"}});
        let cases = [
            (json!({"id": "si_1", "price": price}), Some("prod_1")),
            (json!({"id": "si_1", "price": "price_1"}), None),
            (
                json!({"id": "si_1", "plan": {"id": "price_1", "product": "prod_1"}}),
                Some("prod_1"),
            ),
        ];
        for (value, product) in cases {
            let read = subscription(&json!({"items": {"data": [value]}})).items.remove(0);
            assert_eq!(read.price_id.as_deref(), Some("price_1"));
            assert_eq!(read.product_id.as_deref(), product);
        }
    }

    #[test]
    fn a_second_page_means_that_items_are_incomplete() {
        assert!(subscription(&json!({"items": {"data": []}})).items_complete);
        assert!(!subscription(&json!({"items": {"data": [], "has_more": true}})).items_complete);
    }
}
