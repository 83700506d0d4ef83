//! Customers, found by user, email address or Stripe customer. One of them: `customer.rs`.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use store::api::{UserFilter, UserLine};

use super::fault::Fault;
use super::form::address;
use super::gate::Visitor;
use super::layout::Head::{Number, Text};
use super::layout::{self, Freshness, PAGE_ROWS, Tab, more, nothing, status, table};
use super::{Asked, Ops};
use crate::caller::checked_id;
use crate::routes::paging::cut;

#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    q: String,
    after: Option<String>,
}

/// Users, found by id, email address or customer.
pub(super) async fn page(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<Query>,
) -> Result<Response, Fault> {
    let asked = query.q.trim();
    let wanted = (!asked.is_empty()).then(|| checked_id(asked)).transpose()?;
    let after = query.after.as_deref().map(checked_id).transpose()?;
    let mut tx = ops.looking(&visitor).await?;
    if let Some(customer) = wanted.filter(|it| it.starts_with("cus_"))
        && let Some(user) = tx.user_of_customer(customer).await?
    {
        return Ok(Redirect::to(&address("/ops/customer", &[("user", &user)])).into_response());
    }
    let filter = UserFilter {
        state: None,
        search: wanted,
        after,
    };
    let lines = tx.users(&filter, PAGE_ROWS + 1).await?;
    let (lines, next) = cut(lines, PAGE_ROWS, |line| line.id.clone());
    let content = html! {
        form.search role="search" method="get" action="/ops/customers" {
            label for="q" { "User, email address or Stripe customer" }
            input #q type="search" name="q" value=(query.q) autocomplete="off" spellcheck="false" data-hotkey="/";
            button type="submit" { "Find" }
        }
        @if lines.is_empty() { (nothing("Nobody fits.")) } @else { (users(&lines)) }
        (more("/ops/customers", &[("q", asked)], next.as_deref()))
    };
    Ok(layout::page(&visitor, Tab::Customers, "Customers", Freshness::Still, &content).into_response())
}

fn users(lines: &[UserLine]) -> Markup {
    let rows = html! {
        @for line in lines {
            tr {
                td { a.id href=(address("/ops/customer", &[("user", &line.id)])) { (line.id) } }
                td { (line.email.as_deref().unwrap_or("—")) }
                td { (status(&line.state)) @if line.entitled { " entitled" } }
                td.number { (line.balance) }
            }
        }
    };
    table(
        "Users",
        &[Text("User"), Text("Email"), Text("State"), Number("Credits")],
        &rows,
    )
}
