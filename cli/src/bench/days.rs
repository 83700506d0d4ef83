//! What prices cost is kept once for each price and day, by whichever event shows it first. The simulator's stories
//! last for months and are played within seconds here, so every chunk would be the first of several days, and wait for
//! its neighbours which are, too. In life a day begins at midnight. So each day is made known before a clock starts.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

/// Seconds in a day.
const DAY: i64 = 86_400;
/// Shows a price, and comes once in a subscription's life.
const SHOWS_A_PRICE: &str = "customer.subscription.created";

#[derive(Deserialize)]
struct Head {
    created: i64,
    #[serde(rename = "type")]
    kind: String,
}

/// For each price of a subscription in `bodies`, and each day of theirs, an event that shows it.
pub(super) fn prelude(bodies: &[Bytes]) -> Vec<Bytes> {
    let heads = bodies
        .iter()
        .filter_map(|body| Some((body, serde_json::from_slice::<Head>(body).ok()?)));
    let mut days: Option<RangeInclusive<i64>> = None;
    let mut prices: BTreeMap<String, Value> = BTreeMap::new();
    for (body, head) in heads {
        let day = head.created.div_euclid(DAY);
        days = Some(days.map_or(day..=day, |it| *it.start().min(&day)..=*it.end().max(&day)));
        if head.kind == SHOWS_A_PRICE
            && let Ok(event) = serde_json::from_slice::<Value>(body)
            && let Some(price) = event["data"]["object"]["items"]["data"][0]["price"]["id"].as_str()
        {
            prices.entry(price.to_owned()).or_insert(event);
        }
    }
    let days = days.into_iter().flatten();
    days.flat_map(|day| prices.values().map(move |event| on(day, event)))
        .collect()
}

/// The event as if it had happened on that day.
fn on(day: i64, event: &Value) -> Bytes {
    let mut event = event.clone();
    let id = event["id"].as_str().unwrap_or_default().to_owned();
    event["id"] = format!("{id}d{day}").into();
    event["created"] = (day * DAY).into();
    event.to_string().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::load::Mix;
    use super::*;

    #[test]
    fn each_price_is_shown_on_each_day() {
        let bodies = Mix::Money.bodies(3, 600);
        let prelude = prelude(&bodies);
        let shown = |body: &Bytes| -> (String, i64, String) {
            let event: Value = serde_json::from_slice(body).expect("JSON");
            let price = &event["data"]["object"]["items"]["data"][0]["price"]["id"];
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            (
                text(price),
                event["created"].as_i64().expect("a time") / DAY,
                text(&event["id"]),
            )
        };
        let shown: Vec<_> = prelude.iter().map(shown).collect();
        let prices: BTreeSet<_> = shown.iter().map(|(price, ..)| price).collect();
        let days: BTreeSet<_> = shown.iter().map(|(_, day, _)| day).collect();
        let ids: BTreeSet<_> = shown.iter().map(|(.., id)| id).collect();
        assert!(
            prices.len() >= 2 && days.len() > 30,
            "{} prices, {} days",
            prices.len(),
            days.len()
        );
        assert_eq!(prices.len() * days.len(), prelude.len());
        assert_eq!(ids.len(), prelude.len());
    }

    #[test]
    fn events_without_prices_need_none() {
        assert!(prelude(&Mix::Simple.bodies(3, 8)).is_empty());
        assert!(prelude(&[]).is_empty());
    }
}
