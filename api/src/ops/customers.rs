//! Customers: who they are to us, what they may do, their credits and their events.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use domain::credits::Owner;
use maud::{Markup, html};
use serde::Deserialize;
use store::History;
use store::api::{UserFilter, UserLine};

use super::fault::Fault;
use super::form::address;
use super::gate::Visitor;
use super::layout::Head::{Number, Text};
use super::layout::{
    self, Freshness, PAGE_ROWS, Page, Tab, Tone, badge, more, nothing, seconds, status, table,
};
use super::{Asked, Ops, events};
use crate::caller::checked_id;
use crate::problem::Kind;
use crate::routes::paging::cut;
use crate::routes::state::{Allowed, SubscriptionState};
use crate::state::state_of;

/// Latest entries of the ledger, and latest events, on a customer's page.
const LATEST_ROWS: u32 = 20;

#[derive(Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    q: String,
    after: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Query {
    user: String,
}

/// Users, found by id, email address or customer.
pub(super) async fn list(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<ListQuery>,
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

/// One customer.
pub(super) async fn page(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<Query>,
) -> Result<Page, Fault> {
    let user = checked_id(&query.user)?;
    let mut tx = ops.looking(&visitor).await?;
    let exact = UserFilter {
        search: Some(user),
        ..UserFilter::default()
    };
    let known = tx.users(&exact, PAGE_ROWS).await?;
    let line = known
        .into_iter()
        .find(|line| line.id == user)
        .ok_or_else(|| Kind::NOT_FOUND.because("nobody has this id"))?;
    let history = tx
        .history(&Owner::User(user.to_owned()), None, LATEST_ROWS)
        .await?;
    let latest = tx.events_of(user, None, LATEST_ROWS).await?;
    drop(tx);
    let state = state_of(&ops.app, &ops.actor(&visitor), user).await?;
    let content = html! {
        (standing(&line, &state))
        section aria-labelledby="ledger" {
            h2 #ledger { "Credits, the latest" }
            @if history.entries.is_empty() { (nothing("None ever came or went.")) } @else { (ledger(&history)) }
        }
        section aria-labelledby="events" {
            h2 #events { "Events, the latest" }
            @if latest.is_empty() { (nothing("None.")) } @else { (events::rows(&latest)) }
        }
        p { a href=(address("/ops/audit-log", &[("user", user)])) { "What people did about them" } }
    };
    Ok(layout::page(
        &visitor,
        Tab::Customers,
        user,
        Freshness::Still,
        &content,
    ))
}

fn standing(line: &UserLine, state: &SubscriptionState) -> Markup {
    let may = &state.permissions;
    html! {
        dl.facts {
            div { dt { "Email" } dd { (line.email.as_deref().unwrap_or("—")) } }
            div { dt { "State" } dd { (status(&state.state)) @if state.entitled { " entitled" } } }
            div { dt { "Credits" } dd { (line.balance) } }
            @if let Some(subscription) = &state.subscription {
                div { dt { "Subscription" } dd {
                    a.id href=(address("/ops/events", &[("q", &format!("object:{}", subscription.id))])) { (subscription.id) }
                    " " (subscription.status.as_deref().unwrap_or_default())
                } }
            }
            @if let Some(correction) = &state.correction {
                div { dt { "Corrected by staff" } dd { (correction.plan.as_deref().unwrap_or("no plan")) } }
            }
            (permission("May use credits", &may.can_use_credits))
            (permission("May buy credits", &may.can_purchase))
            (permission("May subscribe", &may.can_subscribe))
        }
    }
}

fn permission(name: &str, it: &Allowed) -> Markup {
    html! {
        div {
            dt { (name) }
            dd { @if it.allowed { (badge("yes", Tone::Good)) } @else { (badge("no", Tone::Bad)) } " " (it.reason) }
        }
    }
}

fn ledger(history: &History) -> Markup {
    let rows = html! {
        @for entry in &history.entries {
            tr {
                td { (seconds(entry.created_at)) }
                td { (entry.kind) }
                td.number { (format!("{:+}", entry.credits)) }
                td.number { (entry.balance) }
                td.id { (entry.source_id.as_deref().unwrap_or("—")) }
                td { (entry.reason.as_deref().unwrap_or_default()) }
            }
        }
    };
    table(
        "Credits, the newest first",
        &[
            Text("When (UTC)"),
            Text("Kind"),
            Number("Credits"),
            Number("Balance"),
            Text("Source"),
            Text("Reason"),
        ],
        &rows,
    )
}
