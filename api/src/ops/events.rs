//! Events, found by what is known of them.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use store::api::UserEvent;
use store::events::{EventLine, EventPage};

use super::fault::Fault;
use super::form::address;
use super::gate::Visitor;
use super::layout::Head::Text;
use super::layout::{self, Freshness, PAGE_ROWS, Page, Tab, event_link, more, nothing, status, table, time};
use super::search::{QUALIFIERS, filter};
use super::{Asked, Ops};
use crate::routes::events::cursor;

/// Which events.
#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    q: String,
    after: Option<String>,
}

pub(super) async fn page(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<Query>,
) -> Result<Page, Fault> {
    let after = cursor(query.after.as_deref())?;
    let found = match filter(&query.q, &ops.app.account) {
        Ok(filter) => {
            let mut tx = ops.looking(&visitor).await?;
            Ok(tx.events().find(&filter, after.as_ref(), PAGE_ROWS).await?)
        }
        Err(problem) => Err(problem),
    };
    let content = html! {
        (search_form(&query.q))
        @match &found {
            Ok(found) => (list(&query.q, found)),
            Err(problem) => p.problem role="alert" { (problem) },
        }
    };
    Ok(layout::page(
        &visitor,
        Tab::Events,
        "Events",
        Freshness::Still,
        &content,
    ))
}

fn search_form(asked: &str) -> Markup {
    html! {
        form.search role="search" method="get" action="/ops/events" {
            label for="q" { "Search" }
            input #q type="search" name="q" value=(asked) autocomplete="off" spellcheck="false" aria-describedby="help"
                data-hotkey="/";
            button type="submit" { "Find" }
        }
        p.help #help {
            "An id, or any of: "
            @for (_, example) in QUALIFIERS {
                a href=(address("/ops/events", &[("q", example)])) { code { (example) } } " "
            }
        }
    }
}

fn list(asked: &str, found: &EventPage) -> Markup {
    let next = found.next.as_ref().map(ToString::to_string);
    html! {
        @match (found.events.is_empty(), &next) {
            (false, _) => (rows(&found.events)),
            (true, None) => (nothing("No events fit.")),
            (true, Some(_)) => (nothing("None among the latest; the next page looks further back.")),
        }
        (more("/ops/events", &[("q", asked)], next.as_deref()))
    }
}

/// What a list shows of an event.
pub(super) struct Row<'a> {
    id: &'a str,
    event_type: &'a str,
    object_id: Option<&'a str>,
    status: &'a str,
    reason: Option<&'a str>,
    received_us: i64,
}

impl<'a> From<&'a EventLine> for Row<'a> {
    fn from(event: &'a EventLine) -> Self {
        Self {
            id: &event.id,
            event_type: &event.event_type,
            object_id: event.object_id.as_deref(),
            status: &event.status,
            reason: event.reason.as_deref(),
            received_us: event.received_us,
        }
    }
}

impl<'a> From<&'a UserEvent> for Row<'a> {
    fn from(event: &'a UserEvent) -> Self {
        Self {
            id: &event.id,
            event_type: &event.event_type,
            object_id: event.object_id.as_deref(),
            status: &event.status,
            reason: event.reason.as_deref(),
            received_us: event.received_at_ms * 1_000,
        }
    }
}

/// A table of events.
pub(super) fn rows<'a, T>(events: &'a [T]) -> Markup
where
    Row<'a>: From<&'a T>,
{
    let rows = html! {
        @for event in events.iter().map(Row::from) {
            tr {
                td { (event_link(event.id)) }
                td { (event.event_type) }
                td.id { (event.object_id.unwrap_or("—")) }
                td { (status(event.status)) " " (event.reason.unwrap_or_default()) }
                td { (time(event.received_us)) }
            }
        }
    };
    table(
        "Events",
        &[
            Text("Event"),
            Text("Type"),
            Text("Object"),
            Text("Outcome"),
            Text("Received (UTC)"),
        ],
        &rows,
    )
}
