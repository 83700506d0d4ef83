//! Every way a request can fail: what the caller sees, and what we count.
//!
//! The caller learns a status and nothing more. Whoever tries out signatures gets the same answer to all
//! of them; the reason is a label on a counter.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use shared::envelope::PayloadError;
use shared::queue::{Closed, EnqueueError};
use shared::signature::SignatureError;

/// The body of every refusal.
const BODY: &[u8] = b"refused\n";
/// When a caller that was sent away may come back. Stripe has its own schedule; proxies and tests obey.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no such endpoint")]
    UnknownEndpoint,
    #[error("not a POST")]
    Method,
    #[error("no signature header")]
    NoSignature,
    #[error("more than one signature header")]
    SeveralSignatures,
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error("the body is too large")]
    BodyTooLarge,
    #[error("the body did not arrive in time")]
    BodyTimeout,
    #[error("the body ended early")]
    BodyCutOff,
    #[error("too many bytes of bodies are being received")]
    BodiesBudget,
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
}

/// Refusals that HTTP itself makes, before there is a request.
pub(crate) const HEADERS_TOO_LARGE: &str = "headers_too_large";
/// See [`HEADERS_TOO_LARGE`].
pub(crate) const HEADERS_TIMEOUT: &str = "headers_timeout";
/// See [`HEADERS_TOO_LARGE`].
pub(crate) const HTTP_MALFORMED: &str = "http_malformed";

impl Refusal {
    /// Every reason there is, so that all counters start at zero and alerts can tell nothing from none.
    pub(crate) const REASONS: [&'static str; 27] = [
        "unknown_endpoint",
        "method",
        "no_signature",
        "several_signatures",
        "malformed_header",
        "no_match",
        "too_old",
        "in_future",
        "not_utf8",
        "not_an_event",
        "bad_word",
        "bad_created",
        "body_too_large",
        "body_timeout",
        "body_cut_off",
        "bodies_budget",
        "redis_unreachable",
        "redis_too_weak",
        "redis_read_only",
        "redis_replicas",
        "backlog",
        "redis_memory",
        "redis_out_of_memory",
        "redis_unavailable",
        HEADERS_TOO_LARGE,
        HEADERS_TIMEOUT,
        HTTP_MALFORMED,
    ];

    /// The value of the `reason` label; one of [`Self::REASONS`].
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::UnknownEndpoint => "unknown_endpoint",
            Self::Method => "method",
            Self::NoSignature => "no_signature",
            Self::SeveralSignatures => "several_signatures",
            Self::Signature(error) => error.label(),
            Self::Payload(error) => error.label(),
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyCutOff => "body_cut_off",
            Self::BodiesBudget => "bodies_budget",
            Self::Closed(closed) => closed.label(),
            Self::Enqueue(error) => error.label(),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::UnknownEndpoint => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoSignature
            | Self::SeveralSignatures
            | Self::Signature(_)
            | Self::Payload(_)
            | Self::BodyCutOff => StatusCode::BAD_REQUEST,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodiesBudget | Self::Closed(_) | Self::Enqueue(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the caller sees.
    pub(crate) fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from_static(BODY)));
        let status = self.status();
        *response.status_mut() = status;
        let headers = response.headers_mut();
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            _ => {}
        }
        // Only whoever holds a secret may keep a connection open, so that strangers cannot use them up.
        if status.is_client_error() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Refusal> {
        use Refusal::{
            BodiesBudget, BodyCutOff, BodyTimeout, BodyTooLarge, Method, NoSignature, SeveralSignatures,
            UnknownEndpoint,
        };
        let mut all = vec![
            UnknownEndpoint,
            Method,
            NoSignature,
            SeveralSignatures,
            BodyTooLarge,
            BodyTimeout,
            BodyCutOff,
            BodiesBudget,
            EnqueueError::OutOfMemory.into(),
            EnqueueError::Replicas {
                acknowledged: 0,
                demanded: 1,
            }
            .into(),
            Closed::Unreachable(String::new()).into(),
            Closed::TooWeak(String::new()).into(),
            Closed::ReadOnly.into(),
            Closed::Replicas {
                connected: 0,
                demanded: 1,
            }
            .into(),
            Closed::Backlog { entries: 2, limit: 1 }.into(),
            Closed::Memory.into(),
        ];
        all.extend(SIGNATURE.map(Refusal::from));
        all.extend(PAYLOAD.map(Refusal::from));
        all
    }

    const SIGNATURE: [SignatureError; 4] = [
        SignatureError::Malformed,
        SignatureError::Mismatch,
        SignatureError::TooOld,
        SignatureError::InFuture,
    ];
    const PAYLOAD: [PayloadError; 4] = [
        PayloadError::NotUtf8,
        PayloadError::NotAnEvent,
        PayloadError::BadWord,
        PayloadError::BadCreated,
    ];

    #[test]
    fn every_reason_is_listed() {
        for refusal in all() {
            assert!(Refusal::REASONS.contains(&refusal.reason()), "{refusal}");
        }
    }

    #[test]
    fn bad_input_is_never_a_server_error_and_nothing_redirects() {
        for refusal in all() {
            let status = refusal.status();
            assert!(
                status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE,
                "{refusal}"
            );
        }
    }

    #[test]
    fn whatever_is_wrong_with_signature_or_payload_looks_the_same() {
        let looks = |refusal: Refusal| {
            let response = refusal.response();
            format!(
                "{:?} {:?} {:?}",
                response.status(),
                response.headers(),
                response.body()
            )
        };
        let expected = looks(Refusal::NoSignature);
        assert!(expected.starts_with("400"));
        for error in SIGNATURE {
            assert_eq!(looks(error.into()), expected);
        }
        for error in PAYLOAD {
            assert_eq!(looks(error.into()), expected);
        }
        assert_eq!(looks(Refusal::SeveralSignatures), expected);
    }
}
