//! The queue and its shards: what waits, who reads it, and whether anything is taken from it at all.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Redirect;
use maud::{Markup, html};
use serde_json::json;
use shared::queue::pause::Paused;
use shared::queue::roster::Roster;
use shared::queue::survey::Survey;
use shared::queue::{Log, Pause, QueueError};
use store::api::AuditRow;

use super::Ops;
use super::fault::Fault;
use super::form::Form;
use super::gate::Visitor;
use super::layout::Head::{Number, Text};
use super::layout::{self, Freshness, Page, Tab, Tone, badge, form_token, nothing, span, table, time};
use super::users::OpsRole;
use crate::problem::{Kind, Problem};
use crate::routes::credits::reason;

const PAGE: &str = "/ops/queue";

pub(super) async fn page(State(ops): State<Ops>, visitor: Visitor) -> Result<Page, Fault> {
    let mut probe = ops.probe.clone();
    let paused = probe.paused().await.map_err(away)?;
    let survey = probe.survey(ops.clock.unix_ms()).await.map_err(away)?;
    let roster = probe.roster().await.map_err(away)?;
    let content = html! {
        div.live #live { p role="status" { (state(paused.as_ref())) } }
        @if visitor.may(OpsRole::Operator) { (switch(&visitor, paused.is_some())) }
        section.live #shards aria-labelledby="of-shards" {
            h2 #of-shards { "Shards" }
            @if survey.is_empty() { (nothing("Nothing was ever accepted.")) } @else { (shards(&survey, &roster)) }
        }
    };
    Ok(layout::page(
        &visitor,
        Tab::Queue,
        "Queue",
        Freshness::Live,
        &content,
    ))
}

/// A Redis that does not answer is said, and nothing else is shown in its place.
pub(super) fn away(error: QueueError) -> Problem {
    tracing::warn!(%error, "Redis");
    Kind::UNAVAILABLE.because("Redis does not answer")
}

fn state(paused: Option<&Pause>) -> Markup {
    html! {
        @match paused {
            None => { (badge("running", Tone::Good)) " Workers take what comes." }
            Some(pause) => {
                (badge("paused", Tone::Bad)) " since " (time(pause.at_ms * 1_000)) " by " (pause.by) ": " (pause.why)
            }
        }
    }
}

fn switch(visitor: &Visitor, is_paused: bool) -> Markup {
    let (path, button) = match is_paused {
        false => ("/ops/queue/pause", "Pause the queue"),
        true => ("/ops/queue/resume", "Resume the queue"),
    };
    html! {
        form.work method="post" action=(path) {
            (form_token(visitor))
            div.deeds {
                div.wide {
                    label for="why" { "Why (for the audit log)" }
                    input #why name="why" required maxlength="500" autocomplete="off";
                }
                button.main[is_paused] type="submit" { (button) }
            }
        }
    }
}

fn shards(survey: &[(u16, Survey)], roster: &Roster) -> Markup {
    let held = roster.workers.iter().flat_map(|worker| {
        let shards = worker.shards.keys();
        shards.map(|shard| (*shard, worker.name.as_str()))
    });
    let readers: BTreeMap<u16, &str> = held.collect();
    let rows = html! {
        @for (shard, seen) in survey {
            @let depth = seen.depth;
            tr {
                td.number { (shard) }
                td.number { (depth.entries.saturating_sub(depth.in_flight)) }
                td.number { (depth.in_flight) }
                td.number { (depth.newer) }
                td { (span(depth.oldest_age_ms)) }
                td.id { (readers.get(shard).copied().unwrap_or("nobody")) }
            }
        }
    };
    let heads = [
        Number("Shard"),
        Number("Waiting"),
        Number("In hands"),
        Number("For a newer build"),
        Text("Oldest"),
        Text("Reader"),
    ];
    table("What waits in each shard", &heads, &rows)
}

/// Written down before it is done: what Redis does cannot be taken back with the row.
async fn audit(ops: &Ops, visitor: &Visitor, action: &'static str, form: &Form) -> Result<String, Problem> {
    let why = reason(form.get("why"))?.ok_or_else(|| Kind::INVALID.because("say why"))?;
    let mut tx = ops.app.store.begin_as(&ops.actor(visitor)).await?;
    tx.audit(AuditRow {
        action,
        user: None,
        subject: None,
        reason: why,
        detail: &json!({}),
    })
    .await?;
    tx.commit().await?;
    Ok(why.to_owned())
}

pub(super) async fn pause(State(ops): State<Ops>, visitor: Visitor, form: Form) -> Result<Redirect, Fault> {
    let why = audit(&ops, &visitor, "queue.pause", &form).await?;
    let by = ops.actor(&visitor).subject;
    let Paused { pause, was_paused } = ops
        .probe
        .clone()
        .pause(&by, &why, Log::Written)
        .await
        .map_err(away)?;
    tracing::info!(by = pause.by, was_paused, "the queue is paused");
    Ok(Redirect::to(PAGE))
}

pub(super) async fn resume(State(ops): State<Ops>, visitor: Visitor, form: Form) -> Result<Redirect, Fault> {
    let why = audit(&ops, &visitor, "queue.resume", &form).await?;
    let by = ops.actor(&visitor).subject;
    let was = ops
        .probe
        .clone()
        .resume(&by, &why, Log::Written)
        .await
        .map_err(away)?;
    tracing::info!(was_paused = was.is_some(), "the queue is resumed");
    Ok(Redirect::to(PAGE))
}
