//! What is asked for with GET.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{
    Inner,
    caller::Caller,
    errors::Reply,
    events,
    expand::expand,
    form::Read,
    list, locked,
    route::{Listed, Route, Target},
    search,
    server::Call,
};
use crate::{
    objects::checkout::Session,
    query::Query,
    shop::{Model, Shop},
};

/// Answers a GET request of `caller`.
pub(super) fn answer(inner: &Inner, route: &Route<'_>, caller: &Caller<'_>, call: &Call) -> Read<Reply> {
    let query = Query::parse(&call.query);
    let shop = locked(&inner.shop);
    let model = &shop.model;
    match route.target {
        Target::Object(object, id) => {
            let found = model.object(caller.account, object, id, caller.version);
            let mut found = found.ok_or_else(|| Reply::missing(object, id))?;
            expand(model, caller, &query.list("expand"), &mut found)?;
            Ok(Reply::ok(&found))
        }
        Target::Account => {
            let id = caller.account.unwrap_or(model.platform());
            Ok(Reply::ok(&json!({"id": id, "object": "account"})))
        }
        Target::Event(id) => event(model, caller, id, false),
        Target::ThinEvent(id) => event(model, caller, id, true),
        Target::Events => events::list(model, caller.account, &query),
        Target::InvoicePayments => {
            let rows = invoice_payments(model, caller.account, &query)?;
            list::page(&rows, "invoice_payment", "/v1/invoice_payments", &query)
        }
        Target::Lines(id) => {
            let lines = model.invoice_lines(caller.account, id, caller.version);
            let lines = lines.ok_or_else(|| Reply::missing("invoice", id))?;
            list::page(&lines, "line_item", &call.path, &query)
        }
        Target::Cart(id) => {
            let rows = cart(&shop, caller, id).ok_or_else(|| Reply::missing("checkout.session", id))?;
            list::page(&rows, "item", &call.path, &query)
        }
        Target::List(listed) => {
            let rows = rows(model, caller, listed, &query)?;
            list::page(&rows, listed.object, &call.path, &query)
        }
        Target::Search => search::customers(model, caller, &query),
    }
}

/// Answers in a mode in which nothing exists.
pub(super) fn nothing(inner: &Inner, route: &Route<'_>, call: &Call) -> Read<Reply> {
    let query = Query::parse(&call.query);
    match route.target {
        Target::Object(object, id) => match locked(&inner.shop).model.object(None, object, id, None) {
            Some(_) => Err(Reply::other_mode(object, id)),
            None => Err(Reply::missing(object, id)),
        },
        // An account has both modes.
        Target::Account => {
            let shop = locked(&inner.shop);
            Ok(Reply::ok(
                &json!({"id": shop.model.platform(), "object": "account"}),
            ))
        }
        Target::Event(id) | Target::ThinEvent(id) => Err(Reply::missing("event", id)),
        Target::Lines(id) => Err(Reply::missing("invoice", id)),
        Target::Cart(id) => Err(Reply::missing("checkout.session", id)),
        Target::Events | Target::InvoicePayments | Target::List(_) | Target::Search => {
            list::page(&[], "object", &call.path, &query)
        }
    }
}

fn event(model: &Model, caller: &Caller<'_>, id: &str, thin: bool) -> Read<Reply> {
    let found = model.event(caller.account, id);
    let found = found.filter(|event| event.is_thin() == thin);
    found
        .map(|event| Reply::raw(model.body_of(event)))
        .ok_or_else(|| Reply::missing("event", id))
}

/// The rows of a list that the query wants, the newest first.
fn rows(model: &Model, caller: &Caller<'_>, listed: &Listed, query: &Query) -> Read<Vec<Value>> {
    let (first, last) = events::created(query)?;
    let mut rows = model.all(caller.account, listed.object, caller.version);
    rows.retain(|row| {
        let created = row["created"].as_i64().unwrap_or(i64::MIN);
        row["deleted"] != true && (first..=last).contains(&created)
    });
    for filter in listed.filters {
        match (query.get(filter), *filter) {
            (Some("all"), "status") => {}
            (Some("ended"), "status") => rows.retain(has_ended),
            (Some(wanted), _) => rows.retain(|row| is(member(row, filter), wanted)),
            (None, "status") if listed.object == "subscription" => {
                rows.retain(|row| row["status"] != "canceled")
            }
            (None, "lookup_keys") => among(&mut rows, "lookup_key", &query.list(filter)),
            (None, "ids") => among(&mut rows, "id", &query.list(filter)),
            (None, _) => {}
        }
    }
    let mut expanded = query.list("expand");
    for path in &mut expanded {
        *path = path.strip_prefix("data.").unwrap_or(path);
    }
    for row in &mut rows {
        expand(model, caller, &expanded, row)?;
    }
    Ok(rows)
}

fn among(rows: &mut Vec<Value>, name: &str, wanted: &[&str]) {
    if !wanted.is_empty() {
        rows.retain(|row| wanted.iter().any(|wanted| row[name] == *wanted));
    }
}

fn has_ended(row: &Value) -> bool {
    row["status"] == "canceled" || row["status"] == "incomplete_expired"
}

/// A member where either version has it.
fn member<'a>(row: &'a Value, name: &str) -> &'a Value {
    match (row["object"].as_str(), name) {
        (Some("invoice"), "subscription") if row["subscription"].is_null() => {
            &row["parent"]["subscription_details"]["subscription"]
        }
        (Some("subscription"), "price") => &row["items"]["data"][0]["price"]["id"],
        _ => &row[name],
    }
}

fn is(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Bool(truth) => truth.to_string() == wanted,
        _ => false,
    }
}

/// What paid an invoice, or what an intent paid.
fn invoice_payments(model: &Model, account: Option<&str>, query: &Query) -> Read<Vec<Value>> {
    let invoice = query.get("invoice");
    let intent = query.get("payment[payment_intent]");
    if let Some(id) = invoice.filter(|id| model.object(account, "invoice", id, None).is_none()) {
        return Err(Reply::no_such(StatusCode::BAD_REQUEST, "invoice", id, "invoice"));
    }
    if query
        .get("payment[type]")
        .is_some_and(|kind| kind != "payment_intent")
    {
        return Ok(Vec::new());
    }
    let Some(first) = invoice.or(intent) else {
        let message = "We list what paid one invoice, or what one payment intent paid.";
        return Err(Reply::bad_parameter("invoice", message));
    };
    let found = model.payments_of(account, first);
    let both = found.filter(|it| intent.is_none_or(|id| it.intent == id));
    Ok(both.map(|it| it.json()).collect())
}

/// What a Checkout session sells.
fn cart(shop: &Shop, caller: &Caller<'_>, id: &str) -> Option<Vec<Value>> {
    let account = caller.account.unwrap_or_default();
    let session = shop.model.get::<Session>(account, id)?;
    let version = caller.version.unwrap_or(shop.version());
    let line = |(position, (price, quantity)): (usize, &(crate::objects::catalogue::Price, i64))| {
        let amount = price.unit_amount * quantity;
        json!({
            "id": format!("li_{position}{}", session.id), "object": "item", "amount_discount": 0,
            "amount_subtotal": amount, "amount_tax": 0, "amount_total": amount, "currency": price.currency,
            "description": price.name, "price": price.json(version), "quantity": quantity
        })
    };
    Some(session.cart.lines.iter().enumerate().map(line).collect())
}
