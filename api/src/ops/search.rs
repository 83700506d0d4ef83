//! What people write to find events: `type:invoice.* status:parked since:2h`, or just an id.

use shared::when;
use store::Status;
use store::events::EventFilter;

/// Words that can stand before a colon, with an example of each.
pub(super) const QUALIFIERS: [(&str, &str); 7] = [
    ("type", "type:invoice.*"),
    ("status", "status:parked"),
    ("customer", "customer:cus_123"),
    ("object", "object:in_123"),
    ("endpoint", "endpoint:default"),
    ("since", "since:2h"),
    ("until", "until:2026-11-21T20:00:00Z"),
];
/// Longest text, characters.
const TEXT_CHARS_MAX: usize = 500;

/// Which events a text asks for.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn filter(text: &str, account: &str) -> Result<EventFilter, String> {
    if text.chars().count() > TEXT_CHARS_MAX || text.contains(char::is_control) {
        return Err(format!(
            "a search has at most {TEXT_CHARS_MAX} characters, in one line"
        ));
    }
    let mut filter = EventFilter {
        account: account.to_owned(),
        ..EventFilter::default()
    };
    for word in text.split_whitespace() {
        match word.split_once(':') {
            Some((name, value)) if !value.is_empty() => qualify(&mut filter, name, value)?,
            Some((name, _)) => return Err(format!("{name}: what?")),
            None => name_one(&mut filter, word),
        }
    }
    Ok(filter)
}

fn qualify(filter: &mut EventFilter, name: &str, value: &str) -> Result<(), String> {
    let text = || Some(value.to_owned());
    match name {
        "type" => filter.event_type = text(),
        "customer" => filter.customer = text(),
        "object" => filter.object = text(),
        "endpoint" => filter.endpoint = text(),
        "since" => filter.received_since_us = Some(when::moment(value)?),
        "until" => filter.received_until_us = Some(when::moment(value)?),
        "status" => {
            let all = [Status::Applied, Status::Ignored, Status::Parked];
            let found = all.into_iter().find(|status| status.as_str() == value);
            filter.status = Some(found.ok_or("status: applied, ignored or parked")?);
        }
        other => {
            let known = QUALIFIERS.map(|(name, _)| name).join(", ");
            return Err(format!("`{other}:` means nothing here; there are {known}"));
        }
    }
    Ok(())
}

/// An id says by its beginning what it is of.
fn name_one(filter: &mut EventFilter, id: &str) {
    let named = match id.split_once('_') {
        Some(("evt", _)) => &mut filter.id,
        Some(("cus", _)) => &mut filter.customer,
        _ => &mut filter.object,
    };
    *named = Some(id.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_order() {
        let found = filter(
            " status:parked  type:invoice.* until:1970-01-01T00:00:01Z cus_1 ",
            "acct_1",
        );
        let wanted = EventFilter {
            account: "acct_1".into(),
            event_type: Some("invoice.*".into()),
            status: Some(Status::Parked),
            customer: Some("cus_1".into()),
            received_until_us: Some(1_000_000),
            ..EventFilter::default()
        };
        assert_eq!(found, Ok(wanted));
        assert_eq!(filter("evt_1", "").map(|it| it.id), Ok(Some("evt_1".into())));
        assert_eq!(filter("in_1", "").map(|it| it.object), Ok(Some("in_1".into())));
        assert_eq!(filter("", ""), Ok(EventFilter::default()));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for text in ["colour:red", "status:lost", "type:", "since:yesterday", "a\nb"] {
            assert!(filter(text, "").is_err(), "{text:?}");
        }
        assert!(filter(&"a".repeat(TEXT_CHARS_MAX + 1), "").is_err());
    }
}
