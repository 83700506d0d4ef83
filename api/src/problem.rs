//! Every error the API answers, as problem details (RFC 9457) with a stable `code`.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use store::StoreError;
use utoipa::ToSchema;

/// `Content-Type` of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong, as the client reads it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// HTTP status.
    #[serde(rename = "status", serialize_with = "as_number")]
    #[schema(value_type = u16, example = 402)]
    pub status: StatusCode,
    /// Names the kind of problem; never changes its meaning.
    #[schema(value_type = String, example = "insufficient_credits")]
    pub code: &'static str,
    /// The kind of problem, for people.
    #[schema(value_type = String)]
    pub title: Cow<'static, str>,
    /// This very problem, for people, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// More, by code.
    #[serde(flatten)]
    #[schema(ignore)]
    pub more: Map<String, Value>,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<Duration>,
}

/// Goes with the response of a problem, for the log: its code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProblemCode(pub &'static str);

/// A problem's status, code and title.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:ident $code:literal $title:literal;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = Self { status: StatusCode::$status, code: $code, title: $title };)*
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

kinds! {
    /// Something in the request makes no sense.
    INVALID = BAD_REQUEST "invalid_request" "The request cannot be understood";
    /// Too little or too much.
    TOPUP_RANGE = BAD_REQUEST "topup_out_of_range" "The amount is out of range";
    /// Every request that changes something needs an `Idempotency-Key`.
    KEY_MISSING = BAD_REQUEST "idempotency_key_missing" "An Idempotency-Key is needed";
    /// See `auth`.
    UNAUTHENTICATED = UNAUTHORIZED "unauthenticated" "Who asks is not known";
    /// There are too few credits.
    INSUFFICIENT = PAYMENT_REQUIRED "insufficient_credits" "There are too few credits";
    /// The balance is below zero.
    OWING = PAYMENT_REQUIRED "balance_below_zero" "What is owed comes first";
    /// A bank said no.
    DECLINED = PAYMENT_REQUIRED "payment_declined" "The payment was declined";
    /// Not this caller.
    FORBIDDEN = FORBIDDEN "forbidden" "Not allowed";
    /// There is no such thing, or it is not the caller's to see.
    NOT_FOUND = NOT_FOUND "not_found" "There is no such thing";
    /// The catalogue has no such thing, or it is not active.
    UNKNOWN_OFFER = NOT_FOUND "unknown_offer" "This is not for sale";
    /// The path is known, the method is not.
    METHOD = METHOD_NOT_ALLOWED "method_not_allowed" "This path does not know the method";
    /// It took too long to arrive.
    TIMEOUT = REQUEST_TIMEOUT "request_timeout" "The request took too long to arrive";
    /// Another request with this key is being carried out.
    RUNNING = CONFLICT "request_running" "The same request is being carried out";
    /// What is asked does not fit what is.
    CONFLICT = CONFLICT "conflict" "It does not fit what is there";
    /// The platform has given all the credits it gives.
    CAPACITY = CONFLICT "capacity_used_up" "No more credits are given at the moment";
    /// What is owed comes first.
    OVERDUE = CONFLICT "payment_overdue" "A payment is overdue";
    /// One at a time.
    SUBSCRIBED = CONFLICT "has_subscription" "There is a subscription already";
    /// Nothing runs.
    NO_SUBSCRIPTION = CONFLICT "no_subscription" "There is no subscription";
    /// What it made has not arrived.
    CHECKOUT_PAID = CONFLICT "checkout_completed" "A checkout has just been paid";
    /// Nothing was ever bought.
    NO_CUSTOMER = CONFLICT "no_customer" "There is no customer at Stripe";
    /// Nobody says what it costs.
    UNPRICED = CONFLICT "offer_without_price" "What it costs is not known";
    /// Not paid, disputed, or given back already.
    NOT_REFUNDABLE = CONFLICT "not_refundable" "This cannot be given back";
    /// Too long.
    TOO_LARGE = PAYLOAD_TOO_LARGE "body_too_large" "The body is too long";
    /// Only JSON.
    MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "The body must be application/json";
    /// The key belongs to another request.
    KEY_REUSED = UNPROCESSABLE_ENTITY "idempotency_key_reused" "The Idempotency-Key belongs to another request";
    /// Too many in too short a time.
    TOO_MANY = TOO_MANY_REQUESTS "too_many_requests" "Too many requests";
    /// A mistake of ours.
    INTERNAL = INTERNAL_SERVER_ERROR "internal" "Something went wrong here";
    /// Stripe said no.
    STRIPE_REFUSED = BAD_GATEWAY "stripe_refused" "Stripe does not do this";
    /// Stripe did not answer.
    STRIPE_UNAVAILABLE = SERVICE_UNAVAILABLE "stripe_unavailable" "Stripe does not answer at the moment";
    /// A setting is missing.
    NOT_CONFIGURED = SERVICE_UNAVAILABLE "stripe_not_configured" "This installation sells nothing";
    /// Somebody took it off.
    SWITCHED_OFF = SERVICE_UNAVAILABLE "switched_off" "This is switched off";
    /// What is behind the API does not answer.
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable" "Not available at the moment";
}

impl Kind {
    /// With what is to be said about this very problem.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Problem {
        Problem {
            detail: Some(detail.into()),
            ..self.into()
        }
    }
}

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        Self {
            status: kind.status,
            code: kind.code,
            title: Cow::Borrowed(kind.title),
            detail: None,
            more: Map::new(),
            retry_after: None,
        }
    }
}

impl Problem {
    /// Whether it is of a kind.
    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.code == kind.code
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// With when to come again, rounded up to seconds.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.class() == domain::Class::Transient {
            tracing::warn!(%error, "Postgres");
            return Problem::from(Kind::UNAVAILABLE).retry_after(Duration::from_secs(1));
        }
        tracing::error!(%error, "Postgres");
        Kind::INTERNAL.into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        response.extensions_mut().insert(ProblemCode(self.code));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<_> = Kind::ALL.iter().map(|kind| kind.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Kind::ALL.len());
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_too_short() {
        let wait = |ms| {
            let problem = Problem::from(Kind::TOO_MANY).retry_after(Duration::from_millis(ms));
            let response = problem.into_response();
            response.headers()[header::RETRY_AFTER]
                .to_str()
                .expect("digits")
                .to_owned()
        };
        assert_eq!(
            (wait(1), wait(1_000), wait(1_001)),
            ("1".into(), "1".into(), "2".into())
        );
    }
}
