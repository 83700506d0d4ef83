//! How it goes, at a glance.

use axum::extract::State;
use maud::{Markup, html};
use shared::queue::Depth;
use store::coverage::Coverage;
use store::dead::{Filter, Group};
use store::events::{EventFilter, EventLine};

use super::chart::Chart;
use super::fault::Fault;
use super::form::address;
use super::gate::Visitor;
use super::layout::Head::{Number, Text};
use super::layout::{self, Freshness, Page, Tab, nothing, span, status, table, time};
use super::pulse::{LOOKS_MAX, Look, rates};
use super::{Ops, events, worries};
use crate::problem::Problem;

/// Causes and events that are shown.
const LATEST_ROWS: u32 = 8;

/// Says a value.
type Words = fn(f64) -> String;

/// What Postgres knows.
struct Known {
    waiting: u64,
    groups: Vec<Group>,
    events: Vec<EventLine>,
    coverages: Vec<Coverage>,
}

pub(super) async fn page(State(ops): State<Ops>, visitor: Visitor) -> Result<Page, Fault> {
    let known = known(&ops, &visitor).await?;
    let looks = ops.pulse.looks();
    let content = html! {
        div.live #live {
            (worries::warning(&known.coverages))
            (numbers(&looks, &known))
            (charts(&looks))
            section aria-labelledby="causes" {
                h2 #causes { "What waits for a person" }
                @if known.groups.is_empty() { (nothing("No dead letters.")) } @else { (causes(&known.groups)) }
            }
            section aria-labelledby="latest" {
                h2 #latest { "Latest events" }
                @if known.events.is_empty() { (nothing("No events yet.")) } @else { (events::rows(&known.events)) }
            }
        }
    };
    Ok(layout::page(
        &visitor,
        Tab::Overview,
        "Overview",
        Freshness::Live,
        &content,
    ))
}

async fn known(ops: &Ops, visitor: &Visitor) -> Result<Known, Problem> {
    let account = &ops.app.account;
    let waiting = Filter {
        account: account.clone(),
        ..Filter::default()
    };
    let all = EventFilter {
        account: account.clone(),
        ..EventFilter::default()
    };
    let mut tx = ops.looking(visitor).await?;
    Ok(Known {
        waiting: tx.dead().count(&waiting).await?,
        groups: tx.dead().groups(&waiting, LATEST_ROWS).await?,
        events: tx.events().find(&all, None, LATEST_ROWS).await?.events,
        coverages: tx.coverages().await?,
    })
}

fn numbers(looks: &[Look], known: &Known) -> Markup {
    let depth = looks.last().and_then(|look| look.depth);
    let told = |of: fn(&Depth) -> String| depth.as_ref().map_or_else(|| "?".to_owned(), of);
    html! {
        dl.numbers {
            div { dt { "Waiting in Redis" } dd { (told(|it| (it.entries - it.in_flight.min(it.entries)).to_string())) } }
            div { dt { "In workers' hands" } dd { (told(|it| it.in_flight.to_string())) } }
            div { dt { "Oldest" } dd { (told(|it| span(it.oldest_age_ms))) } }
            div { dt { "Dead letters" } dd { a href="/ops/dead-letters" { (known.waiting) } } }
        }
        @if depth.is_none() { p.nothing role="status" { "Redis has not been asked yet, or does not answer." } }
    }
}

/// What is drawn over time.
#[expect(clippy::cast_precision_loss, reason = "for a drawing")]
fn drawn(looks: &[Look]) -> [(&'static str, Vec<Option<f64>>, Words); 6] {
    let each = |value: fn(&Look) -> Option<f64>| -> Vec<Option<f64>> { looks.iter().map(value).collect() };
    let (a_second, whole): (Words, Words) = (|it| format!("{it:.1}"), |it| format!("{it:.0}"));
    [
        ("Accepted a second", rates(looks, |it| it.added), a_second),
        ("Committed a second", rates(looks, |it| it.written), a_second),
        (
            "Received to committed, p99",
            each(|it| it.latency_ms),
            |it| match it < 1_000.0 {
                true => format!("{it:.0} ms"),
                false => format!("{:.1} s", it / 1_000.0),
            },
        ),
        (
            "Events in Redis",
            each(|it| it.depth.map(|depth| depth.entries as f64)),
            whole,
        ),
        (
            "Age of the oldest in Redis",
            each(|it| it.depth.map(|depth| (depth.oldest_age_ms / 1_000) as f64)),
            |it| format!("{it:.0} s"),
        ),
        ("Dead letters", each(|it| it.dead.map(|dead| dead as f64)), whole),
    ]
}

fn charts(looks: &[Look]) -> Markup {
    html! {
        section aria-labelledby="lately" {
            h2 #lately { "The last quarter of an hour" }
            div.charts {
                @for (title, values, words) in &drawn(looks) {
                    (Chart {
                        title,
                        now: values.last().copied().flatten().map_or_else(|| "?".to_owned(), words),
                        values,
                        room: LOOKS_MAX,
                        most: *words,
                    }.draw())
                }
            }
        }
    }
}

fn causes(groups: &[Group]) -> Markup {
    let rows = html! {
        @for group in groups {
            tr {
                td.number { (group.letters) }
                td { (status(&group.class)) " " (group.reason) }
                td { (group.event_type.as_deref().unwrap_or("—")) }
                td { (time(group.last_us)) }
                td { a href=(address("/ops/dead-letters", &[("fingerprint", &group.fingerprint)])) { "Look" } }
            }
        }
    };
    let heads = [
        Number("Letters"),
        Text("Cause"),
        Text("Type"),
        Text("Last"),
        Text("More"),
    ];
    table("Causes with the most dead letters", &heads, &rows)
}
