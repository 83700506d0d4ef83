//! What a receiver must store and otherwise ignore: unknown types, and thin notifications.

use serde::Serialize;
use serde_json::json;

use super::{History, Setting};
use crate::{
    dice::Dice,
    event::{Event, pretty},
    mint::Mint,
};

/// Types nobody projects; the last one exists in no Stripe version.
const UNKNOWN_TYPES: &[&str] = &[
    "setup_intent.created",
    "balance.available",
    "galactic.teleport.completed",
];
/// Length of the part after `evt_test_` in ids of thin events.
const THIN_ID_LENGTH: usize = 33;
/// Seconds in a day, for the calendar.
const DAY_SECONDS: i64 = 86_400;

/// An event of a type that is not projected, with a number beyond 64-bit integers inside.
#[must_use]
pub fn unknown(setting: Setting<'_>) -> Event {
    let mut history = History::new(setting, Dice::new(setting.seed), setting.now);
    history.announce_unknown();
    history.events.remove(0)
}

impl History<'_> {
    /// Something happens that nobody projects.
    pub(super) fn announce_unknown(&mut self) {
        let kind = *self.mint.dice.pick(UNKNOWN_TYPES);
        let object = json!({
            "id": format!("obj_{}", self.mint.text(21)), "object": kind.rsplit_once('.').map(|(object, _)| object),
            "big": u64::MAX, "livemode": false, "nested": {"a": [1, 2, {"b": null}]}
        });
        self.record(kind, object, None);
    }
}

/// The thin notification Stripe sends beside `snapshot` when both are subscribed (`v1.` types, since
/// 2026-09-30.endive): no object, only where to fetch it.
#[must_use]
pub fn thin_about(snapshot: &Event, seed: u64) -> Event {
    let mut mint = Mint::new(Dice::new(seed), "");
    let id = format!("evt_test_65{}", mint.text(THIN_ID_LENGTH));
    let millis = mint.dice.seconds(0, 1000);
    let kind = format!("v1.{}", snapshot.kind);
    let related = snapshot.object_id.as_deref().map(|object| Related {
        id: object,
        kind: object_type(&snapshot.kind),
        url: format!("/v1/{}/{object}", collection(&snapshot.kind)),
    });
    let thin = Thin {
        id: &id,
        object: "v2.core.event",
        kind: &kind,
        livemode: false,
        created: iso(snapshot.created, millis),
        context: snapshot.account.as_deref(),
        related_object: related,
        snapshot_event: &snapshot.id,
    };
    Event {
        body: pretty(&thin),
        created: snapshot.created,
        account: snapshot.account.clone(),
        version: None,
        object_id: snapshot.object_id.clone(),
        id,
        kind,
    }
}

#[derive(Serialize)]
struct Thin<'a> {
    id: &'a str,
    object: &'static str,
    #[serde(rename = "type")]
    kind: &'a str,
    livemode: bool,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    related_object: Option<Related<'a>>,
    snapshot_event: &'a str,
}

#[derive(Serialize)]
struct Related<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: String,
    url: String,
}

/// `checkout.session.completed` is about a `checkout.session`: the type without its last word. Three
/// objects have a shorter name than their events.
fn object_type(kind: &str) -> String {
    let object = kind.rsplit_once('.').map_or(kind, |(object, _)| object);
    match object {
        "customer.subscription" => "subscription",
        "charge.dispute" => "dispute",
        "charge.refund" => "refund",
        other => other,
    }
    .to_owned()
}

fn collection(kind: &str) -> String {
    format!("{}s", object_type(kind).replace('.', "/"))
}

/// ISO 8601 in UTC with milliseconds, the form of v2 timestamps.
fn iso(seconds: i64, millis: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let rest = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month, day of a count of days since 1970-01-01, by Howard Hinnant's algorithm
/// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_iso_8601() {
        let cases = [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 7, "2000-02-28T23:59:59.007Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
            (1_793_613_660, 123, "2026-11-02T10:01:00.123Z"),
        ];
        for (seconds, millis, expected) in cases {
            assert_eq!(iso(seconds, millis), expected);
        }
    }

    #[test]
    fn object_types_follow_from_event_types() {
        assert_eq!(object_type("customer.subscription.updated"), "subscription");
        assert_eq!(collection("invoice.paid"), "invoices");
        assert_eq!(collection("checkout.session.completed"), "checkout/sessions");
    }
}
