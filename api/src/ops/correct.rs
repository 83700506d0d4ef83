//! Correcting a customer's credits: what is wanted is shown with what it comes to, and done once it is confirmed.

use axum::extract::State;
use axum::response::Redirect;
use maud::{Markup, html};
use shared::unique;

use super::fault::Fault;
use super::form::{Form, address};
use super::gate::Visitor;
use super::layout::{self, Freshness, Page, Tab, form_token};
use super::users::OpsRole;
use super::{Ops, customer};
use crate::caller::checked_id;
use crate::problem::{Kind, Problem};
use crate::routes::admin::{Adjust, adjust_credits, checked_credits};
use crate::routes::corrections::required;

/// Who may: credits are money.
pub(super) const CORRECTS: OpsRole = OpsRole::Admin;

/// What a form says.
struct Wanted<'a> {
    user: &'a str,
    credits: i64,
    why: &'a str,
}

impl<'a> Wanted<'a> {
    fn read(form: &'a Form) -> Result<Self, Problem> {
        let credits = form.get("credits").and_then(|it| it.parse().ok());
        Ok(Self {
            user: checked_id(form.get("user").unwrap_or_default())?,
            credits: checked_credits(
                credits.ok_or_else(|| Kind::INVALID.because("credits: a whole number"))?,
            )?,
            why: required(form.get("why").unwrap_or_default())?,
        })
    }
}

/// On a customer's page, for who may.
pub(super) fn offer(visitor: &Visitor, user: &str) -> Markup {
    html! {
        @if visitor.may(CORRECTS) {
            section aria-labelledby="correct" {
                h2 #correct { "Correct the credits" }
                form.work method="post" action="/ops/corrections/confirm" {
                    (form_token(visitor))
                    input type="hidden" name="user" value=(user);
                    div.deeds {
                        div {
                            label for="credits" { "Credits to give, or to take below 0" }
                            input #credits name="credits" type="number" step="1" required;
                        }
                        div.wide {
                            label for="correct-why" { "Why (for the ledger and the audit log)" }
                            input #correct-why name="why" required maxlength="500" autocomplete="off";
                        }
                        button type="submit" { "Look at it first" }
                    }
                }
            }
        }
    }
}

/// What it comes to. Nothing is done yet.
pub(super) async fn confirm(State(ops): State<Ops>, visitor: Visitor, form: Form) -> Result<Page, Fault> {
    let wanted = Wanted::read(&form)?;
    let mut tx = ops.looking(&visitor).await?;
    let line = customer::line(&mut tx, wanted.user).await?;
    let after = line.balance.saturating_add(wanted.credits);
    let content = html! {
        dl.facts {
            div { dt { "Customer" } dd { (wanted.user) span.detail { (line.email.as_deref().unwrap_or_default()) } } }
            div { dt { "Credits now" } dd { (line.balance) } }
            div { dt { "Correction" } dd { (format!("{:+}", wanted.credits)) } }
            div { dt { "Credits then" } dd { (after) } }
            div { dt { "Why" } dd { (wanted.why) } }
        }
        @if after < 0 && wanted.credits < 0 {
            p.problem role="alert" { "It would take the balance below zero, and is not done." }
        } @else { (confirmation(&visitor, &wanted)) }
        p { a href=(page_of(wanted.user)) { "Leave it as it is" } }
    };
    Ok(layout::page(
        &visitor,
        Tab::Customers,
        "Correct the credits?",
        Freshness::Still,
        &content,
    ))
}

/// The key is of this one showing: sent twice, it corrects once.
fn confirmation(visitor: &Visitor, wanted: &Wanted<'_>) -> Markup {
    let credits = wanted.credits.to_string();
    let key = unique::word();
    let fields = [
        ("user", wanted.user),
        ("credits", &credits),
        ("why", wanted.why),
        ("key", &key),
    ];
    html! {
        form.work method="post" action="/ops/corrections" {
            (form_token(visitor))
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            div.deeds { button.danger type="submit" { "Correct by " (format!("{:+}", wanted.credits)) } }
        }
    }
}

/// Does it, once.
pub(super) async fn correct(State(ops): State<Ops>, visitor: Visitor, form: Form) -> Result<Redirect, Fault> {
    let wanted = Wanted::read(&form)?;
    let actor = ops.actor(&visitor);
    // Nobody who is not there gets credits by a slip of the pen.
    customer::line(&mut ops.looking(&visitor).await?, wanted.user).await?;
    let adjust = Adjust {
        user: wanted.user,
        credits: wanted.credits,
        reason: wanted.why,
        key: checked_id(form.get("key").unwrap_or_default())?,
    };
    adjust_credits(&ops.app, &actor, &adjust).await?;
    Ok(Redirect::to(&page_of(wanted.user)))
}

fn page_of(user: &str) -> String {
    address("/ops/customer", &[("user", user)])
}
