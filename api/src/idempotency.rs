//! `Idempotency-Key`: a request that changes something is carried out once, and answered the same again.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use shared::trace;
use store::api::{Actor, Answer, Begun, RequestKey};

use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Kind, Problem};

/// The header.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Says that an answer is of an earlier time.
pub(crate) const REPLAYED: &str = "idempotent-replayed";
/// Longest key, as at Stripe.
const KEY_BYTES_MAX: usize = 255;
/// Longest body of a request.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest answer that is kept.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long whoever carries a request out has it to themselves; longer than any request may take.
pub(crate) const LEASE: Duration = Duration::from_secs(60);
/// How long answers are kept.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The caller's key, for handlers that derive their own from it.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(pub String);

impl IdempotencyKey {
    /// Of one caller: two may choose the same.
    pub(crate) fn of(&self, actor: &Actor) -> String {
        format!("{}:{}:{}", actor.role.as_str(), actor.subject, self.0)
    }
}

/// Carries each request out once.
pub(crate) async fn once(
    State(app): State<App>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(next.run(request).await);
    }
    let key = key(&request)?;
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| Kind::TOO_LARGE)?;
    let fingerprint = fingerprint(&parts.method, parts.uri.path(), &body);
    let named = RequestKey {
        actor: &caller.0,
        key: &key,
        fingerprint: &fingerprint,
    };
    let looking = trace::step(trace::Kind::Client, "idempotency key");
    let begun = app.store.begin_request(named, LEASE).await?;
    drop(looking);
    match begun {
        Begun::New => {}
        Begun::Answered(answer) => return Ok(replay(answer)),
        Begun::Running => return Err(Problem::from(Kind::RUNNING).retry_after(Duration::from_secs(1))),
        Begun::Mismatch => return Err(Kind::KEY_REUSED.because("use a new key for a new request")),
    }
    parts.extensions.insert(IdempotencyKey(key.clone()));
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    keep(&app, named, response).await
}

/// What may go otherwise the next time is not kept, and whoever asks again finds what was done.
async fn keep(app: &App, key: RequestKey<'_>, response: Response) -> Result<Response, Problem> {
    let is_final = !response.status().is_server_error() && response.status() != StatusCode::TOO_MANY_REQUESTS;
    if !is_final {
        app.store.abandon_request(key).await.ok();
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX)
        .await
        .map_err(|_| Kind::INTERNAL)?;
    let content_type = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let answer = Answer {
        status: parts.status.as_u16(),
        content_type: content_type.map(str::to_owned),
        body: body.to_vec(),
    };
    // It is done; that the answer is not kept only means that the next one finds its traces.
    if let Err(error) = app.store.finish_request(key, &answer).await {
        tracing::warn!(%error, "an answer could not be kept");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn key(request: &Request) -> Result<String, Problem> {
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY) else {
        return Err(Kind::KEY_MISSING
            .because("send an Idempotency-Key of your own choosing, new for each new request"));
    };
    let is_visible = |key: &str| key.bytes().all(|byte| byte.is_ascii_graphic());
    match value.to_str() {
        Ok(key) if (1..=KEY_BYTES_MAX).contains(&key.len()) && is_visible(key) => Ok(key.to_owned()),
        _ => Err(Kind::INVALID.because(format!(
            "an Idempotency-Key has 1 to {KEY_BYTES_MAX} visible ASCII characters"
        ))),
    }
}

fn fingerprint(method: &Method, path: &str, body: &Bytes) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(method.as_str());
    hash.update([0]);
    hash.update(path);
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}

fn replay(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(Ok(content_type)) = answer.content_type.map(HeaderValue::try_from) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
