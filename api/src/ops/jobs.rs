//! Jobs: replays and discardings, and how far they are; and resyncs, which have a page of their own (`resync.rs`).

use axum::extract::State;
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;
use store::api::AuditRow;
use store::dead::{Job, JobState};

use super::fault::Fault;
use super::form::{Form, address};
use super::gate::Visitor;
use super::layout::Head::Text;
use super::layout::{self, Freshness, PAGE_ROWS, Page, Tab, form_token, more, nothing, status, table, time};
use super::users::OpsRole;
use super::{Asked, Ops, resync};
use crate::problem::Kind;
use crate::routes::paging::cut;

/// Latest resyncs beside them.
const RESYNC_ROWS: u32 = 10;

#[derive(Deserialize)]
pub(super) struct ListQuery {
    after: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct Query {
    id: i64,
}

/// All jobs, the newest first.
pub(super) async fn list(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<ListQuery>,
) -> Result<Page, Fault> {
    let mut tx = ops.looking(&visitor).await?;
    let jobs = tx
        .dead()
        .jobs(&ops.app.account, query.after, PAGE_ROWS + 1)
        .await?;
    let (jobs, next) = cut(jobs, PAGE_ROWS, |job| job.id.to_string());
    let resyncs = tx.resyncs(None, RESYNC_ROWS).await?;
    let content = html! {
        div.live #live { @if jobs.is_empty() { (nothing("No jobs yet.")) } @else { (rows(&jobs)) } }
        (more("/ops/jobs", &[], next.as_deref()))
        @if query.after.is_none() && !resyncs.is_empty() {
            section.live #resyncs aria-labelledby="of-resyncs" {
                h2 #of-resyncs { "Customers asked of Stripe anew" }
                (resync::rows(&resyncs))
            }
        }
    };
    Ok(layout::page(
        &visitor,
        Tab::Jobs,
        "Jobs",
        Freshness::Live,
        &content,
    ))
}

fn rows(jobs: &[Job]) -> Markup {
    let rows = html! {
        @for job in jobs {
            tr {
                td { a href=(address("/ops/job", &[("id", &job.id.to_string())])) { (job.deed.as_str()) " " (job.id) } }
                td { (status(job.state.as_str())) }
                td { (bar(job)) }
                td { (job.actor) span.detail { (job.why) } }
                td { (time(job.created_us)) }
            }
        }
    };
    table(
        "Jobs, the newest first",
        &[
            Text("Job"),
            Text("State"),
            Text("Progress"),
            Text("Asked for by"),
            Text("When (UTC)"),
        ],
        &rows,
    )
}

/// How far a job is, as a bar and in words.
fn bar(job: &Job) -> Markup {
    let looked_at = job.done + job.failed + job.skipped;
    html! {
        progress value=(looked_at) max=(job.counted.max(looked_at).max(1)) aria-label=(format!("Progress of job {}", job.id)) {}
        " " (looked_at) " of " (job.counted)
    }
}

/// One job.
pub(super) async fn page(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<Query>,
) -> Result<Page, Fault> {
    let mut tx = ops.looking(&visitor).await?;
    let job = tx
        .dead()
        .job(&ops.app.account, query.id)
        .await?
        .ok_or(Kind::NOT_FOUND)?;
    let is_open = job.state == JobState::Open;
    let content = html! {
        div.live #live {
            p role="status" { (status(job.state.as_str())) " " (bar(&job)) }
            (facts(&job))
        }
        @if is_open && visitor.may(OpsRole::Operator) {
            form.work method="post" action="/ops/jobs/stop" {
                (form_token(&visitor))
                input type="hidden" name="id" value=(job.id);
                div.deeds { button type="submit" { "Stop it" } }
            }
        }
    };
    let title = format!("Job {}: {}", job.id, job.deed.as_str());
    let freshness = if is_open {
        Freshness::Live
    } else {
        Freshness::Still
    };
    Ok(layout::page(&visitor, Tab::Jobs, &title, freshness, &content))
}

fn facts(job: &Job) -> Markup {
    let filter = &job.filter;
    let words = [&filter.fingerprint, &filter.event_type, &filter.reason];
    let words: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
    html! {
        dl.facts {
            div { dt { "Done" } dd { (job.done) } }
            div { dt { "Set aside again" } dd { (job.failed) } }
            div { dt { "Somebody else was quicker" } dd { (job.skipped) } }
            div { dt { "Letters" } dd {
                @if !filter.ids.is_empty() { (filter.ids.len()) " chosen" }
                @else if words.is_empty() { "all" }
                @else { (words.join(", ")) }
            } }
            div { dt { "Rate" } dd { @match job.rate { Some(rate) => { (rate) " a second" }, None => "as fast as it goes" } } }
            div { dt { "Asked for by" } dd { (job.actor) } }
            div { dt { "Why" } dd { (job.why) } }
            div { dt { "Began" } dd { (time(job.created_us)) } }
            div { dt { "Ended" } dd { @match job.finished_us { Some(at) => (time(at)), None => "—" } } }
        }
    }
}

/// Stops a job; what it has done stays done.
pub(super) async fn stop(State(ops): State<Ops>, visitor: Visitor, form: Form) -> Result<Redirect, Fault> {
    let id = form
        .get("id")
        .and_then(|id| id.parse::<i64>().ok())
        .ok_or(Kind::INVALID)?;
    let named = id.to_string();
    let mut tx = ops.app.store.begin_as(&ops.actor(&visitor)).await?;
    if tx.dead().stop_job(&ops.app.account, id).await? {
        tx.audit(AuditRow {
            action: "dead_letters.stop",
            user: None,
            subject: Some(&named),
            reason: "stopped on the ops page",
            detail: &json!({}),
        })
        .await?;
        tx.commit().await?;
    }
    Ok(Redirect::to(&address("/ops/job", &[("id", &named)])))
}
