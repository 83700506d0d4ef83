//! Seconds full of changes: objects that change several times within one, delivered in any order. Whoever tells
//! snapshots apart by their time alone ends with another object than who reads what each change says it follows.

use serde_json::{Value, json};
use simulator::ApiVersion;
use simulator::dice::Dice;
use simulator::event::Event;

/// Changes of one object in its second.
pub(super) const CHANGES: usize = 3;

/// The events of one subscription, in an order of their own. The last change is the one to a planned end.
pub(super) fn tie(number: usize, created: i64, dice: &mut Dice) -> Vec<Event> {
    let object = |status: &str, is_ending: bool| {
        json!({
            "id": format!("sub_tie{number}"), "object": "subscription", "customer": format!("cus_tie{number}"),
            "status": status, "cancel_at_period_end": is_ending,
            "items": {"data": [{"id": format!("si_tie{number}"), "price": "price_tie", "quantity": 1}]},
        })
    };
    let changes: [(&str, Value, Option<Value>); CHANGES] = [
        ("created", object("incomplete", false), None),
        (
            "updated",
            object("active", false),
            Some(json!({"status": "incomplete"})),
        ),
        (
            "updated",
            object("active", true),
            Some(json!({"cancel_at_period_end": false})),
        ),
    ];
    let mut events: Vec<Event> = changes
        .into_iter()
        .enumerate()
        .map(|(at, (kind, object, previous))| {
            // Ids that say nothing about the order.
            let id = format!("evt_tie{number}x{}{at}", dice.below(1_000));
            event(
                id,
                &format!("customer.subscription.{kind}"),
                created,
                object,
                previous,
            )
        })
        .collect();
    dice.shuffle(&mut events);
    events
}

fn event(id: String, kind: &str, created: i64, object: Value, previous: Option<Value>) -> Event {
    let mut data = json!({"object": object});
    if let Some(previous) = previous {
        data["previous_attributes"] = previous;
    }
    let body = json!({
        "id": id, "object": "event", "type": kind, "created": created, "livemode": false, "pending_webhooks": 1,
        "data": data,
    });
    Event {
        id,
        kind: kind.to_owned(),
        created,
        account: None,
        version: Some(ApiVersion::ALL[0]),
        object_id: data["object"]["id"].as_str().map(str::to_owned),
        body: body.to_string().into(),
    }
}
