//! What payments grant, and what refunds and disputes take back.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Prices,
    newest::{Newest, Seen},
    number, text,
};

pub(super) fn grants(invoices: &[&Seen], sessions: &[&Seen], prices: &Prices) -> BTreeMap<String, i64> {
    let mut grants = BTreeMap::new();
    for it in invoices
        .iter()
        .map(|seen| &seen.object)
        .filter(|it| it["status"] == "paid")
    {
        grants.insert(format!("grant:{}", text(&it["id"])), invoice_credits(it, prices));
    }
    for it in sessions.iter().map(|seen| &seen.object) {
        let paid = it["mode"] == "payment" && it["status"] == "complete" && it["payment_status"] != "unpaid";
        let credits = it["metadata"]["credits"]
            .as_str()
            .and_then(|credits| credits.parse().ok());
        if let Some(credits) = credits.filter(|_| paid) {
            grants.insert(format!("topup:{}", text(&it["id"])), credits);
        }
    }
    grants.retain(|_, credits| *credits != 0);
    grants
}

fn invoice_credits(it: &Value, prices: &Prices) -> i64 {
    let lines = it["lines"]["data"].as_array().expect("lines").iter();
    let read = lines.map(|line| {
        let price = [&line["price"]["id"], &line["pricing"]["price_details"]["price"]];
        let price = price.into_iter().find_map(Value::as_str).expect("a price");
        let details = &line["parent"]["subscription_item_details"];
        let proration = line["proration"] == true || details["proration"] == true;
        let number = |name: &str| line[name].as_i64().expect("a number");
        (prices[price], proration, number("amount"), number("quantity"))
    });
    match it["billing_reason"].as_str() {
        Some("subscription_create" | "subscription_cycle") => read
            .filter(|(_, proration, amount, _)| !proration && *amount > 0)
            .map(|((credits, _), _, _, quantity)| credits * quantity)
            .sum(),
        Some("subscription_update") => {
            let parts = read.filter(|(_, proration, ..)| *proration);
            // All our prices divide a million.
            let sum: i64 = parts
                .map(|((credits, unit), _, amount, _)| credits * amount * 1_000_000 / unit)
                .sum();
            sum.max(0) / 1_000_000
        }
        _ => 0,
    }
}

/// The targets of section 4.4, for every payment that is linked to a grant.
pub(super) fn debits(
    newest: &Newest,
    links: &BTreeMap<String, String>,
    grants: &BTreeMap<String, i64>,
) -> BTreeMap<String, i64> {
    let of = |kind: &'static str| {
        newest
            .iter()
            .filter(move |((known, _), _)| known == kind)
            .map(|(_, seen)| seen)
    };
    let sessions: BTreeMap<String, String> = of("checkout.session")
        .filter_map(|it| {
            Some((
                it.object["payment_intent"].as_str()?.to_owned(),
                text(&it.object["id"]),
            ))
        })
        .collect();
    let mut debits = BTreeMap::new();
    for seen in of("payment_intent").filter(|it| it.object["status"] == "succeeded") {
        let intent = text(&seen.object["id"]);
        let by_invoice = links.get(&intent).map(|invoice| format!("grant:{invoice}"));
        let key = by_invoice.or_else(|| sessions.get(&intent).map(|session| format!("topup:{session}")));
        let Some(credits) = key.and_then(|key| grants.get(&key)) else {
            continue;
        };
        let paid = number(&seen.object["amount_received"]);
        let ours = |it: &&Seen| it.object["payment_intent"] == json!(intent);
        let refunded = refunded(of("refund").filter(ours), of("charge").filter(ours)).min(paid);
        let open = ["needs_response", "under_review", "lost"];
        let disputed: i64 = of("dispute")
            .filter(ours)
            .filter(|it| open.contains(&it.object["status"].as_str().unwrap_or("")))
            .map(|it| number(&it.object["amount"]))
            .sum();
        debits.insert(format!("refund:{intent}"), -(credits * refunded / paid));
        debits.insert(
            format!("dispute:{intent}"),
            -(credits * disputed.min(paid - refunded) / paid),
        );
    }
    debits.retain(|_, credits| *credits != 0);
    debits
}

fn refunded<'a>(refunds: impl Iterator<Item = &'a Seen>, charges: impl Iterator<Item = &'a Seen>) -> i64 {
    let (failed, alive): (Vec<_>, Vec<_>) = refunds.partition(|it| it.object["status"] == "failed");
    let by_refunds: i64 = alive.iter().map(|it| number(&it.object["amount"])).sum();
    let by_charge = charges.map(|charge| {
        let later = failed.iter().filter(|it| it.created > charge.created);
        number(&charge.object["amount_refunded"]) - later.map(|it| number(&it.object["amount"])).sum::<i64>()
    });
    by_refunds.max(by_charge.max().unwrap_or(0))
}
