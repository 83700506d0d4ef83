//! Pages of lists: <https://docs.stripe.com/api/pagination>.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::errors::Reply;
use crate::query::Query;

const LIMIT_DEFAULT: usize = 10;
const LIMIT_MAX: usize = 100;

/// Where a page begins or ends. Both name a row that is not on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cursor<'a> {
    /// At the beginning of the list.
    Top,
    /// Behind this row.
    After(&'a str),
    /// Before this row.
    Before(&'a str),
}

impl<'a> Cursor<'a> {
    pub(super) fn read(query: &'a Query) -> Result<Self, Box<Reply>> {
        match (query.get("starting_after"), query.get("ending_before")) {
            (Some(_), Some(_)) => Err(Reply::bad_parameter(
                "ending_before",
                "You can only page in one direction.",
            )),
            (Some(id), None) => Ok(Self::After(id)),
            (None, Some(id)) => Ok(Self::Before(id)),
            (None, None) => Ok(Self::Top),
        }
    }

    /// The refusal of a cursor that names no row of the list.
    pub(super) fn refusal(self, object: &str) -> Box<Reply> {
        let (id, param) = match self {
            Self::Top => ("", "limit"),
            Self::After(id) => (id, "starting_after"),
            Self::Before(id) => (id, "ending_before"),
        };
        Reply::no_such(StatusCode::BAD_REQUEST, object, id, param)
    }
}

/// How many rows a page has at most.
pub(super) fn limit(query: &Query) -> Result<usize, Box<Reply>> {
    let Some(text) = query.get("limit") else {
        return Ok(LIMIT_DEFAULT);
    };
    let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| {
        Reply::bad_parameter(
            "limit",
            &format!("Invalid integer between 1 and {LIMIT_MAX}: {text}"),
        )
    })
}

/// One page of `rows`, which are `object`s in the order of the list at `url`.
pub(super) fn page(rows: &[Value], object: &str, url: &str, query: &Query) -> Result<Reply, Box<Reply>> {
    let limit = limit(query)?;
    let cursor = Cursor::read(query)?;
    let place = |id: &str| {
        let found = rows.iter().position(|row| row["id"] == id);
        found.ok_or_else(|| cursor.refusal(object))
    };
    let rest = match cursor {
        Cursor::Top => rows,
        Cursor::After(id) => &rows[place(id)? + 1..],
        Cursor::Before(id) => &rows[..place(id)?],
    };
    let left_out = rest.len().saturating_sub(limit);
    let page = match cursor {
        Cursor::Before(_) => &rest[left_out..],
        Cursor::Top | Cursor::After(_) => &rest[..rest.len() - left_out],
    };
    Ok(Reply::ok(&json!({
        "object": "list", "data": page, "has_more": left_out > 0, "url": url
    })))
}
