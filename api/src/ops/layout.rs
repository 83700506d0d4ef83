//! The frame of every page, and what pages are made of.

use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use shared::when;

use super::assets;
use super::form::address;
use super::gate::{FORM_TOKEN, Visitor};

/// Rows of a list.
pub(super) const PAGE_ROWS: u32 = 50;
/// Seconds after which a page that shows what is going on is loaded again, where there are no scripts.
const RELOAD_SECONDS: u32 = 10;

/// A page, whole.
pub(super) struct Page(Markup);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        Html(self.0.into_string()).into_response()
    }
}

/// What the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Events,
    Dead,
    Jobs,
    Reconcile,
    Queue,
    Workers,
    Customers,
    Audit,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 9] = [
        (Self::Overview, "/ops", "Overview"),
        (Self::Events, "/ops/events", "Events"),
        (Self::Dead, "/ops/dead-letters", "Dead letters"),
        (Self::Jobs, "/ops/jobs", "Jobs"),
        (Self::Reconcile, "/ops/reconcile", "Reconcile"),
        (Self::Queue, "/ops/queue", "Queue"),
        (Self::Workers, "/ops/workers", "Workers"),
        (Self::Customers, "/ops/customers", "Customers"),
        (Self::Audit, "/ops/audit-log", "Audit log"),
    ];
}

/// Whether a page shows what is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It is as it was when it was asked for.
    Still,
    /// Its parts of the class `live` are fetched again and again.
    Live,
}

/// A page of somebody who is signed in.
pub(super) fn page(visitor: &Visitor, tab: Tab, title: &str, freshness: Freshness, content: &Markup) -> Page {
    let is_live = freshness == Freshness::Live;
    Page(html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, is_live))
            body data-live[is_live] {
                a.skip href="#content" { "Skip to the content" }
                header {
                    a.brand href="/ops" { "Tollgate" }
                    nav aria-label="Pages" {
                        ul {
                            @for (it, path, name) in Tab::ALL {
                                li { a href=(path) aria-current=[(it == tab).then_some("page")] { (name) } }
                            }
                        }
                    }
                    form.who method="post" action="/ops/sign-out" {
                        (form_token(visitor))
                        span { (visitor.name) " " (badge(visitor.role.as_str(), Tone::Plain)) }
                        button.quiet type="submit" { "Sign out" }
                    }
                }
                main #content tabindex="-1" {
                    h1 { (title) }
                    (content)
                }
            }
        }
    })
}

/// A page of nobody's.
pub(super) fn bare(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, false))
            body.bare { main #content { (content) } }
        }
    }
}

fn head(title: &str, is_live: bool) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · Tollgate" }
            link rel="icon" href="data:,";
            link rel="stylesheet" href=(assets::STYLE.address());
            script src=(assets::SCRIPT.address()) defer {}
            @if is_live { noscript { meta http-equiv="refresh" content=(RELOAD_SECONDS); } }
        }
    }
}

/// What every form carries.
pub(super) fn form_token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name=(FORM_TOKEN) value=(visitor.form_token); }
}

/// How something is to be taken. Never told by colour alone: a badge has a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Busy,
    Bad,
}

pub(super) fn badge(word: &str, tone: Tone) -> Markup {
    let class = match tone {
        Tone::Plain => "badge",
        Tone::Good => "badge good",
        Tone::Busy => "badge busy",
        Tone::Bad => "badge bad",
    };
    html! { span class=(class) { (word) } }
}

/// What became of an event, a letter or a job.
pub(super) fn status(word: &str) -> Markup {
    let tone = match word {
        "applied" | "replayed" | "done" | "over" | "active" | "trialing" | "paid" | "succeeded" => Tone::Good,
        "parked" | "bug" | "past_due" | "failed" | "requires_payment_method" => Tone::Bad,
        "open" | "running" | "waiting" => Tone::Busy,
        _ => Tone::Plain,
    };
    badge(word, tone)
}

/// A time in UTC, to the second; the whole of it for machines.
pub(super) fn time(us: i64) -> Markup {
    let exact = when::shown(us);
    let to_seconds = exact
        .split(['.', 'Z'])
        .next()
        .unwrap_or_default()
        .replace('T', " ");
    html! { time datetime=(exact) title=(exact) { (to_seconds) } }
}

/// The same of unix seconds.
pub(super) fn seconds(seconds: i64) -> Markup {
    time(seconds.saturating_mul(1_000_000))
}

/// How long something took, or has lasted.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms} ms"),
        1..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A link to an event.
pub(super) fn event_link(id: &str) -> Markup {
    html! { a.id href=(address("/ops/event", &[("id", id)])) { (id) } }
}

/// What leads to the next page of a list.
pub(super) fn more(path: &str, query: &[(&str, &str)], next: Option<&str>) -> Markup {
    html! {
        @if let Some(next) = next {
            @let onward: Vec<_> = query.iter().copied().chain([("after", next)]).collect();
            p.pager { a rel="next" href=(address(path, &onward)) { "Next page" } }
        }
    }
}

/// The head of a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Head {
    Text(&'static str),
    /// Of numbers, which end at one edge.
    Number(&'static str),
}

/// A table in a box that scrolls by itself, where a screen is too narrow.
pub(super) fn table(caption: &str, heads: &[Head], rows: &Markup) -> Markup {
    html! {
        div.scroll role="region" aria-label=(caption) tabindex="0" {
            table {
                caption.unseen { (caption) }
                thead { tr { @for head in heads {
                    @match head {
                        Head::Text(name) => th scope="col" { (name) },
                        Head::Number(name) => th.number scope="col" { (name) },
                    }
                } } }
                tbody { (rows) }
            }
        }
    }
}

/// What is said where there is nothing.
pub(super) fn nothing(text: &str) -> Markup {
    html! { p.nothing { (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_text() {
        let evil = "\"><script>alert(1)</script>";
        for shown in [badge(evil, Tone::Bad), event_link(evil), nothing(evil)] {
            assert!(!shown.into_string().contains("<script"));
        }
    }

    #[test]
    fn times_and_spans_are_for_people() {
        let shown = time(1_763_712_000_123_000).into_string();
        assert!(shown.contains(">2025-11-21 08:00:00<"), "{shown}");
        assert_eq!(
            (span(5), span(61_000), span(7_300_000)),
            ("5 ms".into(), "61 s".into(), "2 h".into())
        );
    }
}
