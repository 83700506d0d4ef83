//! `/simulator/...`: what Stripe does not have, and a test needs. Forms in, JSON out, no key. Objects are those of
//! the platform, not of connected accounts.
//!
//! | request | does |
//! |---|---|
//! | `POST clock` with `advance` (seconds) or `to` (unix seconds) | lets time pass, and what is due in it happen |
//! | `POST payments` with `decline` (a number) | the next so many payments are declined |
//! | `POST webhooks` with `hold` | withholds events from now on, or sends those that were withheld |
//! | `POST webhooks` with `lose` (0.0 to 1.0), and `seed` | that share of events is answered by somebody else, and does not arrive |
//! | `GET webhooks` | how many events are withheld, and which were lost |
//! | `POST events/forget` | all events so far are gone, as those older than 30 days are |
//! | `POST disputes` with `payment_intent`, and `amount` or `inquiry` | the bank disputes a payment |
//! | `POST disputes/:id` with `status` | the bank decides: `won`, `lost` or `warning_closed` |
//! | `POST refunds/:id/fail` | the bank could not deliver a refund |
//! | `POST payment_intents/:id/authenticate` | the customer has shown up at the bank, or (`fail`) has not |
//! | `POST faults` | requests fail as [`super::Faults`] says; times in milliseconds |
//! | `GET counts` | how many objects there are of each kind, and how many were made under each idempotency key |

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::{
    Faults, Inner,
    errors::Reply,
    form::{Form, Part, Read},
    locked,
    server::Call,
};
use crate::{
    objects::{charge::Charge, dispute::Dispute, payment_intent::PaymentIntent, refund::Refund},
    query::Query,
    shop::{Clerk, Shop, Who},
};

pub(super) const PREFIX: &str = "/simulator/";

const OUTCOMES: [(&str, &str); 3] = [
    ("lost", "lost"),
    ("warning_closed", "warning_closed"),
    ("won", "won"),
];

/// Does what is asked for.
pub(super) fn answer(inner: &Inner, call: &Call) -> Reply {
    let text = format!("{}&{}", call.query, String::from_utf8_lossy(&call.body));
    let form = Form::new(Query::parse(&text));
    let asked = call.path.strip_prefix(PREFIX).unwrap_or_default();
    let words: Vec<&str> = asked.split('/').collect();
    let done = act(inner, &call.method, &words, &form.root());
    let done = done.and_then(|value| form.finish().map(|()| value));
    match done {
        Ok(Some(value)) => Reply::ok(&value),
        Ok(None) => *Reply::unrecognized(call.method.as_str(), &call.path),
        Err(refusal) => *refusal,
    }
}

/// None when there is no such thing to do.
fn act(inner: &Inner, method: &Method, words: &[&str], form: &Part<'_>) -> Read<Option<Value>> {
    let shop = &mut *locked(&inner.shop);
    let done = match (method.as_str(), words) {
        ("GET", ["counts"]) => counts(shop),
        ("GET", ["clock"]) => json!({"now": shop.now()}),
        ("POST", ["clock"]) => clock(shop, form)?,
        ("POST", ["payments"]) => {
            let declined = form.at_least("decline", 0)?.unwrap_or(0);
            shop.decline_next(u32::try_from(declined).unwrap_or(u32::MAX));
            json!({"decline": declined})
        }
        ("POST", ["webhooks"]) => {
            if let Some(hold) = form.boolean("hold")? {
                shop.hold_webhooks(hold);
            }
            if let Some(lose) = form.text("lose")? {
                shop.lose_webhooks(share("lose", lose)?, seed(form)?);
            }
            json!({"held": shop.post.held()})
        }
        ("GET", ["webhooks"]) => json!({"held": shop.post.held(), "lost": shop.lost_webhooks()}),
        ("POST", ["events", "forget"]) => {
            shop.forget_events();
            json!({})
        }
        ("POST", ["disputes"]) => dispute(shop, form)?,
        ("POST", ["disputes", id]) => decide(shop, id, form)?,
        ("POST", ["refunds", id, "fail"]) => fail_refund(shop, id)?,
        ("POST", ["payment_intents", id, "authenticate"]) => authenticate(shop, id, form)?,
        ("POST", ["faults"]) => {
            inner.set_faults(faults(form)?);
            json!({})
        }
        _ => return Ok(None),
    };
    Ok(Some(done))
}

fn counts(shop: &Shop) -> Value {
    json!({"objects": shop.model.counts(), "by_key": shop.tally.by_key})
}

fn clock(shop: &mut Shop, form: &Part<'_>) -> Read<Value> {
    let advance = form.at_least("advance", 0)?;
    let to = form.integer("to")?.map(|to| to - shop.now());
    let seconds = advance
        .or(to)
        .ok_or_else(|| Reply::missing_parameter("advance"))?;
    shop.advance(seconds);
    Ok(json!({"now": shop.now()}))
}

fn clerk(shop: &mut Shop) -> Clerk<'_> {
    Clerk::now(shop, Who::default())
}

fn dispute(shop: &mut Shop, form: &Part<'_>) -> Read<Value> {
    let id = form.needed("payment_intent")?;
    let (amount, inquiry) = (
        form.at_least("amount", 1)?,
        form.boolean("inquiry")?.unwrap_or(false),
    );
    let mut clerk = clerk(shop);
    let intent: Option<PaymentIntent> = clerk.get(id);
    let charge = intent.and_then(|intent| clerk.get::<Charge>(intent.latest_charge.as_deref()?));
    let charge = charge.filter(|charge| charge.status == "succeeded" && !charge.disputed);
    let mut charge = charge.ok_or_else(|| Reply::missing("payment_intent", id))?;
    let amount = amount.unwrap_or(charge.amount).min(charge.amount);
    let customer = clerk.customer(charge.customer.as_deref());
    let dispute = clerk.play(customer, |history| {
        history.open_dispute(&mut charge, amount, inquiry)
    });
    Ok(dispute.json(clerk.shop.version()))
}

fn decide(shop: &mut Shop, id: &str, form: &Part<'_>) -> Read<Value> {
    let status = form.word("status", &OUTCOMES)?;
    let status = status.ok_or_else(|| Reply::missing_parameter("status"))?;
    let mut clerk = clerk(shop);
    let dispute: Option<Dispute> = clerk.get(id);
    let mut dispute = dispute.ok_or_else(|| Reply::missing("dispute", id))?;
    let customer = clerk.customer(dispute.charge.customer.as_deref());
    clerk.play(customer, |history| history.close_dispute(&mut dispute, status));
    Ok(dispute.json(clerk.shop.version()))
}

fn fail_refund(shop: &mut Shop, id: &str) -> Read<Value> {
    let mut clerk = clerk(shop);
    let refund: Option<Refund> = clerk.get(id);
    let mut refund = refund
        .filter(|refund| refund.status != "failed")
        .ok_or_else(|| Reply::missing("refund", id))?;
    let charge: Option<Charge> = clerk.get(&refund.charge.id);
    let mut charge = charge.ok_or_else(|| Reply::missing("charge", &refund.charge.id))?;
    let customer = clerk.customer(charge.customer.as_deref());
    clerk.play(customer, |history| history.fail_refund(&mut charge, &mut refund));
    Ok(refund.json(clerk.shop.version()))
}

fn authenticate(shop: &mut Shop, id: &str, form: &Part<'_>) -> Read<Value> {
    let fails = form.boolean("fail")?.unwrap_or(false);
    let mut clerk = clerk(shop);
    let intent: Option<PaymentIntent> = clerk.get(id);
    let mut intent = intent
        .filter(|intent| intent.status == "requires_action")
        .ok_or_else(|| Reply::missing("payment_intent", id))?;
    let customer = clerk.customer(intent.customer.as_deref());
    clerk.play(customer, |history| history.charge_card(&mut intent, fails));
    Ok(intent.json(clerk.shop.version()))
}

fn share(key: &str, text: &str) -> Read<f64> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| Reply::bad_parameter(key, "A share is a number from 0 to 1."))
}

fn seed(form: &Part<'_>) -> Read<u64> {
    Ok(u64::try_from(form.integer("seed")?.unwrap_or(0)).unwrap_or(0))
}

fn faults(form: &Part<'_>) -> Read<Faults> {
    let share = |key: &str| -> Read<f64> { share(key, form.text(key)?.unwrap_or("0")) };
    let count = |key: &str| -> Read<usize> {
        let count = form.at_least(key, 0)?.unwrap_or(0);
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    };
    let millis = |key: &str| -> Read<Duration> {
        let millis = form.at_least(key, 0)?.unwrap_or(0);
        Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
    };
    let statuses = form.texts("statuses");
    let statuses: Vec<u16> = statuses
        .into_iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    let usual = Faults::default();
    Ok(Faults {
        on: form.text("on")?.map(str::to_owned),
        errors: share("errors")?,
        statuses: if statuses.is_empty() {
            usual.statuses
        } else {
            statuses
        },
        first: count("first")?,
        late: share("late")?,
        late_first: count("late_first")?,
        lost: share("lost")?,
        lost_first: count("lost_first")?,
        latency: (millis("latency_min")?, millis("latency_max")?),
        seed: seed(form)?,
    })
}
