//! Events and requests full of canaries: good ones, broken ones, hostile ones.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use worker::handlers::HANDLERS;

use super::words::{CARD, CLIENT_SECRET, EMAIL, FINGERPRINT, JWT_SECRET, LAST4, NAME, NOTE, PHONE, STREET};
use crate::support::event;

/// Everything personal or secret that objects of Stripe's carry, wherever they carry it.
fn person() -> Map<String, Value> {
    let address = json!({"line1": STREET, "line2": NOTE, "city": NOTE, "postal_code": NOTE, "country": "DE"});
    let details = json!({"email": EMAIL, "name": NAME, "phone": PHONE, "address": address});
    let card = json!({"brand": "visa", "last4": LAST4, "fingerprint": FINGERPRINT, "number": CARD,
                      "exp_month": 1, "exp_year": 2030});
    let members = json!({
        "email": EMAIL, "receipt_email": EMAIL, "customer_email": EMAIL, "name": NAME, "customer_name": NAME,
        "phone": PHONE, "customer_phone": PHONE, "address": address, "customer_address": address,
        "shipping": details, "customer_shipping": details, "billing_details": details, "customer_details": details,
        "payment_method_details": {"type": "card", "card": card}, "card": card, "description": NOTE,
        "statement_descriptor": NOTE, "client_secret": CLIENT_SECRET, "metadata": {"note": NOTE, "user_id": EMAIL},
        "last_payment_error": {"message": NOTE, "payment_method": {"card": card}},
        "hosted_invoice_url": format!("https://pay.example/{CLIENT_SECRET}"), "evidence": details,
    });
    members.as_object().expect("an object").clone()
}

/// An object that its handler can read.
fn whole(kind: &str, number: usize) -> Map<String, Value> {
    let mut object = person();
    let (id, customer) = (format!("{kind}_{number}"), format!("cus_canary_{number}"));
    let own = json!({
        "id": id, "object": kind, "customer": customer, "created": 1_800_000_000, "livemode": false,
        "amount": 100, "amount_paid": 100, "amount_due": 100, "amount_total": 100, "amount_refunded": 0,
        "currency": "usd", "status": "succeeded", "paid": true, "charge": "ch_1", "payment_intent": "pi_1",
        "invoice": "in_1", "product": "prod_1", "unit_amount": 100, "active": true, "mode": "payment",
        "payment_status": "paid", "items": {"data": []}, "lines": {"data": []}, "entitlements": {"data": []},
        "reason": "fraudulent", "payment": {"type": "payment_intent", "payment_intent": "pi_1"},
    });
    object.extend(own.as_object().expect("an object").clone());
    object
}

/// For each kind: a whole one; one where everything is a canary; and for each member one where it is.
pub fn events() -> Vec<Bytes> {
    let mut bodies = Vec::new();
    for handler in HANDLERS {
        let kind = handler.kind.as_str();
        let event_type = match handler.types[0].strip_suffix('.') {
            Some(family) => format!("{family}.updated"),
            None => handler.types[0].to_owned(),
        };
        let mut add = |object: Map<String, Value>| {
            let id = format!("evt_canary_{}", bodies.len());
            bodies.push(event(&id, &event_type, 1_800_000_000, &Value::Object(object)));
        };
        add(whole(kind, 0));
        let members: Vec<String> = whole(kind, 0).keys().cloned().collect();
        // Ids are told: they are how things are found.
        let named = ["object", "id", "customer", handler.id];
        let members = members.iter().filter(|it| !named.contains(&it.as_str()));
        for (number, member) in members.enumerate() {
            for value in [json!(EMAIL), json!([NAME])] {
                let mut object = whole(kind, number + 1);
                object.insert(member.clone(), value);
                add(object);
            }
        }
    }
    bodies
}

/// Bodies that are no event; signed or not.
pub fn no_events() -> Vec<Bytes> {
    let texts = [
        format!("email={EMAIL}&name={NAME}"),
        format!(r#"{{"email": "{EMAIL}""#),
        json!({"id": EMAIL, "object": NAME, "type": NOTE}).to_string(),
        json!({"id": "evt_1", "object": "event", "type": "a.b", "created": EMAIL, "data": {"object": {}}})
            .to_string(),
        json!({"id": "evt_1", "object": "event", "type": 5, "created": 1, "data": EMAIL}).to_string(),
        json!({"id": "evt_1", "object": "event", "type": "a", "created": 1, "account": [EMAIL],
               "data": {"object": {}}})
        .to_string(),
    ];
    texts.into_iter().map(Bytes::from).collect()
}

/// What somebody may have put into a stream of the queue, as fields.
pub fn strangers() -> Vec<Vec<(&'static str, String)>> {
    let body = || ("body", format!(r#"{{"email": "{EMAIL}"}}"#));
    let meta = |meta: Value| ("meta", meta.to_string());
    let version = || ("v", "1".to_owned());
    vec![
        vec![("email", EMAIL.to_owned())],
        vec![("v", EMAIL.to_owned()), meta(json!({})), body()],
        vec![version(), ("meta", format!("{NAME} <{EMAIL}>")), body()],
        vec![version(), meta(json!({"id": [EMAIL]})), body()],
        vec![
            version(),
            meta(json!({"id": "evt_s", "type": "a", "created": EMAIL})),
            body(),
        ],
        vec![
            version(),
            meta(
                json!({"id": "evt_s", "type": "a", "created": 1, "livemode": false, "endpoint": "default",
                        "received_at_ms": 1, "rendering": EMAIL}),
            ),
            body(),
        ],
    ]
}

/// Bodies for the API: every member a canary, of each type, and some that are not JSON.
pub fn requests(known: Option<&Value>) -> Vec<String> {
    let mut bodies = vec![
        format!("email={EMAIL}"),
        format!(r#"{{"email": "{EMAIL}""#),
        json!(EMAIL).to_string(),
        json!({EMAIL: JWT_SECRET}).to_string(),
    ];
    let Some(Value::Object(members)) = known else {
        return bodies;
    };
    bodies.push(Value::Object(members.clone()).to_string());
    for name in members.keys() {
        for value in [json!(EMAIL), json!([NAME]), json!({EMAIL: 1}), json!(-1)] {
            let mut changed = members.clone();
            changed.insert(name.clone(), value);
            bodies.push(Value::Object(changed).to_string());
        }
    }
    bodies
}
