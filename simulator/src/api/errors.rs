//! Answers, and Stripe's errors: <https://docs.stripe.com/api/errors>.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use crate::event::pretty;

/// Seconds a caller is asked to wait after a 429.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
const RATE_LIMITED_REASON: HeaderName = HeaderName::from_static("stripe-rate-limited-reason");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");

/// An answer in the making.
#[derive(Debug, Clone)]
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
        Self::of(StatusCode::OK, "application/json", body)
    }

    /// A page for people.
    pub(super) fn page(status: StatusCode, html: String) -> Self {
        Self::of(status, "text/html; charset=utf-8", html.into())
    }

    /// Somebody is sent elsewhere, and is to GET what is there.
    pub(super) fn see_other(url: &str) -> Self {
        let mut reply = Self::of(StatusCode::SEE_OTHER, "text/plain", Bytes::new());
        if let Ok(url) = HeaderValue::from_str(url) {
            reply.headers.insert(header::LOCATION, url);
        }
        reply
    }

    fn of(status: StatusCode, content_type: &'static str, body: Bytes) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Self {
            status,
            headers,
            body,
        }
    }

    fn error(status: StatusCode, error: Value) -> Box<Self> {
        let body = pretty(&json!({ "error": error }));
        Box::new(Self::of(status, "application/json", body))
    }

    /// A request that makes no sense, with Stripe's code for the reason.
    fn invalid(code: &str, message: &str, param: &str) -> Box<Self> {
        Self::error(
            StatusCode::BAD_REQUEST,
            json!({
                "code": code, "doc_url": doc_url(code), "message": message, "param": param,
                "type": "invalid_request_error"
            }),
        )
    }

    /// A request that could make sense, but not as things are.
    pub(super) fn unexpected(code: &str, message: &str) -> Box<Self> {
        Self::error(
            StatusCode::BAD_REQUEST,
            json!({"code": code, "doc_url": doc_url(code), "message": message, "type": "invalid_request_error"}),
        )
    }

    /// No such object of that kind.
    pub(super) fn missing(object: &str, id: &str) -> Box<Self> {
        Self::no_such(StatusCode::NOT_FOUND, object, id, "id")
    }

    /// A parameter names an object that does not exist.
    pub(super) fn no_such(status: StatusCode, object: &str, id: &str, param: &str) -> Box<Self> {
        let message = format!("No such {object}: '{id}'");
        let code = "resource_missing";
        Self::error(
            status,
            json!({
                "code": code, "doc_url": doc_url(code), "message": message, "param": param,
                "type": "invalid_request_error"
            }),
        )
    }

    /// The object is one of test mode, but the key is not.
    pub(super) fn other_mode(object: &str, id: &str) -> Box<Self> {
        let code = "resource_missing";
        let message = format!(
            "No such {object}: '{id}'; a similar object exists in test mode, but a live mode key was used to make \
             this request."
        );
        Self::error(
            StatusCode::NOT_FOUND,
            json!({
                "code": code, "doc_url": doc_url(code), "message": message, "param": "id",
                "type": "invalid_request_error"
            }),
        )
    }

    pub(super) fn bad_parameter(param: &str, message: &str) -> Box<Self> {
        Self::error(
            StatusCode::BAD_REQUEST,
            json!({"message": message, "param": param, "type": "invalid_request_error"}),
        )
    }

    pub(super) fn bad_integer(param: &str, message: &str) -> Box<Self> {
        Self::invalid("parameter_invalid_integer", message, param)
    }

    pub(super) fn bad_url(param: &str) -> Box<Self> {
        let message = "Not a valid URL. URLs must begin with http or https.";
        Self::invalid("url_invalid", message, param)
    }

    pub(super) fn missing_parameter(param: &str) -> Box<Self> {
        Self::invalid(
            "parameter_missing",
            &format!("Missing required param: {param}."),
            param,
        )
    }

    pub(super) fn empty_parameter(param: &str) -> Box<Self> {
        let message = format!(
            "You passed an empty string for '{param}'. We assume empty values are an attempt to unset a parameter; \
             however '{param}' cannot be unset. You should remove '{param}' from your request or supply a \
             non-empty value."
        );
        Self::invalid("parameter_invalid_empty", &message, param)
    }

    pub(super) fn unknown_parameter(param: &str) -> Box<Self> {
        let message = format!("Received unknown parameter: {param}");
        Self::invalid("parameter_unknown", &message, param)
    }

    pub(super) fn amount_too_small(message: &str) -> Box<Self> {
        Self::invalid("amount_too_small", message, "amount")
    }

    /// The card is declined: 402, with the intent as it is now.
    pub(super) fn declined(intent: &Value) -> Box<Self> {
        let code = "card_declined";
        let charge = &intent["latest_charge"];
        Self::error(
            StatusCode::PAYMENT_REQUIRED,
            json!({
                "charge": charge, "code": code, "decline_code": "generic_decline", "doc_url": doc_url(code),
                "message": "Your card was declined.", "payment_intent": intent, "type": "card_error"
            }),
        )
    }

    pub(super) fn bad_version(name: &str) -> Box<Self> {
        let message = format!("Invalid Stripe API version: {name}.");
        Self::error(
            StatusCode::BAD_REQUEST,
            json!({"message": message, "type": "invalid_request_error"}),
        )
    }

    /// The body is not what it has to be.
    pub(super) fn not_a_form() -> Box<Self> {
        let message = "Invalid request (check that your POST content type is application/x-www-form-urlencoded). \
            If you have questions, we can help at https://support.stripe.com/.";
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

    /// The key itself is refused.
    pub(super) fn unauthorized(message: &str) -> Box<Self> {
        let error = json!({"message": message, "type": "invalid_request_error"});
        Self::error(StatusCode::UNAUTHORIZED, error)
    }

    /// A restricted key may not do that.
    pub(super) fn not_permitted(key: &str, account: &str, permission: &str) -> Box<Self> {
        let message = format!(
            "The provided key '{key}' does not have the required permissions for this endpoint on account \
             '{account}'. Having the 'rak_{permission}' permission would allow this request to continue."
        );
        Self::error(
            StatusCode::FORBIDDEN,
            json!({"message": message, "type": "invalid_request_error"}),
        )
    }

    pub(super) fn unrecognized(method: &str, path: &str) -> Box<Self> {
        let message = format!("Unrecognized request URL ({method}: {path}).");
        Self::error(
            StatusCode::NOT_FOUND,
            json!({"message": message, "type": "invalid_request_error"}),
        )
    }

    /// The same key for another request.
    pub(super) fn other_request(message: &str) -> Box<Self> {
        Self::error(
            StatusCode::BAD_REQUEST,
            json!({"message": message, "type": "idempotency_error"}),
        )
    }

    /// The first request with the key is not done yet.
    pub(super) fn key_in_use(key: &str) -> Box<Self> {
        let code = "idempotency_key_in_use";
        let message = format!(
            "There is currently another in-progress request using this Idempotent Key (that probably means you \
             submitted twice, and the other request is still going through): {key}. Please try again later."
        );
        let error = json!({
            "code": code, "doc_url": doc_url(code), "message": message, "type": "invalid_request_error"
        });
        Self::error(StatusCode::CONFLICT, error).worth_a_retry()
    }

    /// Too fast; `reason` is `global-rate` or `endpoint-rate`.
    pub(super) fn rate_limited(reason: &'static str) -> Box<Self> {
        let code = "rate_limit";
        let error = json!({
            "code": code, "doc_url": doc_url(code),
            "message": "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
            "type": "invalid_request_error"
        });
        let mut reply = Self::error(StatusCode::TOO_MANY_REQUESTS, error);
        reply.headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        let reason = HeaderValue::from_static(reason);
        reply.headers.insert(RATE_LIMITED_REASON, reason);
        reply
    }

    /// Another request holds the object: the one 429 that is not about rates and gives no reason.
    /// Source: <https://docs.stripe.com/rate-limits#object-lock-timeouts>.
    fn locked() -> Box<Self> {
        let code = "lock_timeout";
        let error = json!({
            "code": code, "doc_url": doc_url(code),
            "message": "This object cannot be accessed right now because another API request or Stripe process \
                is currently accessing it.",
            "type": "invalid_request_error"
        });
        Self::error(StatusCode::TOO_MANY_REQUESTS, error)
    }

    /// What a fault answers with `status`: Stripe's own trouble, or for 429 a lock.
    pub(super) fn failure(status: u16) -> Box<Self> {
        if status == StatusCode::TOO_MANY_REQUESTS.as_u16() {
            return Self::locked();
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = json!({"message": "An unknown error occurred", "type": "api_error"});
        Self::error(status, error).worth_a_retry()
    }

    fn worth_a_retry(mut self: Box<Self>) -> Box<Self> {
        self.headers
            .insert(SHOULD_RETRY, HeaderValue::from_static("true"));
        self
    }

    /// With another header, unless its value cannot be one.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

fn doc_url(code: &str) -> String {
    format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))
}
