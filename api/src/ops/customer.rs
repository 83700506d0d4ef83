//! One customer: who they are to us, what they may do and why, what was billed and paid, their credits and their events.

use axum::extract::State;
use domain::credits::Owner;
use maud::{Markup, html};
use serde::Deserialize;
use store::api::{
    ActingTx, BilledSubscription, UserEvent, UserFilter, UserInvoice, UserLine, UserTransaction,
};
use store::{History, Resync};

use super::fault::Fault;
use super::form::address;
use super::gate::Visitor;
use super::layout::Head::{Number, Text};
use super::layout::{self, Freshness, PAGE_ROWS, Page, Tab, Tone, badge, nothing, seconds, status, table};
use super::{Asked, Ops, correct, events, resync};
use crate::caller::checked_id;
use crate::problem::{Kind, Problem};
use crate::routes::state::{Allowed, SubscriptionState};
use crate::state::state_of;

/// Latest rows of each list.
const LATEST_ROWS: u32 = 20;
/// Latest resyncs.
const RESYNC_ROWS: u32 = 5;

#[derive(Deserialize)]
pub(super) struct Query {
    user: String,
}

/// What is known of somebody.
struct Known {
    line: UserLine,
    customers: Vec<String>,
    subscription: Option<BilledSubscription>,
    invoices: Vec<UserInvoice>,
    payments: Vec<UserTransaction>,
    history: History,
    events: Vec<UserEvent>,
    resyncs: Vec<Resync>,
}

pub(super) async fn page(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<Query>,
) -> Result<Page, Fault> {
    let user = checked_id(&query.user)?;
    let known = known(&ops, &visitor, user).await?;
    let state = state_of(&ops.app, &ops.actor(&visitor), user).await?;
    let content = html! {
        (standing(&known, &state))
        @if let Some(subscription) = &known.subscription { (terms(subscription)) }
        (resync::offer(&visitor, &known.customers, &known.resyncs))
        (list("invoices", "Invoices, the latest", invoices(&known.invoices)))
        (list("payments", "Payments, refunds and disputes, the latest", payments(&known.payments)))
        (list("ledger", "Credits, the latest", ledger(&known.history)))
        (correct::offer(&visitor, user))
        (list("events", "Events, the latest", (!known.events.is_empty()).then(|| events::rows(&known.events))))
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

/// Whoever has exactly this id.
pub(super) async fn line(tx: &mut ActingTx, user: &str) -> Result<UserLine, Problem> {
    let exact = UserFilter {
        search: Some(user),
        ..UserFilter::default()
    };
    let found = tx.users(&exact, PAGE_ROWS).await?;
    let line = found.into_iter().find(|line| line.id == user);
    line.ok_or_else(|| Kind::NOT_FOUND.because("nobody has this id"))
}

async fn known(ops: &Ops, visitor: &Visitor, user: &str) -> Result<Known, Problem> {
    let mut tx = ops.looking(visitor).await?;
    let line = line(&mut tx, user).await?;
    let customers = tx.customers_of(user).await?;
    let subscription = match tx.position_of(user).await?.subscription {
        Some(it) => tx.billed_subscription(&it.id).await?,
        None => None,
    };
    let owner = Owner::User(user.to_owned());
    Ok(Known {
        line,
        subscription,
        invoices: tx.invoices_of(user, None, LATEST_ROWS).await?,
        payments: tx.transactions_of(user, None, LATEST_ROWS).await?,
        history: tx.history(&owner, None, LATEST_ROWS).await?,
        events: tx.events_of(user, None, LATEST_ROWS).await?,
        resyncs: tx.resyncs(Some(&customers), RESYNC_ROWS).await?,
        customers,
    })
}

/// A list under a heading, or that there is nothing in it.
fn list(id: &str, heading: &str, rows: Option<Markup>) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (heading) }
            @match rows { Some(rows) => (rows), None => (nothing("None.")) }
        }
    }
}

/// To the events of an object.
fn object(id: &str) -> Markup {
    html! { a.id href=(address("/ops/events", &[("q", &format!("object:{id}"))])) { (id) } }
}

fn standing(known: &Known, state: &SubscriptionState) -> Markup {
    let (line, may) = (&known.line, &state.permissions);
    html! {
        dl.facts {
            div { dt { "Email" } dd { (line.email.as_deref().unwrap_or("—")) } }
            div { dt { "State" } dd { (status(&state.state)) @if state.entitled { " entitled" } } }
            div { dt { "Credits" } dd { (line.balance) } }
            div { dt { "At Stripe" } dd {
                @if known.customers.is_empty() { "—" }
                @for customer in &known.customers { (object(customer)) " " }
            } }
            @if let Some(correction) = &state.correction {
                div { dt { "Plan corrected by staff" } dd {
                    (correction.plan.as_deref().unwrap_or("no plan"))
                    @if let Some(until) = correction.until { " until " (seconds(until)) }
                } }
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

fn terms(it: &BilledSubscription) -> Markup {
    let at = |at: Option<i64>| html! { @match at { Some(at) => (seconds(at)), None => "—" } };
    let end = it
        .ended_at
        .or(it.cancel_at)
        .or(it.period_end.filter(|_| it.cancel_at_period_end));
    html! {
        section aria-labelledby="subscription" {
            h2 #subscription { "Subscription" }
            dl.facts {
                div { dt { "Subscription" } dd { (object(&it.id)) " " (it.status.as_deref().unwrap_or_default()) } }
                div { dt { "Plan" } dd {
                    (it.plan.as_deref().unwrap_or("not in the catalogue"))
                    span.detail { (it.price_id.as_deref().unwrap_or("—")) @if let Some(count) = it.quantity { " × " (count) } }
                } }
                div { dt { "Credits a period" } dd { (it.allowance) } }
                div { dt { "Period (UTC)" } dd { (at(it.period_start)) " to " (at(it.period_end)) } }
                div { dt { "Trial until" } dd { (at(it.trial_end)) } }
                div { dt { "Ends, or ended" } dd { (at(end)) } }
            }
        }
    }
}

fn invoices(invoices: &[UserInvoice]) -> Option<Markup> {
    let rows = html! {
        @for it in invoices {
            tr {
                td { (object(&it.id)) span.detail { (it.number.as_deref().unwrap_or_default()) } }
                td { (status(it.status.as_deref().unwrap_or("—"))) }
                td { (it.billing_reason.as_deref().unwrap_or("—")) }
                td.number { (amount(it.total, it.currency.as_deref())) }
                td.number { (amount(it.amount_remaining, it.currency.as_deref())) }
                td { (seconds(it.created)) }
            }
        }
    };
    let heads = [
        Text("Invoice"),
        Text("Status"),
        Text("Why"),
        Number("Total, minor units"),
        Number("Left to pay"),
        Text("Made (UTC)"),
    ];
    (!invoices.is_empty()).then(|| table("Invoices, the newest first", &heads, &rows))
}

fn payments(payments: &[UserTransaction]) -> Option<Markup> {
    let rows = html! {
        @for it in payments {
            tr {
                td { (object(&it.id)) }
                td { (it.kind) " " (status(it.status.as_deref().unwrap_or("—"))) span.detail { (it.reason.as_deref().unwrap_or_default()) } }
                td.number { (amount(Some(it.amount), it.currency.as_deref())) }
                td { (it.offer.as_deref().unwrap_or("—")) span.detail { (it.source_id.as_deref().unwrap_or_default()) } }
                td { (seconds(it.created)) }
            }
        }
    };
    let heads = [
        Text("Id"),
        Text("What"),
        Number("Minor units"),
        Text("For"),
        Text("When (UTC)"),
    ];
    let caption = "Payments, refunds and disputes, the newest first";
    (!payments.is_empty()).then(|| table(caption, &heads, &rows))
}

fn amount(minor: Option<i64>, currency: Option<&str>) -> String {
    match (minor, currency) {
        (Some(minor), Some(currency)) => format!("{minor} {currency}"),
        (Some(minor), None) => minor.to_string(),
        (None, _) => "—".to_owned(),
    }
}

fn ledger(history: &History) -> Option<Markup> {
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
    let heads = [
        Text("When (UTC)"),
        Text("Kind"),
        Number("Credits"),
        Number("Balance"),
        Text("Source"),
        Text("Reason"),
    ];
    (!history.entries.is_empty()).then(|| table("Credits, the newest first", &heads, &rows))
}
