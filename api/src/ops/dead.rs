//! Dead letters: causes, the letters of one, and having them run again or discarded.

use axum::extract::State;
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;
use store::dead::{Deed, Filter, Group, Letter, LetterState};

use super::fault::Fault;
use super::form::{Form, address};
use super::gate::Visitor;
use super::layout::Head::{Number, Text};
use super::layout::{
    self, Freshness, PAGE_ROWS, Page, Tab, event_link, form_token, more, nothing, status, table, time,
};
use super::users::OpsRole;
use super::{Asked, Ops};
use crate::problem::{Kind, Problem};
use crate::routes::credits::reason;
use crate::routes::deads::{RATE_MAX, begin_job, checked, place_of};
use crate::routes::events::cursor;
use crate::routes::paging::cut;

/// Letters a second, unless somebody says otherwise.
const RATE_DEFAULT: u32 = 50;

/// Which letters.
#[derive(Deserialize, Default)]
pub(super) struct Query {
    #[serde(default)]
    fingerprint: String,
    #[serde(default, rename = "type")]
    event_type: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    discarded: bool,
    after: Option<String>,
}

impl Query {
    fn filter(&self, account: &str) -> Result<Filter, Problem> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|it| !it.is_empty());
        checked(Filter {
            account: account.to_owned(),
            state: match self.discarded {
                true => LetterState::Discarded,
                false => LetterState::Waiting,
            },
            ids: given(&self.id).into_iter().collect(),
            fingerprint: given(&self.fingerprint),
            event_type: given(&self.event_type),
            reason: given(&self.reason),
            ..Filter::default()
        })
    }

    /// As fields of an address or a form.
    fn fields(&self) -> [(&'static str, &str); 5] {
        [
            ("fingerprint", &self.fingerprint),
            ("type", &self.event_type),
            ("reason", &self.reason),
            ("id", &self.id),
            ("discarded", if self.discarded { "true" } else { "" }),
        ]
    }
}

/// What Postgres says.
struct Found {
    count: u64,
    groups: Vec<Group>,
    letters: Vec<Letter>,
    next: Option<String>,
}

pub(super) async fn page(
    State(ops): State<Ops>,
    visitor: Visitor,
    Asked(query): Asked<Query>,
) -> Result<Page, Fault> {
    let found = find(&ops, &visitor, &query).await?;
    let content = html! {
        (filter_form(&query))
        @if query.fingerprint.is_empty() && query.id.is_empty() {
            section aria-labelledby="causes" {
                h2 #causes { "Causes" }
                @if found.groups.is_empty() { (nothing("None.")) } @else { (causes(&query, &found.groups)) }
            }
        }
        section aria-labelledby="letters" {
            h2 #letters { "Letters " span.count { (found.count) } }
            @if found.letters.is_empty() {
                (nothing("No dead letters fit."))
            } @else {
                (work_form(&visitor, &query, &found))
            }
            (more("/ops/dead-letters", &query.fields(), found.next.as_deref()))
        }
    };
    Ok(layout::page(
        &visitor,
        Tab::Dead,
        "Dead letters",
        Freshness::Still,
        &content,
    ))
}

async fn find(ops: &Ops, visitor: &Visitor, query: &Query) -> Result<Found, Problem> {
    let filter = query.filter(&ops.app.account)?;
    let after = cursor(query.after.as_deref())?;
    let mut tx = ops.looking(visitor).await?;
    let letters = tx.dead().letters(&filter, after.as_ref(), PAGE_ROWS + 1).await?;
    let (letters, next) = cut(letters, PAGE_ROWS, place_of);
    Ok(Found {
        count: tx.dead().count(&filter).await?,
        groups: tx.dead().groups(&filter, PAGE_ROWS).await?,
        next,
        letters,
    })
}

fn filter_form(query: &Query) -> Markup {
    let fields = [
        ("type", "Type", &query.event_type),
        ("reason", "Set aside for", &query.reason),
        ("id", "Event", &query.id),
    ];
    html! {
        form.filter method="get" action="/ops/dead-letters" {
            @for (name, label, value) in fields {
                div { label for=(name) { (label) } input id=(name) name=(name) value=(value) autocomplete="off"; }
            }
            @if !query.fingerprint.is_empty() {
                div {
                    label for="fingerprint" { "Cause" }
                    input #fingerprint name="fingerprint" value=(query.fingerprint) autocomplete="off";
                }
            }
            label.tick { input type="checkbox" name="discarded" value="true" checked[query.discarded]; " Discarded ones" }
            button type="submit" { "Find" }
        }
    }
}

fn causes(query: &Query, groups: &[Group]) -> Markup {
    let rows = html! {
        @for group in groups {
            tr {
                td.number { (group.letters) }
                td { (status(&group.class)) " " (group.reason) span.detail { (group.sample_detail) } }
                td { (group.event_type.as_deref().unwrap_or("—")) }
                td { (time(group.first_us)) }
                td { (time(group.last_us)) }
                td {
                    @let discarded = if query.discarded { "true" } else { "" };
                    a href=(address("/ops/dead-letters", &[("fingerprint", &group.fingerprint), ("discarded", discarded)])) {
                        "Letters" span.unseen { " of " (group.fingerprint) }
                    }
                }
            }
        }
    };
    table(
        "Causes, the most frequent first",
        &[
            Number("Letters"),
            Text("Cause"),
            Text("Type"),
            Text("First (UTC)"),
            Text("Last (UTC)"),
            Text("More"),
        ],
        &rows,
    )
}

/// The letters, with what can be done with them.
fn work_form(visitor: &Visitor, query: &Query, found: &Found) -> Markup {
    let may = visitor.may(OpsRole::Operator);
    let rows = html! {
        @for letter in &found.letters {
            tr {
                @if may {
                    td { input type="checkbox" name="letter" value=(letter.id) aria-label=(format!("Choose {}", letter.id)); }
                }
                td { @if letter.id.starts_with("raw:") { span.id { (letter.id) } } @else { (event_link(&letter.id)) } }
                td { (letter.event_type.as_deref().unwrap_or("—")) }
                td { (status(&letter.class)) " " (letter.reason) span.detail { (letter.detail) } }
                td.number { (letter.deliveries) }
                td.number { (letter.replays) }
                td { (time(letter.parked_us)) }
            }
        }
    };
    let heads = [
        Text("Choose"),
        Text("Event"),
        Text("Type"),
        Text("Cause"),
        Number("Deliveries"),
        Number("Replays"),
        Text("Set aside (UTC)"),
    ];
    let heads = if may { &heads[..] } else { &heads[1..] };
    html! {
        form.work method="post" action="/ops/replays" {
            (form_token(visitor))
            @for (name, value) in query.fields() { input type="hidden" name=(name) value=(value); }
            @if may { (deeds(visitor, query, found.count)) }
            (table("Dead letters, the newest first", heads, &rows))
        }
    }
}

fn deeds(visitor: &Visitor, query: &Query, count: u64) -> Markup {
    html! {
        div.deeds {
            div.wide { label for="why" { "Why (for the audit log)" } input #why name="why" required maxlength="500" autocomplete="off"; }
            div {
                label for="rate" { "Letters a second" }
                input #rate name="rate" type="number" min="1" max=(RATE_MAX) value=(RATE_DEFAULT);
            }
            button type="submit" name="scope" value="chosen" { "Replay chosen" }
            button.main type="submit" name="scope" value="all" { "Replay all " (count) }
            @if visitor.may(OpsRole::Admin) && !query.discarded {
                button.danger type="submit" name="scope" value="chosen" formaction="/ops/discards" { "Discard chosen" }
                button.danger type="submit" name="scope" value="all" formaction="/ops/discards" { "Discard all " (count) }
            }
        }
    }
}

/// On an event's own page.
pub(super) fn of_event(visitor: &Visitor, id: &str) -> Markup {
    html! {
        section aria-labelledby="again" {
            h2 #again { "Run it again" }
            @if visitor.may(OpsRole::Operator) {
                form.work method="post" action="/ops/replays" {
                    (form_token(visitor))
                    input type="hidden" name="letter" value=(id);
                    div.deeds {
                        div.wide { label for="why" { "Why (for the audit log)" } input #why name="why" required maxlength="500" autocomplete="off"; }
                        button.main type="submit" name="scope" value="chosen" { "Replay" }
                    }
                }
            } @else { (nothing("For operators.")) }
        }
    }
}

pub(super) async fn replay(State(ops): State<Ops>, visitor: Visitor, form: Form) -> Result<Redirect, Fault> {
    ask(&ops, &visitor, Deed::Replay, &form).await
}

pub(super) async fn discard(State(ops): State<Ops>, visitor: Visitor, form: Form) -> Result<Redirect, Fault> {
    ask(&ops, &visitor, Deed::Discard, &form).await
}

async fn ask(ops: &Ops, visitor: &Visitor, deed: Deed, form: &Form) -> Result<Redirect, Fault> {
    let filter = wanted(form, &ops.app.account)?;
    let rate = rate(form)?;
    let why = reason(form.get("why"))?.ok_or_else(|| Kind::INVALID.because("say why"))?;
    let job = begin_job(&ops.app, &ops.actor(visitor), deed, &filter, rate, why).await?;
    Ok(Redirect::to(&address("/ops/job", &[("id", &job.id.to_string())])))
}

/// The letters a form means: those that are ticked, or all that fit what was looked for.
fn wanted(form: &Form, account: &str) -> Result<Filter, Problem> {
    let text = |name| form.get(name).unwrap_or_default().to_owned();
    let looked_for = Query {
        fingerprint: text("fingerprint"),
        event_type: text("type"),
        reason: text("reason"),
        id: text("id"),
        discarded: form.get("discarded") == Some("true"),
        after: None,
    };
    let filter = looked_for.filter(account)?;
    if form.get("scope") == Some("all") {
        return Ok(filter);
    }
    let ids: Vec<String> = form.all("letter").into_iter().map(str::to_owned).collect();
    if ids.is_empty() {
        return Err(Kind::INVALID.because("no letter is chosen"));
    }
    checked(Filter {
        account: account.to_owned(),
        state: filter.state,
        ids,
        ..Filter::default()
    })
}

fn rate(form: &Form) -> Result<Option<u32>, Problem> {
    let Some(text) = form.get("rate") else {
        return Ok(None);
    };
    let rate: Option<i64> = text.parse().ok().filter(|rate| (1..=RATE_MAX).contains(rate));
    let wrong = || Kind::INVALID.because(format!("letters a second: 1 to {RATE_MAX}"));
    Ok(u32::try_from(rate.ok_or_else(wrong)?).ok())
}
