//! What people did with their power, and why.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use store::api::Deed;

use super::fault::Fault;
use super::form::address;
use super::gate::Visitor;
use super::layout::Head::Text;
use super::layout::{self, Freshness, PAGE_ROWS, Page, Tab, more, nothing, seconds, table};
use super::{Asked, Ops};
use crate::caller::checked_id;
use crate::routes::paging::cut;

#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    user: String,
    after: Option<i64>,
}

pub(super) async fn page(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<Query>,
) -> Result<Page, Fault> {
    let asked = query.user.trim();
    let user = (!asked.is_empty()).then(|| checked_id(asked)).transpose()?;
    let mut tx = ops.looking(&visitor).await?;
    let deeds = tx.deeds(user, query.after, PAGE_ROWS + 1).await?;
    let (deeds, next) = cut(deeds, PAGE_ROWS, |deed| deed.id.to_string());
    let content = html! {
        form.search role="search" method="get" action="/ops/audit-log" {
            label for="user" { "User it concerns" }
            input #user type="search" name="user" value=(query.user) autocomplete="off" spellcheck="false" data-hotkey="/";
            button type="submit" { "Find" }
        }
        @if deeds.is_empty() { (nothing("Nobody did anything.")) } @else { (rows(&deeds)) }
        (more("/ops/audit-log", &[("user", asked)], next.as_deref()))
    };
    Ok(layout::page(
        &visitor,
        Tab::Audit,
        "Audit log",
        Freshness::Still,
        &content,
    ))
}

fn rows(deeds: &[Deed]) -> Markup {
    let rows = html! {
        @for deed in deeds {
            tr {
                td { (seconds(deed.created_at)) }
                td { (deed.actor) span.detail { (deed.role) } }
                td { (deed.action) }
                td {
                    @if let Some(user) = &deed.user { a.id href=(address("/ops/customer", &[("user", user)])) { (user) } " " }
                    span.id { (deed.subject.as_deref().unwrap_or_default()) }
                }
                td { (deed.reason) @if deed.detail != "{}" { span.detail { (deed.detail) } } }
            }
        }
    };
    table(
        "Deeds, the newest first",
        &[
            Text("When (UTC)"),
            Text("Who"),
            Text("What"),
            Text("About"),
            Text("Why"),
        ],
        &rows,
    )
}
