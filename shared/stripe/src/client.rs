//! The HTTP client: pooled connections, one attempt at a time, the answer byte for byte.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Method, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as HyperClient, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use shared::clock::Clock;
use stripe_client_core::{CustomizedStripeRequest, StripeClient, StripeMethod};

use crate::answer::{Facts, check_object, classify};
use crate::error::{Detail, FetchError};
use crate::fetched::{Fetched, Listed};
use crate::object::ObjectRef;
use crate::request::{PaymentsOf, Request};
use crate::settings::{Mode, SecretKey, Settings, SettingsError};
use crate::telemetry;
use crate::trace::Traced;

/// The version of Stripe's API we speak: the one this release of async-stripe is made from, so that its typed
/// requests and answers fit too.
pub const STRIPE_VERSION: &str = "2026-09-30.endive";
/// Longest answer that is read; a page of a hundred rows has a tenth of this.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest wait for a connection, within the timeout of the attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Unused connections that are kept, and for how long.
const IDLE_MAX: usize = 32;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

const CALLER: HeaderValue = HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
const VERSION: HeaderValue = HeaderValue::from_static(STRIPE_VERSION);
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const STRIPE_VERSION_HEADER: HeaderName = HeaderName::from_static("stripe-version");
const STRIPE_ACCOUNT: HeaderName = HeaderName::from_static("stripe-account");
/// What `/v2` calls the account.
const STRIPE_CONTEXT: HeaderName = HeaderName::from_static("stripe-context");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Asks Stripe. Cheap to clone; all clones share their connections.
///
/// It asks at once: [`Budgeted`](crate::Budgeted) is the same under the budget of the fleet. Reads are tried
/// once, because retrying lives with the caller; what has an idempotency key is tried up to
/// [`ATTEMPTS`](crate::ATTEMPTS) times. As a [`StripeClient`] it also carries out async-stripe's typed requests.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    key: SecretKey,
    base: String,
    /// Of the base.
    host: String,
    timeout: Duration,
    clock: Clock,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.0.base)
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Prepares a client; nothing is sent yet. Needs a Tokio runtime only when it is used.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, SettingsError> {
        let base = settings.checked_base()?;
        let http = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector());
        Ok(Self(Arc::new(Inner {
            http,
            key: settings.key,
            host: host(&base).to_owned(),
            base,
            timeout: settings.timeout,
            clock,
        })))
    }

    /// Which world the key opens.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.0.key.mode()
    }

    /// Fetches one object. A deleted customer comes back as `{"id":...,"deleted":true}`, not as
    /// [`FetchError::Gone`].
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn retrieve(&self, what: &ObjectRef) -> Result<Fetched, FetchError> {
        self.ask(&Request::retrieve(what)?).await
    }

    /// Fetches what a thin event's `related_object.url` points at.
    ///
    /// # Errors
    /// [`FetchError`]; `Permanent` for anything but a plain path below `/v1/` or `/v2/`.
    pub async fn retrieve_path(&self, account: Option<&str>, path: &str) -> Result<Fetched, FetchError> {
        self.ask(&Request::path(account, path)?).await
    }

    /// Lists one page of invoice payments, from behind `after` on.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn list_invoice_payments(
        &self,
        account: Option<&str>,
        of: &PaymentsOf,
        after: Option<&str>,
    ) -> Result<Listed, FetchError> {
        let request = Request::invoice_payments(account, of, after)?;
        self.ask(&request).await?.try_into()
    }

    /// Carries out a request, with further attempts where it allows them.
    ///
    /// # Errors
    /// [`FetchError`] of the last attempt.
    pub async fn ask(&self, request: &Request) -> Result<Fetched, FetchError> {
        let mut tried = 1;
        loop {
            let error = match self.attempt(request, tried).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            match request.again_after(tried, &error, noise()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
            tried += 1;
        }
    }

    /// Sends it once; `tried` counts how often that is, this time included.
    pub(crate) async fn attempt(&self, request: &Request, tried: u32) -> Result<Fetched, FetchError> {
        let start = Instant::now();
        let timeout = request.timeout.unwrap_or(self.0.timeout);
        let mut traced = Traced::begin(request, tried, &self.0.host);
        let exchange = Box::pin(self.exchange(request, start, &mut traced));
        let result = match tokio::time::timeout(timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(transient("no answer in time")),
        };
        traced.end(&result);
        telemetry::attempt(request.endpoint, &result, start.elapsed());
        if let Err(error) = &result {
            tracing::debug!(kind = request.endpoint.as_str(), %error, "Stripe's API");
        }
        result
    }

    async fn exchange(
        &self,
        request: &Request,
        start: Instant,
        traced: &mut Traced,
    ) -> Result<Fetched, FetchError> {
        let message = self.message(request)?;
        let asked_at = self.0.clock.unix_seconds();
        let response = self.0.http.request(message).await.map_err(|error| {
            transient(if error.is_connect() {
                "no connection"
            } else {
                "the connection broke"
            })
        })?;
        let took = start.elapsed();
        let facts = Facts::read(response.headers());
        let status = response.status();
        traced.answered(status.as_u16());
        let as_of = as_of(facts.date, took).unwrap_or(asked_at);
        let body = read(response).await?;
        if !status.is_success() {
            return Err(classify(status.as_u16(), facts, &body));
        }
        let expected = request.expected.as_ref();
        check_object(&body, expected.map(|(kind, id)| (kind.as_str(), id.as_str())))?;
        Ok(Fetched { body, as_of })
    }

    fn message(&self, request: &Request) -> Result<hyper::Request<Full<Bytes>>, FetchError> {
        let inner = &self.0;
        let query = request.query.as_deref().map(|query| format!("?{query}"));
        let uri = format!("{}{}{}", inner.base, request.path, query.unwrap_or_default());
        let mut builder = Builder::new()
            .method(match request.method {
                StripeMethod::Get => Method::GET,
                StripeMethod::Post => Method::POST,
                StripeMethod::Delete => Method::DELETE,
            })
            .uri(uri)
            .header(AUTHORIZATION, inner.key.authorization())
            .header(USER_AGENT, CALLER)
            .header(STRIPE_VERSION_HEADER, VERSION);
        if let Some(account) = &request.account {
            let is_v2 = request.path.starts_with("/v2/");
            builder = builder.header(if is_v2 { STRIPE_CONTEXT } else { STRIPE_ACCOUNT }, account);
        }
        if let Some(key) = &request.key {
            builder = builder.header(IDEMPOTENCY_KEY, key.as_str());
        }
        if request.form.is_some() {
            builder = builder.header(CONTENT_TYPE, FORM);
        }
        let body = Full::from(request.form.clone().unwrap_or_default());
        builder
            .body(body)
            .map_err(|_| FetchError::unusable("a request that cannot be sent"))
    }
}

impl StripeClient for Client {
    type Err = FetchError;

    async fn execute(&self, request: CustomizedStripeRequest) -> Result<Bytes, FetchError> {
        Ok(self.ask(&request.try_into()?).await?.body)
    }
}

/// Whom an address asks, without the port.
fn host(base: &str) -> &str {
    let authority = base.split_once("://").map_or(base, |(_, rest)| rest);
    match authority.rsplit_once(':') {
        // Within brackets, colons are an IPv6 address's own.
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

/// TLS by rustls with ring and Mozilla's authorities; plain HTTP where the address says so, which
/// [`Settings`] allows a live key for this machine only.
fn connector() -> HttpsConnector<HttpConnector> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
        .expect("ring has the safe protocol versions")
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp)
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Bytes, FetchError> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            FetchError::unusable("the answer is too long")
        } else {
            transient("the connection broke within the answer")
        }
    })
}

/// The answer was made at `date` or up to a second later, and the object read at most `took` before.
fn as_of(date: Option<i64>, took: Duration) -> Option<i64> {
    let seconds = took.as_secs() + u64::from(took.subsec_nanos() > 0);
    date?.checked_sub_unsigned(seconds)
}

fn transient(cause: &'static str) -> FetchError {
    FetchError::Transient {
        retry_after: None,
        detail: Detail::of(cause),
    }
}

/// Different in every process and call; spreads attempts, decides nothing.
pub(crate) fn noise() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_told_without_the_rest() {
        assert_eq!(host("https://api.stripe.com"), "api.stripe.com");
        assert_eq!(host("http://127.0.0.1:4242"), "127.0.0.1");
        assert_eq!(host("http://[::1]"), "[::1]");
    }

    #[test]
    fn as_of_is_rounded_down() {
        for (took_ms, expected) in [(0, 100), (1, 99), (1000, 99), (1001, 98)] {
            assert_eq!(as_of(Some(100), Duration::from_millis(took_ms)), Some(expected));
        }
        assert_eq!(as_of(None, Duration::ZERO), None);
    }

    #[test]
    fn we_speak_the_version_async_stripe_is_made_from() {
        assert_eq!(stripe_client_core::VERSION.to_string(), STRIPE_VERSION);
    }
}
