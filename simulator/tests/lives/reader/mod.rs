//! A consumer of events that knows nothing but the events and the prices: it reads the bodies by shape,
//! finds the newest snapshot of each object by the rules for unordered deliveries, and derives credits.
//! What it comes to is compared with what the model says is true.

mod credits;
mod newest;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use credits::{debits, grants};
use newest::{Newest, Seen, newest};

/// Credits and unit amount of each price.
pub type Prices = BTreeMap<String, (i64, i64)>;

/// The final state, in the words of a scenario's `expected`; `ours` are the user's events and no others.
pub fn read<'a>(ours: impl IntoIterator<Item = &'a [u8]>, prices: &Prices) -> Value {
    let newest = newest(ours);
    let of = |kind: &str| -> Vec<&Seen> {
        let found = newest.iter().filter(|((known, _), _)| known == kind);
        found.map(|(_, seen)| seen).collect()
    };
    let links = links(&of("invoice"), &of("payment_intent"), &of("invoice_payment"));
    let grants = grants(&of("invoice"), &of("checkout.session"), prices);
    let debits = debits(&newest, &links, &grants);
    let table = |kind: &str, row: &dyn Fn(&Value) -> Value| -> Value {
        let rows = of(kind)
            .into_iter()
            .map(|seen| (text(&seen.object["id"]), row(&seen.object)));
        Value::Object(rows.collect())
    };
    let payment = |it: &Value| {
        let mut row = pick(
            it,
            &["status", "amount", "amount_received", "currency", "latest_charge"],
        );
        row["invoice"] = json!(links.get(&text(&it["id"])));
        row
    };
    let numbers = |map: &BTreeMap<String, i64>| -> Value {
        map.iter()
            .map(|(key, credits)| (key.clone(), json!(credits)))
            .collect::<Map<_, _>>()
            .into()
    };
    json!({
        "users": users(&newest, grants.values().chain(debits.values()).sum()),
        "subs": table("subscription", &subscription),
        "invoices": table("invoice", &|it| {
            let words = ["status", "billing_reason", "total", "amount_due", "amount_paid", "currency", "attempt_count"];
            let mut row = pick(it, &words);
            row["subscription"] = invoice_subscription(it);
            row
        }),
        "payments": table("payment_intent", &payment),
        "charges": table("charge", &|it| pick(it, &["status", "amount", "amount_refunded", "refunded"])),
        "refunds": table("refund", &|it| pick(it, &["status", "amount", "payment_intent", "charge"])),
        "disputes": table("dispute", &|it| pick(it, &["status", "amount", "charge"])),
        "checkout_sessions": table("checkout.session", &|it| pick(it, &["status", "payment_status", "mode"])),
        "grants": numbers(&grants),
        "debits": numbers(&debits),
    })
}

fn links(invoices: &[&Seen], intents: &[&Seen], payments: &[&Seen]) -> BTreeMap<String, String> {
    let mut links = BTreeMap::new();
    let mut link = |intent: &Value, invoice: &Value| {
        if let (Some(intent), Some(invoice)) = (intent.as_str(), invoice.as_str()) {
            links.insert(intent.to_owned(), invoice.to_owned());
        }
    };
    invoices
        .iter()
        .for_each(|it| link(&it.object["payment_intent"], &it.object["id"]));
    intents
        .iter()
        .for_each(|it| link(&it.object["id"], &it.object["invoice"]));
    payments
        .iter()
        .for_each(|it| link(&it.object["payment"]["payment_intent"], &it.object["invoice"]));
    links
}

fn users(newest: &Newest, credits: i64) -> Value {
    const ORDER: [&str; 6] = [
        "no_subscription",
        "expired",
        "canceled",
        "past_due",
        "trialing",
        "active",
    ];
    let mut user = Value::Null;
    let (mut best, mut entitled, mut email) = (0, false, Value::Null);
    for ((kind, _), Seen { object, .. }) in newest {
        match kind.as_str() {
            "subscription" => {
                let state = state(&object["status"]);
                best = best.max(ORDER.iter().position(|word| *word == state).expect("a state"));
                entitled |=
                    ["active", "trialing", "past_due"].contains(&object["status"].as_str().unwrap_or(""));
            }
            "customer" => (user, email) = (object["metadata"]["user_id"].clone(), object["email"].clone()),
            "checkout.session" if user.is_null() => user = object["client_reference_id"].clone(),
            _ => {}
        }
    }
    let Some(user) = user.as_str() else {
        return json!({});
    };
    json!({user: {"state": ORDER[best], "entitled": entitled, "credits": credits, "email": email}})
}

fn state(status: &Value) -> &'static str {
    match status.as_str() {
        Some("active") => "active",
        Some("trialing") => "trialing",
        Some("past_due" | "unpaid" | "paused") => "past_due",
        Some("canceled") => "canceled",
        Some("incomplete_expired") => "expired",
        _ => "no_subscription",
    }
}

fn subscription(it: &Value) -> Value {
    let words = [
        "cancel_at_period_end",
        "cancel_at",
        "canceled_at",
        "ended_at",
        "trial_end",
        "latest_invoice",
    ];
    let mut row = pick(it, &words);
    let item = &it["items"]["data"][0];
    for word in ["current_period_start", "current_period_end"] {
        row[word] = if it[word].is_null() {
            item[word].clone()
        } else {
            it[word].clone()
        };
    }
    row["user"] = it["metadata"]["user_id"].clone();
    row["stripe_status"] = it["status"].clone();
    row["state"] = json!(state(&it["status"]));
    row["price"] = item["price"]["id"].clone();
    row
}

fn invoice_subscription(it: &Value) -> Value {
    match it.get("subscription") {
        Some(id) => id.clone(),
        None => it["parent"]["subscription_details"]["subscription"].clone(),
    }
}

fn pick(it: &Value, words: &[&str]) -> Value {
    words
        .iter()
        .map(|word| ((*word).to_owned(), it[*word].clone()))
        .collect::<Map<_, _>>()
        .into()
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}
