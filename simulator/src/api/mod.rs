//! A `/v1` API that answers with what the model knows: to fetch an object again, to list events.
//!
//! Read-only, over plain HTTP on a listener of the caller's. It wants a key, honours `Stripe-Version` and
//! `Stripe-Account`, limits rates as Stripe says it does, and fails and lags on request.

mod errors;
mod events;
mod faults;
mod limits;
mod list;
mod model;
mod query;
mod route;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    response::Response,
};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

use crate::{ApiVersion, dice::Dice};
use errors::Reply;
use limits::Limiter;
use query::Query;
use route::{Route, Target};

pub use faults::Faults;
pub use limits::{Counters, Limits};
pub use model::Model;

/// 2025-03-31.basil moved the fields in which our two shapes differ.
const MOVED: &str = "2025-03-31";
const REQUEST_ID_LENGTH: usize = 14;

/// A running API. It stops when this is dropped.
#[derive(Debug)]
pub struct Api {
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    model: Arc<Model>,
    limiter: Mutex<Limiter>,
    faults: Mutex<(Faults, Dice)>,
}

/// Who asks for what, as far as headers say.
struct Caller<'a> {
    account: Option<&'a str>,
    /// The shape to answer in; none for that of the object's own life.
    version: Option<ApiVersion>,
}

impl Api {
    /// Answers requests that come in on `listener`, until the result is dropped. Must be called within a
    /// tokio runtime.
    #[must_use]
    pub fn serve(listener: TcpListener, model: Arc<Model>, limits: Limits) -> Self {
        let faults = Faults::default();
        let dice = Dice::new(faults.seed);
        let inner = Arc::new(Inner {
            model,
            limiter: Mutex::new(Limiter::new(limits)),
            faults: Mutex::new((faults, dice)),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            // It ends with its task only.
            drop(axum::serve(listener, router).await);
        });
        Self { inner, server }
    }

    /// What was asked so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        locked(&self.inner.limiter).counters()
    }

    /// From now on requests fail and take their time like this.
    pub fn set_faults(&self, faults: Faults) {
        let dice = Dice::new(faults.seed);
        *locked(&self.inner.faults) = (faults, dice);
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A panic elsewhere leaves counters and dice as good as they were.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(api): State<Arc<Inner>>, request: Request) -> Response {
    let (lag, failure, request_id) = api.throw();
    if !lag.is_zero() {
        tokio::time::sleep(lag).await;
    }
    let reply = api.judge(&request, failure);
    let mut response = reply.into_response();
    // Readers take the object for as new as the answer is dated.
    if let Some(date) = api.model.date() {
        response.headers_mut().insert(header::DATE, date);
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("request-id", value);
    }
    response
}

impl Inner {
    /// The dice decide how long a request takes and whether it fails.
    fn throw(&self) -> (std::time::Duration, Option<u16>, String) {
        let mut faults = locked(&self.faults);
        let (faults, dice) = &mut *faults;
        let (lag, failure) = faults.throw(dice);
        let id = dice.text(crate::dice::BASE62, REQUEST_ID_LENGTH);
        (lag, failure, format!("req_{id}"))
    }

    fn judge(&self, request: &Request, failure: Option<u16>) -> Reply {
        let path = request.uri().path();
        let route = route::find(request.method() == Method::GET, path);
        let endpoint = route.as_ref().map_or("unknown", |route| route.endpoint);
        let limited = locked(&self.limiter).admit(endpoint, Instant::now());
        if let Some(refusal) = errors::unauthorized(request.headers()) {
            return refusal;
        }
        if let Some(reason) = limited {
            return Reply::rate_limited(reason);
        }
        if let Some(status) = failure {
            return Reply::failure(status);
        }
        let Some(route) = route else {
            return Reply::unrecognized(request.method().as_str(), path);
        };
        self.route(&route, request).unwrap_or_else(|refusal| *refusal)
    }

    fn route(&self, route: &Route<'_>, request: &Request) -> Result<Reply, Box<Reply>> {
        let caller = self.caller(request.headers())?;
        let query = Query::parse(request.uri().query().unwrap_or_default());
        match route.target {
            Target::Object(object, id) => {
                let found = self.model.object(caller.account, object, id, caller.version);
                found
                    .map(|object| Reply::ok(&object))
                    .ok_or_else(|| Reply::missing(object, id))
            }
            Target::Event(id) => self.event(&caller, id, false),
            Target::ThinEvent(id) => self.event(&caller, id, true),
            Target::Events => events::list(&self.model, caller.account, &query),
            Target::InvoicePayments => {
                let rows = self.model.invoice_payments(caller.account, &query)?;
                list::page(&rows, "invoice_payment", "/v1/invoice_payments", &query)
            }
            Target::Lines(id) => {
                let lines = self.model.invoice_lines(caller.account, id, caller.version);
                let lines = lines.ok_or_else(|| Reply::missing("invoice", id))?;
                list::page(&lines, "line_item", request.uri().path(), &query)
            }
            Target::Catalogue(object, url) => {
                let rows = self.model.all(caller.account, object, caller.version);
                list::page(&rows, object, url, &query)
            }
        }
    }

    fn event(&self, caller: &Caller<'_>, id: &str, thin: bool) -> Result<Reply, Box<Reply>> {
        let found = self.model.event(caller.account, id);
        let found = found.filter(|event| event.is_thin() == thin);
        found
            .map(|event| Reply::raw(event.body.clone()))
            .ok_or_else(|| Reply::missing("event", id))
    }

    fn caller<'a>(&self, headers: &'a HeaderMap) -> Result<Caller<'a>, Box<Reply>> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let account = text("stripe-account").or_else(|| text("stripe-context"));
        let account = account.filter(|account| *account != self.model.platform());
        if let Some(stranger) = account.filter(|account| !self.model.knows_account(account)) {
            return Err(Reply::foreign_account(stranger));
        }
        let version = match text("stripe-version") {
            Some(name) => Some(shape(name).ok_or_else(|| Reply::bad_version(name))?),
            None => None,
        };
        Ok(Caller { account, version })
    }
}

/// The nearest of our shapes to a version such as `2026-09-30.endive`; none for what is no version.
fn shape(name: &str) -> Option<ApiVersion> {
    let date = name.split('.').next()?;
    let is_date = date.len() == 10
        && date.bytes().enumerate().all(|(at, byte)| {
            if matches!(at, 4 | 7) {
                byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        });
    is_date.then_some(if date < MOVED {
        ApiVersion::V2024_06_20
    } else {
        ApiVersion::V2026_10_28Endive
    })
}

/// The key a request names, without `Bearer`.
fn key(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_answered_in_the_nearest_shape() {
        let (old, new) = (Some(ApiVersion::V2024_06_20), Some(ApiVersion::V2026_10_28Endive));
        let cases = [
            ("2024-06-20", old),
            ("2025-02-24.acacia", old),
            ("2025-03-31.basil", new),
            ("2026-10-28.endive", new),
            ("2027-01-01.unheard", new),
            ("latest", None),
            ("2024/06/20", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(shape(name), expected, "{name}");
        }
    }
}
