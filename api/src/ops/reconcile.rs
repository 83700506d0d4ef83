//! Whether everything of Stripe's list is here, account by account, every event that was ever missing, and what differed.

use axum::extract::State;
use domain::silence::{EndpointState, Verdict};
use maud::{Markup, html};
use serde::Deserialize;
use store::coverage::{Coverage, Hole, HoleFilter, HoleState};

use super::fault::Fault;
use super::form::address;
use super::gate::Visitor;
use super::layout::Head::{Number, Text};
use super::layout::{
    self, Freshness, PAGE_ROWS, Page, Tab, Tone, badge, event_link, more, nothing, seconds, span, table,
};
use super::worries::{advice, meaning, ms, of, verdict, worries};
use super::{Asked, Ops, differences};
use crate::caller::checked_id;
use crate::problem::{Kind, Problem};
use crate::routes::paging::{cursor, page as cut};

/// Where it is.
pub(super) const PAGE: &str = "/ops/reconcile";

/// Which holes.
#[derive(Deserialize, Default)]
pub(super) struct Query {
    account: Option<String>,
    #[serde(default)]
    state: String,
    #[serde(default, rename = "type")]
    event_type: String,
    #[serde(default)]
    id: String,
    after: Option<String>,
}

impl Query {
    /// As fields of an address.
    fn fields(&self) -> [(&'static str, &str); 4] {
        [
            ("account", self.account.as_deref().unwrap_or_default()),
            ("state", &self.state),
            ("type", &self.event_type),
            ("id", &self.id),
        ]
    }
}

pub(super) async fn page(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<Query>,
) -> Result<Page, Fault> {
    let account = query.account.as_deref().unwrap_or(&ops.app.account);
    let states = match query.state.as_str() {
        "" => None,
        word => Some(HoleState::parse(word).ok_or_else(|| Kind::INVALID.because("no such state"))?),
    };
    let filter = HoleFilter {
        account,
        states: states.as_slice(),
        event_id: said(&query.id)?,
        event_type: said(&query.event_type)?,
        after: cursor(query.after.as_deref())?,
    };
    let mut tx = ops.looking(&visitor).await?;
    let coverages = tx.coverages().await?;
    let holes = tx.holes(filter, PAGE_ROWS + 1).await?;
    let found = tx.differences(None, differences::ROWS).await?;
    let (holes, next) = cut(holes, PAGE_ROWS, |hole| (hole.found_at, &hole.event_id));
    let content = html! {
        div.live #accounts {
            @if coverages.is_empty() {
                (nothing("Nobody has compared anything with Stripe's list yet: that takes a worker with STRIPE_API_KEY."))
            }
            @for (at, coverage) in coverages.iter().enumerate() { (of_account(at, coverage)) }
        }
        section aria-labelledby="of-holes" {
            h2 #of-holes { "Events that were missing" (of(account)) }
            (filter_form(&query, &coverages, account))
            div.live #holes {
                @if holes.is_empty() { (nothing("None fit.")) } @else { (rows(&holes)) }
            }
            (more(PAGE, &query.fields(), next.as_deref()))
        }
        (differences::section(&found))
    };
    Ok(layout::page(
        &visitor,
        Tab::Reconcile,
        "Reconcile",
        Freshness::Live,
        &content,
    ))
}

/// A word of the filter, when there is one.
fn said(text: &str) -> Result<Option<&str>, Problem> {
    let text = text.trim();
    (!text.is_empty()).then(|| checked_id(text)).transpose()
}

fn of_account(at: usize, coverage: &Coverage) -> Markup {
    let name = match coverage.account.as_str() {
        "" => "The platform's own account",
        account => account,
    };
    let heading = format!("account-{at}");
    let verdict = verdict(coverage);
    html! {
        section aria-labelledby=(heading) {
            h2 id=(heading) { (name) }
            @for worry in worries(coverage) { p.problem { (worry) } }
            @if let Some(advice) = verdict.and_then(advice) { p.advice { strong { "To do: " } (advice) } }
            (facts(coverage, verdict))
        }
    }
}

fn facts(it: &Coverage, verdict: Option<Verdict>) -> Markup {
    let at = |at: Option<i64>| html! { @match at { Some(at) => (seconds(at)), None => "—" } };
    let of_holes = |state: HoleState| address(PAGE, &[("account", &it.account), ("state", state.as_str())]);
    html! {
        dl.facts {
            div { dt { "Covered up to (UTC)" } dd { (at(it.covered_until)) span.detail { (span(ms(it.lag))) " behind now" } } }
            div { dt { "Compared up to (UTC)" } dd { (at(it.looked_until)) } }
            div { dt { "Do events arrive?" } dd {
                @match verdict {
                    Some(verdict) => { (word(verdict)) " since " (at(it.verdict_since)) span.detail { (meaning(verdict)) } }
                    None => "Not known yet.",
                }
            } }
            div { dt { "Last round that ended well" } dd {
                (at(it.round_at)) span.detail { (span(ms(it.age))) " ago" }
            } }
            div { dt { "In it" } dd {
                (it.listed) " listed" span.detail { (it.queued) " waited, " (it.parked) " set aside, " (it.missing) " missing" }
            } }
            div { dt { "Missing now" } dd { a href=(of_holes(HoleState::Open)) { (it.holes) " to be filled in" }
                span.detail { a href=(of_holes(HoleState::Gone)) { (it.gone) " gone at Stripe" } } } }
            div { dt { "Our endpoint at Stripe" } dd { (it.endpoint.map_or("—", EndpointState::as_str)) } }
            div { dt { "Compared with" } dd {
                @match &it.identity {
                    Some(whose) => { span.id { (whose.stripe_account) } " " @if whose.livemode { "live" } @else { "test" } }
                    None => "—",
                }
            } }
            @if let Some(silence) = &it.silence {
                div { dt { "Nothing arrived of what happened" } dd { (seconds(silence.since)) " to " (seconds(silence.until)) } }
            }
            @if let Some(error) = &it.last_error { div { dt { "The last round failed" } dd { (error) } } }
        }
    }
}

fn word(verdict: Verdict) -> Markup {
    let tone = match verdict {
        Verdict::Flowing => Tone::Good,
        Verdict::Quiet => Tone::Plain,
        _ => Tone::Bad,
    };
    badge(verdict.as_str(), tone)
}

fn filter_form(query: &Query, coverages: &[Coverage], account: &str) -> Markup {
    let named = |account: &str| {
        if account.is_empty() {
            "the platform's own"
        } else {
            account
        }
        .to_owned()
    };
    html! {
        form.filter method="get" action=(PAGE) {
            @if coverages.len() > 1 {
                div { label for="account" { "Account" } select #account name="account" {
                    @for it in coverages {
                        option value=(it.account) selected[it.account == account] { (named(&it.account)) }
                    }
                } }
            }
            div { label for="state" { "What became of them" } select #state name="state" {
                option value="" { "anything" }
                @for state in HoleState::ALL {
                    option value=(state.as_str()) selected[query.state == state.as_str()] { (state_words(state)) }
                }
            } }
            div { label for="type" { "Type" } input #type name="type" value=(query.event_type) autocomplete="off"; }
            div { label for="id" { "Event" } input #id name="id" value=(query.id) autocomplete="off" spellcheck="false" data-hotkey="/"; }
            button type="submit" { "Find" }
        }
    }
}

fn state_words(state: HoleState) -> &'static str {
    match state {
        HoleState::Open => "missing",
        HoleState::Filled => "filled in",
        HoleState::Gone => "gone at Stripe",
    }
}

fn rows(holes: &[Hole]) -> Markup {
    let rows = html! {
        @for hole in holes {
            @let state = hole.state();
            tr {
                td { @if state == HoleState::Filled { (event_link(&hole.event_id)) } @else { span.id { (hole.event_id) } } }
                td { (hole.event_type) }
                td {
                    (badge(state_words(state), if state == HoleState::Filled { Tone::Good } else { Tone::Bad }))
                    @if let Some(error) = &hole.last_error { span.detail { (error) } }
                }
                td { (seconds(hole.created)) }
                td { (seconds(hole.found_at)) }
                td { @match hole.filled_at.or(hole.gone_at) { Some(at) => (seconds(at)), None => "—" } }
                td.number { (hole.tries) }
            }
        }
    };
    let heads = [
        Text("Event"),
        Text("Type"),
        Text("What became of it"),
        Text("Happened (UTC)"),
        Text("Found missing"),
        Text("Filled in, or gone"),
        Number("Tries"),
    ];
    table("Events that were missing, those found last first", &heads, &rows)
}
