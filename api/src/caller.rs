//! Who asks, and for whom.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use store::api::{Actor, ActorRole};

use crate::app::App;
use crate::auth::TokenError;
use crate::meters::UNAUTHENTICATED;
use crate::problem::{Kind, Problem};

/// Names the caller themselves in a path.
const ME: &str = "me";
/// Longest id of a user or a team, characters.
pub(crate) const ID_CHARS_MAX: usize = 200;

/// Whoever holds the token.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub Actor);

/// Goes with the response, for the log: the role of whoever asked, and never who it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskedAs(pub ActorRole);

impl Caller {
    /// The user a path names, when the caller may act for them.
    pub(crate) fn user<'a>(&'a self, named: &'a str) -> Result<&'a str, Problem> {
        let user = match (named, self.0.role) {
            (ME, ActorRole::User) => &self.0.subject,
            (ME, _) => return Err(Kind::INVALID.because("`me` is for users; name one")),
            (named, _) => named,
        };
        checked_id(user)?;
        if !self.0.may_act_for(user) {
            return Err(Kind::FORBIDDEN.because("users may only ask about themselves"));
        }
        Ok(user)
    }

    /// Only the application and its staff.
    pub(crate) fn require_service(&self) -> Result<(), Problem> {
        match self.0.role {
            ActorRole::Service | ActorRole::Admin => Ok(()),
            ActorRole::User => {
                Err(Kind::FORBIDDEN.because("only the application may do this, not its users"))
            }
        }
    }

    /// Only staff.
    pub(crate) fn require_admin(&self) -> Result<(), Problem> {
        match self.0.role {
            ActorRole::Admin => Ok(()),
            ActorRole::Service | ActorRole::User => Err(Kind::FORBIDDEN.because("only staff may do this")),
        }
    }
}

/// An id of the application's own choosing, when it is one that can be kept.
pub(crate) fn checked_id(id: &str) -> Result<&str, Problem> {
    if id.is_empty() || id.chars().count() > ID_CHARS_MAX || id.contains(char::is_control) {
        return Err(Kind::INVALID.because(format!(
            "an id has 1 to {ID_CHARS_MAX} characters, none of them a control character"
        )));
    }
    Ok(id)
}

/// Lets in whoever has a good token.
pub(crate) async fn authenticate(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let token = bearer(request.headers()).ok_or(TokenError::Missing);
    let actor = match token {
        Ok(token) => app.keys.check(token).await,
        Err(error) => Err(error),
    };
    let actor = actor.map_err(|error| {
        metrics::counter!(UNAUTHENTICATED, "reason" => error.reason()).increment(1);
        Kind::UNAUTHENTICATED.because(error.to_string())
    })?;
    let role = AskedAs(actor.role);
    request.extensions_mut().insert(Caller(actor));
    let mut response = next.run(request).await;
    response.extensions_mut().insert(role);
    Ok(response)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // Absent only where a route is mounted outside of `authenticate`: never let that pass.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Kind::UNAUTHENTICATED.into())
    }
}
