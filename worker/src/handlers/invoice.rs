//! `invoice.*`: invoices and their lines.

use domain::objects::{Invoice, InvoiceLine};
use domain::{Kind, Object};

use super::terms::terms_of;
use super::{Handler, distinct};
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::Invoice,
    types: &["invoice."],
    id: "id",
    needed: &[
        "status",
        "billing_reason",
        "amount_paid",
        "customer.",
        "subscription.",
        "subscription_details",
        "subscription_details.metadata",
        "subscription_details.metadata.user_id",
        "parent",
        "parent.subscription_details",
        "parent.subscription_details.subscription.",
        "parent.subscription_details.metadata",
        "parent.subscription_details.metadata.user_id",
        "payment_intent.",
        "charge.",
        "metadata",
        "lines",
        "lines.data",
        "lines.has_more",
        "lines.data.amount",
        "lines.data.quantity",
        "lines.data.proration",
        "lines.data.price.id",
        "lines.data.price",
        "lines.data.pricing",
        "lines.data.pricing.price_details",
        "lines.data.pricing.price_details.price",
        "lines.data.pricing.price_details.price.id",
        "lines.data.parent",
        "lines.data.parent.subscription_item_details",
        "lines.data.parent.subscription_item_details.proration",
        "lines.data.parent.invoice_item_details",
        "lines.data.parent.invoice_item_details.proration",
    ],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    let lines = view
        .list("lines")?
        .iter()
        .map(line)
        .collect::<Result<Vec<_>, _>>()?;
    let lines = distinct(lines, |part| &part.id);
    let details = subscription_details(view)?;
    let payment = default_payment(view)?;
    Ok(Object::Invoice(Box::new(Invoice {
        created: view.time("created")?,
        customer_id: view.id("customer")?,
        subscription_id: if view.has("subscription") {
            view.id("subscription")?
        } else {
            details.id("subscription")?
        },
        user_id: details
            .object("metadata")?
            .text("user_id")?
            .or(view.object("metadata")?.text("user_id")?),
        status: view.text("status")?,
        billing_reason: view.text("billing_reason")?,
        number: view.text("number")?,
        currency: view.text("currency")?,
        subtotal: view.integer("subtotal")?,
        total: view.integer("total")?,
        amount_due: view.integer("amount_due")?,
        amount_paid: view.integer("amount_paid")?,
        amount_remaining: view.integer("amount_remaining")?,
        attempt_count: view.integer("attempt_count")?,
        next_payment_attempt: view.time("next_payment_attempt")?,
        payment_intent_id: view.id("payment_intent")?.or(payment.id("payment_intent")?),
        charge_id: view.id("charge")?.or(payment.id("charge")?),
        hosted_invoice_url: view.text("hosted_invoice_url")?,
        period_start: view.time("period_start")?,
        period_end: view.time("period_end")?,
        due_date: view.time("due_date")?,
        metadata: view.metadata()?,
        lines_complete: !view.object("lines")?.is("has_more")?,
        lines,
    })))
}

/// On the invoice until 2025-03-31.basil, under `parent` since.
fn subscription_details<'a>(view: &View<'a>) -> Result<View<'a>, ReadError> {
    if view.has("subscription_details") {
        view.object("subscription_details")
    } else {
        view.object("parent")?.object("subscription_details")
    }
}

/// What pays the invoice by default, where `payments` is expanded (since 2025-03-31.basil).
fn default_payment<'a>(view: &View<'a>) -> Result<View<'a>, ReadError> {
    for payment in view.list("payments")? {
        if payment.is("is_default")? {
            return payment.object("payment");
        }
    }
    view.object("no_payment_is_expanded")
}

fn line(view: &View<'_>) -> Result<InvoiceLine, ReadError> {
    let parent = view.object("parent")?;
    let item = parent.object("subscription_item_details")?;
    let invoice_item = parent.object("invoice_item_details")?;
    let period = view.object("period")?;
    let (price_id, product_id) = price(view)?;
    Ok(InvoiceLine {
        id: view.own_id()?,
        amount: view.integer("amount")?,
        currency: view.text("currency")?,
        description: view.text("description")?,
        quantity: view.integer("quantity")?,
        price_id,
        terms: terms_of(view, &["price", "plan"]),
        product_id,
        proration: view
            .flag("proration")?
            .or(item.flag("proration")?)
            .or(invoice_item.flag("proration")?)
            .unwrap_or(false),
        subscription_id: view
            .id("subscription")?
            .or(item.id("subscription")?)
            .or(invoice_item.id("subscription")?),
        subscription_item_id: view.id("subscription_item")?.or(item.id("subscription_item")?),
        period_start: period.time("start")?,
        period_end: period.time("end")?,
    })
}

/// `price` (an object) and `plan` until 2025-03-31.basil, ids under `pricing.price_details` since.
fn price(line: &View<'_>) -> Result<(Option<String>, Option<String>), ReadError> {
    let details = line.object("pricing")?.object("price_details")?;
    let price_id = line.id("price")?.or(details.id("price")?).or(line.id("plan")?);
    let expanded = [line.object("price"), details.object("price"), line.object("plan")];
    let mut product_id = None;
    for price in expanded.into_iter().flatten() {
        product_id = product_id.or(price.id("product")?);
    }
    Ok((price_id, product_id.or(details.id("product")?)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn invoice(value: &Value) -> Invoice {
        let value = value.into();
        match read(&View::new(&value, HANDLER.needed).expect("an object")).expect("readable") {
            Object::Invoice(invoice) => *invoice,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_shapes_read_alike() {
        let old = json!({
            "subscription": "sub_1", "subscription_details": {"metadata": {"user_id": "u"}},
            "payment_intent": "pi_1", "charge": {"id": "ch_1"},
            "lines": {"data": [{"id": "il_1", "price": {"id": "price_1", "product": "prod_1"}, "proration": true,
                "subscription": "sub_1", "subscription_item": "si_1", "period": {"start": 1, "end": 2}}]},
        });
        let new = json!({
            "parent": {"subscription_details": {"subscription": {"id": "sub_1"}, "metadata": {"user_id": "u"}}},
            "payments": {"data": [
                {"is_default": false, "payment": {"payment_intent": "pi_0"}},
                {"is_default": true, "payment": {"payment_intent": "pi_1", "charge": "ch_1"}},
            ]},
            "lines": {"data": [{"id": "il_1", "pricing": {"price_details": {"price": "price_1", "product": "prod_1"}},
                "parent": {"subscription_item_details": {
                    "proration": true, "subscription": "sub_1", "subscription_item": "si_1"}},
                "period": {"start": 1, "end": 2}}]},
        });
        assert_eq!(invoice(&old), invoice(&new));
        let read = invoice(&new);
        assert_eq!(read.subscription_id.as_deref(), Some("sub_1"));
        assert_eq!(read.user_id.as_deref(), Some("u"));
        assert_eq!(read.payment_intent_id.as_deref(), Some("pi_1"));
        assert_eq!(read.lines[0].price_id.as_deref(), Some("price_1"));
        assert_eq!(read.lines[0].product_id.as_deref(), Some("prod_1"));
        assert!(read.lines[0].proration);
    }

    #[test]
    fn an_invoice_without_subscription_has_none() {
        assert_eq!(
            invoice(&json!({"subscription": null, "parent": null})).subscription_id,
            None
        );
    }

    #[test]
    fn price_expanded_in_the_current_shape() {
        let value = json!({"lines": {"data": [{"id": "il_1",
            "pricing": {"price_details": {"price": {"id": "price_1", "product": "prod_1"}}}}]}});
        let line = invoice(&value).lines.remove(0);
        assert_eq!(line.price_id.as_deref(), Some("price_1"));
        assert_eq!(line.product_id.as_deref(), Some("prod_1"));
    }
}
