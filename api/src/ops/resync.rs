//! A customer asked of Stripe anew: begun from their page, and how far it is.

use axum::extract::State;
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;
use shared::unique;
use store::Resync;

use super::fault::Fault;
use super::form::{Form, address};
use super::gate::Visitor;
use super::layout::Head::Text;
use super::layout::{self, Freshness, Page, Tab, form_token, nothing, seconds, status, table};
use super::users::OpsRole;
use super::{Asked, Ops};
use crate::caller::checked_id;
use crate::problem::Kind;
use crate::routes::corrections::required;
use crate::routes::resyncs::{begin as begin_resync, state_of};

/// Who may: it costs requests to Stripe, and changes nothing but what Stripe says.
pub(super) const RESYNCS: OpsRole = OpsRole::Operator;

#[derive(Deserialize)]
pub(super) struct Query {
    id: String,
}

/// On a customer's page: the latest, and another one for who may.
pub(super) fn offer(visitor: &Visitor, customers: &[String], latest: &[Resync]) -> Markup {
    html! {
        section aria-labelledby="resyncs" {
            h2 #resyncs { "As Stripe has them" }
            @if customers.is_empty() { (nothing("Stripe is not known to have them.")) }
            @if !customers.is_empty() && visitor.may(RESYNCS) { (form(visitor, customers)) }
            @if !latest.is_empty() { (rows(latest)) }
        }
    }
}

/// The key is of this one showing: sent twice, it begins one.
fn form(visitor: &Visitor, customers: &[String]) -> Markup {
    html! {
        form.work method="post" action="/ops/resyncs" {
            (form_token(visitor))
            input type="hidden" name="key" value=(unique::word());
            div.deeds {
                div {
                    label for="customer" { "Customer at Stripe" }
                    select #customer name="customer" { @for id in customers { option value=(id) { (id) } } }
                }
                div.wide {
                    label for="resync-why" { "Why (for the audit log)" }
                    input #resync-why name="why" required maxlength="500" autocomplete="off";
                }
                button type="submit" { "Ask Stripe anew" }
            }
        }
    }
}

/// Resyncs, each with how far it is.
pub(super) fn rows(resyncs: &[Resync]) -> Markup {
    let rows = html! {
        @for it in resyncs {
            tr {
                td { a href=(address("/ops/resync", &[("id", &it.id)])) { "resync of " (it.customer) } }
                td { (status(state_of(it))) }
                td { (bar(it)) }
                td { (it.made_by) span.detail { (it.reason) } }
                td { (seconds(it.made_at)) }
            }
        }
    };
    let heads = [
        Text("Resync"),
        Text("State"),
        Text("Progress"),
        Text("Asked for by"),
        Text("When (UTC)"),
    ];
    table("Resyncs, the newest first", &heads, &rows)
}

/// How far it is, as a bar and in words. Answers raise more questions, so the whole grows on the way.
fn bar(it: &Resync) -> Markup {
    let settled = it.done + it.given_up;
    html! {
        progress value=(settled) max=(it.asked.max(1)) aria-label=(format!("Progress of {}", it.id)) {}
        " " (settled) " of " (it.asked) " questions"
    }
}

/// One resync.
pub(super) async fn page(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<Query>,
) -> Result<Page, Fault> {
    let mut tx = ops.looking(&visitor).await?;
    let it = tx.resync(checked_id(&query.id)?).await?;
    let it = it.ok_or_else(|| Kind::NOT_FOUND.because("there is no such resync"))?;
    let user = tx.user_of_customer(&it.customer).await?;
    let freshness = if it.is_over() {
        Freshness::Still
    } else {
        Freshness::Live
    };
    let content = html! {
        div.live #live {
            p role="status" {
                (status(state_of(&it))) " " (bar(&it))
                @if !it.is_planned { span.detail { "It waits for a worker with STRIPE_API_KEY." } }
            }
            (facts(&it, user.as_deref()))
            @if !it.trouble.is_empty() { (trouble(&it)) }
        }
    };
    let title = format!("Resync of {}", it.customer);
    Ok(layout::page(&visitor, Tab::Jobs, &title, freshness, &content))
}

fn facts(it: &Resync, user: Option<&str>) -> Markup {
    html! {
        dl.facts {
            div { dt { "User" } dd {
                @match user {
                    Some(user) => a.id href=(address("/ops/customer", &[("user", user)])) { (user) },
                    None => "not known",
                }
            } }
            div { dt { "Objects that Stripe showed" } dd { (it.objects) } }
            div { dt { "Not as we had them" } dd { (it.changed) } }
            div { dt { "Questions given up" } dd { (it.given_up) } }
            div { dt { "Asked for by" } dd { (it.made_by) } }
            div { dt { "Why" } dd { (it.reason) } }
            div { dt { "Began" } dd { (seconds(it.made_at)) } }
            div { dt { "Ended" } dd { @match it.settled_at.filter(|_| it.is_over()) { Some(at) => (seconds(at)), None => "—" } } }
        }
    }
}

fn trouble(it: &Resync) -> Markup {
    let rows = html! {
        @for (kind, id, error) in &it.trouble { tr { td { (kind) } td.id { (id) } td { (error) } } }
    };
    let heads = [Text("Asked for"), Text("Id"), Text("What went wrong")];
    table("Questions given up", &heads, &rows)
}

/// Begins one, once.
pub(super) async fn begin(State(ops): State<Ops>, visitor: Visitor, form: Form) -> Result<Redirect, Fault> {
    let actor = ops.actor(&visitor);
    let customer = checked_id(form.get("customer").unwrap_or_default())?;
    let why = required(form.get("why").unwrap_or_default())?;
    let key = checked_id(form.get("key").unwrap_or_default())?;
    let key = format!("{}:{key}", actor.subject);
    let id = begin_resync(&ops.app, &actor, customer, why, &key).await?;
    Ok(Redirect::to(&address("/ops/resync", &[("id", &id)])))
}
