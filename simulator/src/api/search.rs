//! `GET /v1/customers/search`: what can be found by mail address, name and metadata.
//! Source: <https://docs.stripe.com/search#search-query-language>.

use serde_json::{Value, json};

use super::{caller::Caller, errors::Reply, form::Read, list};
use crate::{query::Query, shop::Model};

/// One condition: a member, or one of the metadata, and its value.
#[derive(Debug, PartialEq, Eq)]
struct Clause<'a> {
    field: &'a str,
    key: Option<&'a str>,
    value: &'a str,
}

/// One page of customers that fulfil all clauses of `query`.
pub(super) fn customers(model: &Model, caller: &Caller<'_>, query: &Query) -> Read<Reply> {
    let text = query
        .get("query")
        .ok_or_else(|| Reply::missing_parameter("query"))?;
    let clauses: Option<Vec<Clause<'_>>> = text.split(" AND ").map(|clause| read(clause.trim())).collect();
    let clauses = clauses.ok_or_else(|| {
        let message = "We were unable to parse your search query. Try using the format `metadata[\"key\"]:\"value\"` \
            to query for metadata or key:\"value\" to query for other fields.";
        Reply::bad_parameter("query", message)
    })?;
    let mut rows = model.all(caller.account, "customer", caller.version);
    rows.retain(|row| row["deleted"] != true && clauses.iter().all(|clause| clause.holds(row)));
    let limit = list::limit(query)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(Reply::ok(&json!({
        "object": "search_result", "data": rows, "has_more": more, "next_page": null,
        "url": "/v1/customers/search"
    })))
}

impl Clause<'_> {
    fn holds(&self, row: &Value) -> bool {
        match self.key {
            Some(key) => row[self.field][key] == self.value,
            None => row[self.field] == self.value,
        }
    }
}

/// `email:'a'` or `metadata['user_id']:'u'`, in single or double quotes.
fn read(text: &str) -> Option<Clause<'_>> {
    let (field, value) = text.split_once(':')?;
    let value = unquoted(value)?;
    let Some((field, key)) = field.split_once('[') else {
        let known = matches!(field, "email" | "name" | "phone");
        return known.then_some(Clause {
            field,
            key: None,
            value,
        });
    };
    let key = Some(unquoted(key.strip_suffix(']')?)?);
    (field == "metadata").then_some(Clause { field, key, value })
}

fn unquoted(text: &str) -> Option<&str> {
    ['\'', '"']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_understood() {
        let clause = |field, key, value| Some(Clause { field, key, value });
        let cases = [
            ("email:'a@b'", clause("email", None, "a@b")),
            (
                "metadata['user_id']:\"u 1\"",
                clause("metadata", Some("user_id"), "u 1"),
            ),
            ("email~'a'", None),
            ("balance:'1'", None),
            ("email:a", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
