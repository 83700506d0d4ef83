//! Answers, and Stripe's errors: <https://docs.stripe.com/api/errors>.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::event::pretty;

/// Seconds a caller is asked to wait after a 429.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
const RATE_LIMITED_REASON: HeaderName = HeaderName::from_static("stripe-rate-limited-reason");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");

/// An answer in the making.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    pub(super) fn ok(value: &Value) -> Self {
        Self::raw(pretty(value))
    }

    /// JSON that is text already.
    pub(super) fn raw(body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body,
        }
    }

    fn error(status: StatusCode, error: Value) -> Box<Self> {
        Box::new(Self {
            status,
            headers: HeaderMap::new(),
            body: pretty(&json!({ "error": error })),
        })
    }

    /// No such object of that kind.
    pub(super) fn missing(object: &str, id: &str) -> Box<Self> {
        Self::no_such(StatusCode::NOT_FOUND, object, id, "id")
    }

    /// A parameter names an object that does not exist.
    pub(super) fn no_such(status: StatusCode, object: &str, id: &str, param: &str) -> Box<Self> {
        Self::error(
            status,
            json!({
                "code": "resource_missing", "doc_url": "https://stripe.com/docs/error-codes/resource-missing",
                "message": format!("No such {object}: '{id}'"), "param": param, "type": "invalid_request_error"
            }),
        )
    }

    pub(super) fn bad_parameter(param: &str, message: &str) -> Box<Self> {
        Self::error(
            StatusCode::BAD_REQUEST,
            json!({"message": message, "param": param, "type": "invalid_request_error"}),
        )
    }

    pub(super) fn bad_version(name: &str) -> Box<Self> {
        let message = format!("Invalid Stripe API version: {name}.");
        Self::error(
            StatusCode::BAD_REQUEST,
            json!({"message": message, "type": "invalid_request_error"}),
        )
    }

    pub(super) fn foreign_account(account: &str) -> Box<Self> {
        let message = format!("The provided key does not have access to account '{account}'.");
        Self::error(
            StatusCode::FORBIDDEN,
            json!({"code": "account_invalid", "message": message, "type": "invalid_request_error"}),
        )
    }

    pub(super) fn unrecognized(method: &str, path: &str) -> Self {
        let message = format!("Unrecognized request URL ({method}: {path}).");
        *Self::error(
            StatusCode::NOT_FOUND,
            json!({"message": message, "type": "invalid_request_error"}),
        )
    }

    /// Too fast; `reason` is `global-rate` or `endpoint-rate`.
    pub(super) fn rate_limited(reason: &'static str) -> Self {
        let error = json!({
            "code": "rate_limit", "doc_url": "https://stripe.com/docs/error-codes/rate-limit",
            "message": "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
            "type": "invalid_request_error"
        });
        let mut reply = *Self::error(StatusCode::TOO_MANY_REQUESTS, error);
        reply.headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        reply
            .headers
            .insert(RATE_LIMITED_REASON, HeaderValue::from_static(reason));
        reply
    }

    /// Another request holds the object: the one 429 that is not about rates and gives no reason.
    /// Source: <https://docs.stripe.com/rate-limits#object-lock-timeouts>.
    fn locked() -> Self {
        let error = json!({
            "code": "lock_timeout", "doc_url": "https://stripe.com/docs/error-codes/lock-timeout",
            "message": "This object cannot be accessed right now because another API request or Stripe process \
                is currently accessing it.",
            "type": "invalid_request_error"
        });
        *Self::error(StatusCode::TOO_MANY_REQUESTS, error)
    }

    /// What a fault answers with `status`: Stripe's own trouble, or for 429 a lock.
    pub(super) fn failure(status: u16) -> Self {
        if status == StatusCode::TOO_MANY_REQUESTS.as_u16() {
            return Self::locked();
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = json!({"message": "An unknown error occurred", "type": "api_error"});
        let mut reply = *Self::error(status, error);
        reply
            .headers
            .insert(SHOULD_RETRY, HeaderValue::from_static("true"));
        reply
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

/// The refusal of a request without a key of Stripe's shape.
pub(super) fn unauthorized(headers: &HeaderMap) -> Option<Reply> {
    let message = match super::key(headers) {
        Some(key) if key.starts_with("sk_") || key.starts_with("rk_") => return None,
        Some(_) => "Invalid API Key provided.",
        None => {
            "You did not provide an API key. You need to provide your API key in the Authorization header, \
             using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        }
    };
    let error = json!({"message": message, "type": "invalid_request_error"});
    Some(*Reply::error(StatusCode::UNAUTHORIZED, error))
}
