//! `GET /v1/events`: newest first, in pages.
//! Source: <https://docs.stripe.com/api/events/list>.

use std::ops::Range;

use bytes::Bytes;

use super::{
    errors::Reply,
    list::{Cursor, limit},
};
use crate::{event::Event, query::Query, shop::Model};

/// Most exact names in `types[]`.
const TYPES_MAX: usize = 20;

/// Which events are wanted.
struct Filter<'a> {
    /// A type, or the beginning of one.
    kind: Option<Kind<'a>>,
    kinds: Vec<&'a str>,
    /// First and last `created`.
    created: (i64, i64),
    delivered: Option<bool>,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    Exactly(&'a str),
    Below(&'a str),
}

impl Kind<'_> {
    fn of(text: &str) -> Kind<'_> {
        text.strip_suffix('*').map_or(Kind::Exactly(text), Kind::Below)
    }

    fn matches(self, kind: &str) -> bool {
        match self {
            Self::Exactly(text) => kind == text,
            Self::Below(text) => kind.starts_with(text),
        }
    }
}

/// One page of the events of `account`.
pub(super) fn list(model: &Model, account: Option<&str>, query: &Query) -> Result<Reply, Box<Reply>> {
    let filter = Filter::read(query)?;
    let limit = limit(query)?;
    let all = model.events(account);
    let wanted = |event: &&Event| {
        !event.is_thin()
            && filter.matches(event)
            && filter.delivered.is_none_or(|it| model.is_delivered(event) == it)
    };
    let cursor = Cursor::read(query)?;
    let place = |id: &str| model.place(account, id).ok_or_else(|| cursor.refusal("event"));
    let (first, end) = (model.first_kept(account), all.len());
    let at = |range: Range<usize>| all.get(range).unwrap_or_default().iter().map(AsRef::as_ref);
    let mut page: Vec<&Event> = match cursor {
        // The page next to the cursor, though it is in the order of the list.
        Cursor::Before(id) => at(place(id)? + 1..end).filter(wanted).take(limit + 1).collect(),
        Cursor::After(id) => at(first..place(id)?)
            .rev()
            .filter(wanted)
            .take(limit + 1)
            .collect(),
        Cursor::Top => at(first..end).rev().filter(wanted).take(limit + 1).collect(),
    };
    let more = page.len() > limit;
    page.truncate(limit);
    if matches!(cursor, Cursor::Before(_)) {
        page.reverse();
    }
    Ok(Reply::raw(body(model, &page, more)))
}

/// The bodies stay the bytes they were sent as, but for how many webhooks are pending.
fn body(model: &Model, page: &[&Event], more: bool) -> Bytes {
    let mut text = b"{\"object\":\"list\",\"data\":[".to_vec();
    for (position, event) in page.iter().enumerate() {
        if position > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&model.body_of(event));
    }
    text.extend_from_slice(format!("],\"has_more\":{more},\"url\":\"/v1/events\"}}").as_bytes());
    text.into()
}

impl<'a> Filter<'a> {
    fn read(query: &'a Query) -> Result<Self, Box<Reply>> {
        let kinds = query.list("types");
        let kind = query.get("type").map(Kind::of);
        if kinds.len() > TYPES_MAX || (kind.is_some() && !kinds.is_empty()) {
            let message = "You may pass up to 20 types, and not together with type.";
            return Err(Reply::bad_parameter("types", message));
        }
        let delivered = query.get("delivery_success").map(|text| text == "true");
        Ok(Self {
            kind,
            kinds,
            created: created(query)?,
            delivered,
        })
    }

    fn matches(&self, event: &Event) -> bool {
        let (first, last) = self.created;
        (first..=last).contains(&event.created)
            && self.kind.is_none_or(|kind| kind.matches(&event.kind))
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind.as_str()))
    }
}

/// `created=5`, or any of `created[gt|gte|lt|lte]`, as the first and last second.
pub(super) fn created(query: &Query) -> Result<(i64, i64), Box<Reply>> {
    let number = |name: &str| match query.get(name).map(str::parse::<i64>) {
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(Reply::bad_parameter(name, "Invalid integer.")),
        None => Ok(None),
    };
    if let Some(exactly) = number("created")? {
        return Ok((exactly, exactly));
    }
    let after = number("created[gt]")?.map(|at| at.saturating_add(1));
    let before = number("created[lt]")?.map(|at| at.saturating_sub(1));
    let first = after.max(number("created[gte]")?);
    let last = [before, number("created[lte]")?].into_iter().flatten().min();
    Ok((first.unwrap_or(i64::MIN), last.unwrap_or(i64::MAX)))
}
