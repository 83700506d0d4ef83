//! One question to Stripe, checked before it is sent.

use std::time::Duration;

use hyper::header::HeaderValue;
use serde::Serialize;
use stripe_client_core::{
    ConfigOverride, CustomizedStripeRequest, IdempotencyKey, RequestBuilder, RequestStrategy, StripeMethod,
    StripeRequest,
};

use crate::error::FetchError;
use crate::object::{Endpoint, ObjectRef, Retrievable, escaped, is_account, is_api_path, is_id};

/// Attempts at a request that has an idempotency key.
pub const ATTEMPTS: u32 = 3;
/// Most rows Stripe puts on one page.
pub const PAGE_ROWS_MAX: u32 = 100;
/// Wait before the second attempt, at most; it doubles.
const BACKOFF: Duration = Duration::from_millis(500);
/// What has to wait longer is the caller's to repeat: it may hold a slot meanwhile.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

const _: () = assert!(
    BACKOFF.as_millis() < BACKOFF_MAX.as_millis(),
    "a backoff has room to grow"
);

/// Whose invoice payments are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentsOf {
    /// Of an invoice: the payments that went towards it.
    Invoice(String),
    /// Of a payment intent: the invoices it went towards.
    PaymentIntent(String),
}

/// Whose objects are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parent {
    /// A customer's: subscriptions, invoices, payment intents, charges, checkout sessions.
    Customer(String),
    /// A charge's: refunds, disputes.
    Charge(String),
}

/// One request to Stripe, fit to be sent: account, path and headers are checked by its constructors.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) method: StripeMethod,
    /// With its `/v1/` or `/v2/`.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) form: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) endpoint: Endpoint,
    pub(crate) key: Option<IdempotencyKey>,
    /// Instead of the client's.
    pub(crate) timeout: Option<Duration>,
    pub(crate) expected: Option<(Retrievable, String)>,
    attempts: u32,
}

impl Request {
    /// Retrieves one object.
    ///
    /// # Errors
    /// [`FetchError::Permanent`] for an id or account that cannot be one.
    pub fn retrieve(what: &ObjectRef) -> Result<Self, FetchError> {
        if !is_id(&what.id) {
            return Err(FetchError::unusable("not an id"));
        }
        let mut request = Self::typed(what, what.account.as_deref())?;
        request.expected = Some((what.kind, what.id.clone()));
        Ok(request)
    }

    /// Lists invoice payments, newest first, from behind `after` on: the id of the last row already known.
    ///
    /// # Errors
    /// [`FetchError::Permanent`] for an id or account that cannot be one.
    pub fn invoice_payments(
        account: Option<&str>,
        of: &PaymentsOf,
        after: Option<&str>,
    ) -> Result<Self, FetchError> {
        let (PaymentsOf::Invoice(id) | PaymentsOf::PaymentIntent(id)) = of;
        if !is_id(id) || after.is_some_and(|after| !is_id(after)) {
            return Err(FetchError::unusable("not an id"));
        }
        let query = ListInvoicePayments::new(of, after);
        let builder = RequestBuilder::new(StripeMethod::Get, "/invoice_payments").query(&query);
        Self::v1(builder, account)
    }

    /// Lists all objects of a kind that a parent has, newest first, from behind `after` on; of subscriptions also those
    /// that have ended.
    ///
    /// # Errors
    /// [`FetchError::Permanent`] for an id or account that cannot be one.
    pub fn list(
        account: Option<&str>,
        kind: Retrievable,
        parent: &Parent,
        after: Option<&str>,
    ) -> Result<Self, FetchError> {
        let (Parent::Customer(id) | Parent::Charge(id)) = parent;
        if !is_id(id) || after.is_some_and(|after| !is_id(after)) {
            return Err(FetchError::unusable("not an id"));
        }
        let query = ListOf {
            limit: PAGE_ROWS_MAX,
            customer: matches!(parent, Parent::Customer(_)).then_some(id),
            charge: matches!(parent, Parent::Charge(_)).then_some(id),
            status: (kind == Retrievable::Subscription).then_some("all"),
            starting_after: after,
        };
        let path = format!("/{}", kind.collection());
        Self::v1(
            RequestBuilder::new(StripeMethod::Get, path).query(&query),
            account,
        )
    }

    /// Lists the lines of an invoice, from behind `after` on: an event and the invoice itself carry only the first.
    ///
    /// # Errors
    /// [`FetchError::Permanent`] for an id or account that cannot be one.
    pub fn invoice_lines(
        account: Option<&str>,
        invoice: &str,
        after: Option<&str>,
    ) -> Result<Self, FetchError> {
        if !is_id(invoice) || after.is_some_and(|after| !is_id(after)) {
            return Err(FetchError::unusable("not an id"));
        }
        let query = Page {
            limit: PAGE_ROWS_MAX,
            starting_after: after,
        };
        let path = format!("/invoices/{}/lines", escaped(invoice));
        Self::v1(
            RequestBuilder::new(StripeMethod::Get, path).query(&query),
            account,
        )
    }

    /// Lists the webhook endpoints of an account, as many as fit on one page; Stripe allows fewer.
    ///
    /// # Errors
    /// [`FetchError::Permanent`] for an account that cannot be one.
    pub fn webhook_endpoints(account: Option<&str>) -> Result<Self, FetchError> {
        let query = Page {
            limit: PAGE_ROWS_MAX,
            starting_after: None,
        };
        let builder = RequestBuilder::new(StripeMethod::Get, "/webhook_endpoints").query(&query);
        Self::v1(builder, account)
    }

    /// Retrieves what a thin event's `related_object.url` points at.
    ///
    /// # Errors
    /// [`FetchError::Permanent`] for anything but a plain path below `/v1/` or `/v2/`.
    pub fn path(account: Option<&str>, path: &str) -> Result<Self, FetchError> {
        if !is_api_path(path) {
            return Err(FetchError::unusable("not a path of Stripe's API"));
        }
        Self::new(RequestBuilder::new(StripeMethod::Get, path), account)
    }

    /// Any request of async-stripe.
    ///
    /// # Errors
    /// [`FetchError::Permanent`] for an account that cannot be one.
    pub fn typed(request: &impl StripeRequest, account: Option<&str>) -> Result<Self, FetchError> {
        Self::v1(request.build(), account)
    }

    /// Sends the key with every attempt, and makes up to [`ATTEMPTS`] of them: Stripe carries out the first
    /// that arrives, and repeats its answer to the others.
    ///
    /// # Errors
    /// [`FetchError::Permanent`] for a key that fits into no header.
    pub fn idempotent(mut self, key: IdempotencyKey) -> Result<Self, FetchError> {
        if HeaderValue::from_str(key.as_str()).is_err() {
            return Err(FetchError::unusable(
                "an idempotency key that fits into no header",
            ));
        }
        self.key = Some(key);
        self.attempts = ATTEMPTS;
        Ok(self)
    }

    /// Counts against the limit of `endpoint`.
    pub(crate) fn at(self, endpoint: Endpoint) -> Self {
        Self { endpoint, ..self }
    }

    /// The connected account it goes to.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    pub(crate) fn method_name(&self) -> &'static str {
        match self.method {
            StripeMethod::Get => "GET",
            StripeMethod::Post => "POST",
            StripeMethod::Delete => "DELETE",
        }
    }

    /// The endpoint whose limit it counts against.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// How long to wait before the next attempt; `None`: there is none. `noise` spreads those who failed
    /// together.
    pub(crate) fn again_after(&self, tried: u32, error: &FetchError, noise: u64) -> Option<Duration> {
        // What is kept under the key is answered again and again.
        let FetchError::Transient { retry_after, detail } = error else {
            return None;
        };
        if detail.replayed {
            return None;
        }
        let wait = backoff(tried, noise).max(retry_after.unwrap_or_default());
        (tried < self.attempts && wait <= BACKOFF_MAX).then_some(wait)
    }

    /// async-stripe leaves `/v1` to the client.
    pub(crate) fn v1(builder: RequestBuilder, account: Option<&str>) -> Result<Self, FetchError> {
        let path = format!("/v1{}", builder.path);
        Self::new(RequestBuilder { path, ..builder }, account)
    }

    fn new(builder: RequestBuilder, account: Option<&str>) -> Result<Self, FetchError> {
        let account = account.filter(|account| !account.is_empty());
        if account.is_some_and(|account| !is_account(account)) {
            return Err(FetchError::unusable("not a connected account"));
        }
        let endpoint = match builder.method {
            StripeMethod::Get => Endpoint::of_get(&builder.path),
            StripeMethod::Post | StripeMethod::Delete => Endpoint::Other,
        };
        Ok(Self {
            method: builder.method,
            path: builder.path,
            query: builder.query,
            form: builder.body,
            account: account.map(str::to_owned),
            endpoint,
            key: None,
            timeout: None,
            expected: None,
            attempts: 1,
        })
    }

    /// How often it may be sent. What changes something is never sent twice without a key.
    fn with_attempts(mut self, attempts: u32) -> Self {
        let is_safe = matches!(self.method, StripeMethod::Get) || self.key.is_some();
        self.attempts = if is_safe { attempts.max(1) } else { 1 };
        self
    }

    fn with_strategy(self, strategy: RequestStrategy) -> Result<Self, FetchError> {
        Ok(match strategy {
            RequestStrategy::Once => self.with_attempts(1),
            RequestStrategy::Idempotent(key) => self.idempotent(key)?,
            RequestStrategy::Retry(attempts) | RequestStrategy::ExponentialBackoff(attempts) => {
                self.with_attempts(attempts)
            }
        })
    }
}

/// From `request.customize()....send(&client)`.
impl TryFrom<CustomizedStripeRequest> for Request {
    type Error = FetchError;

    fn try_from(customized: CustomizedStripeRequest) -> Result<Self, FetchError> {
        let (builder, overrides) = customized.into_pieces();
        let ConfigOverride {
            account_id,
            request_strategy,
            timeout,
            ..
        } = overrides;
        let mut request = Self::v1(builder, account_id.as_ref().map(|id| id.as_str()))?;
        request.timeout = timeout;
        request.with_strategy(request_strategy.unwrap_or(RequestStrategy::Once))
    }
}

/// The query of a list without filters.
#[derive(Serialize)]
struct Page<'a> {
    limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    starting_after: Option<&'a str>,
}

/// The query of `GET /v1/<collection>`.
#[derive(Serialize)]
struct ListOf<'a> {
    limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charge: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starting_after: Option<&'a str>,
}

/// The query of `GET /v1/invoice_payments`.
#[derive(Serialize)]
struct ListInvoicePayments<'a> {
    limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<Payment<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starting_after: Option<&'a str>,
}

#[derive(Serialize)]
struct Payment<'a> {
    r#type: &'static str,
    payment_intent: &'a str,
}

impl<'a> ListInvoicePayments<'a> {
    fn new(of: &'a PaymentsOf, starting_after: Option<&'a str>) -> Self {
        let (invoice, payment) = match of {
            PaymentsOf::Invoice(id) => (Some(id.as_str()), None),
            PaymentsOf::PaymentIntent(id) => {
                let r#type = "payment_intent";
                (
                    None,
                    Some(Payment {
                        r#type,
                        payment_intent: id,
                    }),
                )
            }
        };
        Self {
            limit: PAGE_ROWS_MAX,
            invoice,
            payment,
            starting_after,
        }
    }
}

/// Doubles with every attempt; the upper half of it is left to `noise`.
fn backoff(tried: u32, noise: u64) -> Duration {
    let doubled = BACKOFF.saturating_mul(1 << tried.saturating_sub(1).min(8));
    let half = doubled.min(BACKOFF_MAX) / 2;
    let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
    half + Duration::from_micros(noise % spread.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Detail;

    fn transient(retry_after: Option<u64>) -> FetchError {
        FetchError::Transient {
            retry_after: retry_after.map(Duration::from_secs),
            detail: Detail::default(),
        }
    }

    fn post(strategy: RequestStrategy) -> Request {
        let builder = RequestBuilder::new(StripeMethod::Post, "/customers");
        Request::v1(builder, None)
            .and_then(|request| request.with_strategy(strategy))
            .expect("fit to be sent")
    }

    fn key() -> IdempotencyKey {
        IdempotencyKey::new("order-42").expect("a key")
    }

    #[test]
    fn nothing_is_changed_twice_without_a_key() {
        for strategy in [
            RequestStrategy::Once,
            RequestStrategy::Retry(5),
            RequestStrategy::ExponentialBackoff(5),
        ] {
            assert_eq!(post(strategy).again_after(1, &transient(None), 0), None);
        }
        let with_key = post(RequestStrategy::Idempotent(key()));
        assert!(with_key.again_after(1, &transient(None), 0).is_some());
        assert!(with_key.again_after(ATTEMPTS, &transient(None), 0).is_none());
    }

    #[test]
    fn only_what_passes_soon_is_tried_again_here() {
        let request = post(RequestStrategy::Idempotent(key()));
        let wait = |error| request.again_after(1, &error, 0);
        assert_eq!(wait(transient(Some(2))), Some(Duration::from_secs(2)));
        assert_eq!(wait(transient(Some(60))), None, "the caller's to repeat");
        assert_eq!(wait(FetchError::Refused(Detail::default())), None);
        assert_eq!(wait(FetchError::Permanent(Detail::default())), None);
    }

    #[test]
    fn backoff_doubles_and_spreads() {
        for tried in 1..40 {
            let (least, most) = (backoff(tried, 0), backoff(tried, u64::MAX));
            assert!(
                least >= BACKOFF / 2 && least <= most && most <= BACKOFF_MAX,
                "{tried}"
            );
            assert!(backoff(tried + 1, 0) >= least);
        }
    }

    #[test]
    fn lists_are_asked_for_in_stripes_form() {
        let query = |of: &PaymentsOf, after| {
            let request = Request::invoice_payments(None, of, after).expect("fit to be sent");
            assert_eq!(request.endpoint(), Endpoint::ListInvoicePayments);
            request.query.expect("a query")
        };
        let invoice = PaymentsOf::Invoice("in_1".to_owned());
        assert_eq!(query(&invoice, None), "limit=100&invoice=in_1");
        let intent = PaymentsOf::PaymentIntent("pi_1&x=y".to_owned());
        assert_eq!(
            query(&intent, Some("inpay_9")),
            "limit=100&payment[type]=payment_intent&payment[payment_intent]=pi_1%26x%3Dy&starting_after=inpay_9"
        );
    }

    #[test]
    fn a_parents_objects_are_asked_for_by_its_name() {
        let of = |kind, parent: Parent, after| {
            let request = Request::list(None, kind, &parent, after).expect("fit to be sent");
            (request.path, request.query.expect("a query"))
        };
        assert_eq!(
            of(
                Retrievable::Subscription,
                Parent::Customer("cus_1".to_owned()),
                None
            ),
            (
                "/v1/subscriptions".to_owned(),
                "limit=100&customer=cus_1&status=all".to_owned()
            )
        );
        assert_eq!(
            of(
                Retrievable::Refund,
                Parent::Charge("ch_1".to_owned()),
                Some("re_9")
            ),
            (
                "/v1/refunds".to_owned(),
                "limit=100&charge=ch_1&starting_after=re_9".to_owned()
            )
        );
        let nobody = Parent::Customer(String::new());
        assert!(Request::list(None, Retrievable::Invoice, &nobody, None).is_err());
    }

    #[test]
    fn the_platform_has_no_account() {
        let path = "/v1/prices/price_1";
        assert_eq!(Request::path(Some(""), path).expect("fit").account(), None);
        assert_eq!(
            Request::path(Some("acct_1"), path).expect("fit").account(),
            Some("acct_1")
        );
        assert!(Request::path(Some("acct_1\r\nx: y"), path).is_err());
    }
}
