//! What stands before every page: headers, where a form comes from, who asks, and whether they may.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::MethodRouter;

use super::Ops;
use super::fault::Fault;
use super::form::{Form, address};
use super::users::OpsRole;
use crate::problem::Kind;

/// Names the session's cookie.
pub(super) const COOKIE: &str = "tollgate_ops";
/// The field of every form that says whose it is.
pub(super) const FORM_TOKEN: &str = "form_token";

/// Nothing from elsewhere, nothing inline, nobody's frame; a referrer stays here, so that `Origin` is told.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Whoever is signed in.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub name: String,
    pub role: OpsRole,
    pub form_token: String,
}

impl Visitor {
    /// Whether they may what `role` may.
    pub(super) fn may(&self, role: OpsRole) -> bool {
        self.role >= role
    }
}

/// Puts the headers on every answer. What says who somebody is is not for caches.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets forms in only from pages of this very address. Browsers say where a form comes from; pages cannot change it.
pub(super) async fn same_origin(request: Request, next: Next) -> Result<Response, Fault> {
    let only_looks = matches!(*request.method(), Method::GET | Method::HEAD);
    if !only_looks && !is_from_here(request.headers()) {
        return Err(Kind::FORBIDDEN.because("this form comes from elsewhere").into());
    }
    Ok(next.run(request).await)
}

fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|it: &HeaderValue| it.to_str().ok());
    let origin: Option<Uri> = text(header::ORIGIN).and_then(|it| it.parse().ok());
    let from = origin.as_ref().and_then(Uri::authority);
    from.zip(text(header::HOST))
        .is_some_and(|(from, host)| from.as_str().eq_ignore_ascii_case(host))
}

/// Lets in whoever has a session, and of their forms only those that carry its token.
pub(super) async fn signed_in(
    State(ops): State<Ops>,
    request: Request,
    next: Next,
) -> Result<Response, Fault> {
    let (mut parts, body) = request.into_parts();
    let now = ops.clock.unix_seconds();
    let known = cookie(&parts.headers).and_then(|it| Some((it, ops.key.read(it, &ops.users, now)?)));
    let Some((cookie, user)) = known else {
        let back = match (&parts.method, parts.uri.path_and_query()) {
            (&Method::GET, Some(wanted)) => wanted.as_str(),
            _ => "",
        };
        return Ok(Redirect::to(&address("/ops/sign-in", &[("next", back)])).into_response());
    };
    let visitor = Visitor {
        name: user.name.clone(),
        role: user.role,
        form_token: ops.key.form_token(cookie),
    };
    if parts.method != Method::GET && parts.method != Method::HEAD {
        let form = Form::read(&parts.headers, body).await?;
        let token = form.get(FORM_TOKEN).unwrap_or_default();
        if !ops.key.is_form_token(cookie, token) {
            return Err(Kind::FORBIDDEN.because("this form is of another session").into());
        }
        parts.extensions.insert(form);
    }
    parts.extensions.insert(visitor);
    let request = Request::from_parts(parts, axum::body::Body::empty());
    Ok(next.run(request).await)
}

/// The session's cookie, when there is one.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|it| it.to_str().ok());
    all.flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Something that can be done, by `least` and whoever may more.
pub(super) fn deeds(least: OpsRole, deed: MethodRouter<Ops>) -> MethodRouter<Ops> {
    deed.route_layer(from_fn(
        move |visitor: Visitor, request: Request, next: Next| async move {
            if visitor.may(least) {
                return Ok(next.run(request).await);
            }
            let needed = format!("this is for the role {}", least.as_str());
            Err(Fault::from(Kind::FORBIDDEN.because(needed)))
        },
    ))
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Fault> {
        // Absent only where a route is mounted outside of `signed_in`: never let that pass.
        let visitor = parts.extensions.get::<Self>().cloned();
        visitor.ok_or_else(|| Kind::UNAUTHENTICATED.into())
    }
}

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Fault> {
        // As above: a form that nobody has checked is none.
        let form = parts.extensions.get::<Self>().cloned();
        form.ok_or_else(|| Kind::UNAUTHENTICATED.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_here(origin: Option<&str>, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header"));
        }
        is_from_here(&headers)
    }

    #[test]
    fn forms_come_from_this_very_address() {
        assert!(from_here(Some("http://127.0.0.1:9082"), "127.0.0.1:9082"));
        assert!(from_here(Some("https://Ops.example.com"), "ops.example.com"));
        for origin in [
            None,
            Some("null"),
            Some(""),
            Some("http://127.0.0.1:9083"),
            Some("http://127.0.0.1"),
            Some("https://ops.example.com.evil.test"),
            Some("https://evil.test/127.0.0.1:9082"),
        ] {
            assert!(!from_here(origin, "127.0.0.1:9082"), "{origin:?}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::COOKIE,
            "a=b; tollgate_ops_old=x; tollgate_ops=ann:1"
                .parse()
                .expect("a header"),
        );
        assert_eq!(cookie(&headers), Some("ann:1"));
        assert_eq!(cookie(&HeaderMap::new()), None);
    }
}
