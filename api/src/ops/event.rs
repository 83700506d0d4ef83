//! One event: what happened to it when, what it changed, what else happened to its object.

use std::collections::HashSet;

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use store::events::{EventLine, Moment, Story, What};

use super::fault::Fault;
use super::form::address;
use super::gate::Visitor;
use super::layout::Head::Text;
use super::layout::{self, Freshness, Page, Tab, Tone, badge, nothing, span, status, table, time};
use super::queue::away;
use super::users::OpsRole;
use super::{Asked, Ops, dead, events};
use crate::caller::checked_id;
use crate::problem::Kind;

/// Who may read what Stripe sent: it has names and addresses in it.
const READS_BODIES: OpsRole = OpsRole::Operator;

#[derive(Deserialize)]
pub(super) struct Query {
    id: String,
}

pub(super) async fn page(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<Query>,
) -> Result<Page, Fault> {
    let id = checked_id(&query.id)?;
    let account = &ops.app.account;
    let mut tx = ops.looking(&visitor).await?;
    let Some(story) = tx.events().story(account, id).await? else {
        return on_its_way(&ops, &visitor, id).await;
    };
    let body = match visitor.may(READS_BODIES) {
        true => tx.events().body(account, id).await?,
        false => None,
    };
    let content = html! {
        (facts(&story.event))
        section aria-labelledby="timeline" {
            h2 #timeline { "Timeline" }
            (timeline(&story.moments))
        }
        @if story.event.status == "parked" { (dead::of_event(&visitor, id)) }
        section aria-labelledby="rows" {
            h2 #rows { "Rows, as they are now" }
            (changes(&story))
        }
        section aria-labelledby="related" {
            h2 #related { "Other events of the same object" }
            @if story.related.is_empty() { (nothing("None.")) } @else { (events::rows(&story.related)) }
        }
        section aria-labelledby="body" {
            h2 #body { "What Stripe sent" }
            @match &body {
                Some(body) => details { summary { "Show" } pre tabindex="0" { (indented(body)) } },
                None => (nothing("For operators: it may hold personal data.")),
            }
        }
    };
    Ok(layout::page(
        &visitor,
        Tab::Events,
        &story.event.id,
        Freshness::Still,
        &content,
    ))
}

/// An event that is not in the inbox: it may wait for a worker.
async fn on_its_way(ops: &Ops, visitor: &Visitor, id: &str) -> Result<Page, Fault> {
    let ids = HashSet::from([id]);
    let waiting = ops.probe.clone().waiting_of(&ops.app.account, &ids).await;
    let endpoint = match waiting.map_err(away)? {
        Some(mut found) => found.remove(id),
        None => {
            return Err(Kind::NOT_FOUND
                .because("not in the inbox; too much waits to look there")
                .into());
        }
    };
    let endpoint =
        endpoint.ok_or_else(|| Kind::NOT_FOUND.because("neither in the inbox nor in the queue"))?;
    let content = html! {
        div.live #live {
            p role="status" { (badge("queued", Tone::Busy)) " It was received by endpoint " (endpoint) ", and waits for a worker." }
            p { a href="/ops/queue" { "The queue" } }
        }
    };
    Ok(layout::page(visitor, Tab::Events, id, Freshness::Live, &content))
}

fn facts(event: &EventLine) -> Markup {
    let object = event.object_id.as_deref().unwrap_or_default();
    html! {
        dl.facts {
            div { dt { "Outcome" } dd { (status(&event.status)) " " (event.reason.as_deref().unwrap_or_default()) } }
            div { dt { "Type" } dd { (event.event_type) } }
            div { dt { "Object" } dd {
                (event.object_type.as_deref().unwrap_or("—")) " "
                a.id href=(address("/ops/events", &[("q", &format!("object:{object}"))])) { (object) }
            } }
            div { dt { "Endpoint" } dd { (event.endpoint) } }
            div { dt { "Mode" } dd { @if event.livemode { "live" } @else { "test" } } }
            div { dt { "API version" } dd { (event.api_version.as_deref().unwrap_or("—")) } }
        }
    }
}

/// The oldest first, each with the time since the one before.
fn timeline(moments: &[Moment]) -> Markup {
    let before = std::iter::once(None).chain(moments.iter().map(|it| Some(it.at_us)));
    html! {
        ol.timeline {
            @for (moment, before) in moments.iter().zip(before) {
                li {
                    (time(moment.at_us)) " " (badge(moment.what.as_str(), tone(moment.what)))
                    @if let Some(waited) = before.and_then(|it| u64::try_from(moment.at_us - it).ok()) {
                        span.after { "after " (span(waited / 1_000)) }
                    }
                    @if !moment.detail.is_empty() { span.detail { (moment.detail) } }
                }
            }
        }
    }
}

fn tone(what: What) -> Tone {
    match what {
        What::Applied => Tone::Good,
        What::Parked => Tone::Bad,
        What::Replayed => Tone::Busy,
        What::Created
        | What::Received
        | What::Queued
        | What::Begun
        | What::Redelivered
        | What::Discarded
        | What::Ignored => Tone::Plain,
    }
}

fn changes(story: &Story) -> Markup {
    if story.changes.is_empty() {
        return nothing("None that are known of.");
    }
    let rows = html! {
        @for change in &story.changes {
            tr { td { (change.table) } td.id { (change.key) } td { (change.today) } }
        }
    };
    table("Rows", &[Text("Table"), Text("Key"), Text("Today")], &rows)
}

/// JSON for people; anything else as it is.
fn indented(body: &str) -> String {
    let read: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let written = read.and_then(|value| serde_json::to_string_pretty(&value).ok());
    written.unwrap_or_else(|| body.to_owned())
}
