//! Signing in and out.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::html;
use serde::Deserialize;
use shared::limiter::Rate;
use tokio::sync::Semaphore;

use super::fault::Fault;
use super::form::Form;
use super::gate::COOKIE;
use super::password::Stored;
use super::session::SESSION_SECONDS;
use super::users::User;
use super::{Asked, Ops, layout};
use crate::problem::{Kind, Problem};

/// Attempts for each name, right or wrong, by the whole fleet.
const ATTEMPTS: Rate = Rate::per_minute(5);
/// Passwords that are checked at a time: each costs tenths of a second of a core.
const CHECKS_MAX: usize = 1;
/// Longest password that is checked, bytes.
const PASSWORD_BYTES_MAX: usize = 1_024;
/// Where the pages are.
const HOME: &str = "/ops";

/// Room for checks.
pub(super) struct Attempts(Arc<Semaphore>);

impl Default for Attempts {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CHECKS_MAX)))
    }
}

#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    next: String,
}

pub(super) async fn page(Asked(query): Asked<Query>) -> Response {
    form(&query.next, None)
}

/// The form, after a failure with what went wrong: never whether it was the name or the password.
fn form(next: &str, problem: Option<&str>) -> Response {
    let page = layout::bare(
        "Sign in",
        &html! {
            form.sign-in method="post" action="/ops/sign-in" {
                h1 { "Tollgate" }
                @if let Some(problem) = problem { p.problem role="alert" { (problem) } }
                input type="hidden" name="next" value=(next);
                div { label for="name" { "Name" } input #name name="name" required autocomplete="username" autofocus; }
                div {
                    label for="password" { "Password" }
                    input #password name="password" type="password" required autocomplete="current-password";
                }
                button.main type="submit" { "Sign in" }
            }
        },
    );
    let status = match problem {
        Some(_) => StatusCode::FORBIDDEN,
        None => StatusCode::OK,
    };
    (status, Html(page.into_string())).into_response()
}

/// Lets somebody in who knows their password.
pub(super) async fn enter(State(ops): State<Ops>, request: Request) -> Result<Response, Fault> {
    let (parts, body) = request.into_parts();
    let said = Form::read(&parts.headers, body).await?;
    let text = |name| said.get(name).unwrap_or_default();
    let (name, next) = (text("name"), text("next"));
    let user = ops.users.find(name);
    // Names nobody has share one count: they must not fill Redis.
    let whom = user.map_or("nobody", |user| user.name.as_str());
    admit_attempt(&ops, whom).await?;
    if !knows(&ops, user, text("password")).await? {
        tracing::warn!(name = whom, "a sign-in to the ops page was refused");
        return Ok(form(next, Some("This name and password do not fit.")));
    }
    let user = user.ok_or(Kind::UNAUTHENTICATED)?;
    tracing::info!(
        name = user.name,
        role = user.role.as_str(),
        "signed in to the ops page"
    );
    let session = ops.key.issue(user, ops.clock.unix_seconds());
    Ok(with_cookie(
        &parts.headers,
        &session,
        SESSION_SECONDS,
        home_or(next),
    ))
}

/// Without Redis nobody is counted; passwords are then still checked one after another.
async fn admit_attempt(ops: &Ops, whom: &str) -> Result<(), Problem> {
    match ops.app.limiter.take("ops-sign-in", whom, ATTEMPTS).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(wait)) => Err(Kind::TOO_MANY
            .because(format!("too many attempts; wait {} s", wait.as_secs() + 1))
            .retry_after(wait)),
        Err(error) => {
            tracing::warn!(%error, "attempts to sign in are not counted");
            Ok(())
        }
    }
}

/// Whether it is the user's password. Takes as long where there is no such user.
async fn knows(ops: &Ops, user: Option<&User>, password: &str) -> Result<bool, Problem> {
    let stored = user.map_or_else(Stored::of_nobody, |user| user.password.clone());
    if password.len() > PASSWORD_BYTES_MAX {
        return Ok(false);
    }
    let room = Arc::clone(&ops.attempts.0)
        .acquire_owned()
        .await
        .map_err(|_| Kind::UNAVAILABLE)?;
    let password = password.to_owned();
    let check = tokio::task::spawn_blocking(move || {
        let fits = stored.is_of(&password);
        drop(room);
        fits
    });
    let fits = check.await.map_err(|_| Kind::INTERNAL)?;
    Ok(fits && user.is_some())
}

/// Where to go on: only to a page of ours.
fn home_or(next: &str) -> &str {
    let is_ours = next == HOME || next.starts_with("/ops/") || next.starts_with("/ops?");
    if is_ours && !next.contains(['\\', '\r', '\n']) {
        next
    } else {
        HOME
    }
}

/// Ends a session, as far as this browser is concerned.
pub(super) async fn leave(headers: HeaderMap) -> Response {
    with_cookie(&headers, "", 0, "/ops/sign-in")
}

fn with_cookie(headers: &HeaderMap, value: &str, seconds: i64, to: &str) -> Response {
    let origin = headers.get(header::ORIGIN).and_then(|it| it.to_str().ok());
    let secure = match origin {
        Some(origin) if origin.starts_with("https:") => "; Secure",
        _ => "",
    };
    let cookie =
        format!("{COOKIE}={value}; Path={HOME}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_nobody_is_sent_elsewhere() {
        for ours in ["/ops", "/ops/events?q=a", "/ops?x=1"] {
            assert_eq!(home_or(ours), ours);
        }
        for other in [
            "",
            "//evil.test",
            "/opsx",
            "https://evil.test",
            "/ops/\\evil.test",
            "/v1",
            "/ops/\r\nX: y",
        ] {
            assert_eq!(home_or(other), HOME, "{other:?}");
        }
    }
}
