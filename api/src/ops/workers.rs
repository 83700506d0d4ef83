//! Who works on the queue.

use axum::extract::State;
use maud::{Markup, html};
use shared::queue::roster::{Roster, WorkerSeen};

use super::Ops;
use super::fault::Fault;
use super::gate::Visitor;
use super::layout::Head::{Number, Text};
use super::layout::{self, Freshness, Page, Tab, Tone, badge, nothing, span, table};
use super::queue::away;

pub(super) async fn page(State(ops): State<Ops>, visitor: Visitor) -> Result<Page, Fault> {
    let roster = ops.probe.clone().roster().await.map_err(away)?;
    let content = html! {
        div.live #live {
            @if roster.workers.is_empty() { (nothing("Nobody works.")) } @else { (rows(&roster)) }
            @if roster.handed_back > 0 {
                p { (roster.handed_back) " events were handed back, and nobody has taken them yet." }
            }
        }
    };
    Ok(layout::page(
        &visitor,
        Tab::Workers,
        "Workers",
        Freshness::Live,
        &content,
    ))
}

fn rows(roster: &Roster) -> Markup {
    let rows = html! {
        @for worker in &roster.workers {
            tr {
                td.id { (worker.name) }
                td { (state(worker)) }
                td { (span(worker.seen_ms_ago)) " ago" }
                td { (shards(worker)) }
                td.number { (worker.in_flight) }
                td.number { @match &worker.about { Some(about) => (about.slots), None => "—" } }
                td { (worker.about.as_ref().map_or("older", |about| about.version.as_str())) }
            }
        }
    };
    let heads = [
        Text("Worker"),
        Text("State"),
        Text("Seen"),
        Text("Shards"),
        Number("Events in hands"),
        Number("Slots"),
        Text("Build"),
    ];
    table("Workers", &heads, &rows)
}

fn state(worker: &WorkerSeen) -> Markup {
    let rests = worker.about.as_ref().is_some_and(|about| about.resting.is_some());
    match (worker.alive, rests, worker.shards.is_empty()) {
        (false, _, _) => badge("gone", Tone::Bad),
        (true, true, _) => badge("resting", Tone::Busy),
        (true, false, true) => badge("spare", Tone::Plain),
        (true, false, false) => badge("working", Tone::Good),
    }
}

fn shards(worker: &WorkerSeen) -> String {
    let shards: Vec<String> = worker.shards.keys().map(u16::to_string).collect();
    match shards.is_empty() {
        true => "—".to_owned(),
        false => shards.join(", "),
    }
}
