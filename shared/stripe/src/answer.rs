//! From an HTTP answer to what it means. Pure.

use std::time::Duration;

use hyper::HeaderMap;
use serde::Deserialize;
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::error::{Detail, ErrorKind, FetchError, Limit, word};

/// Longest `Retry-After` that is believed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// After a server's error with which Stripe asks not to retry. It means "not now", as for its own libraries,
/// which give up the call: a fetch that nobody repeats later would turn an outage into parked events.
pub const NOT_SOON: Duration = Duration::from_secs(60);

/// Another request holds the object.
const LOCKED: &str = "lock_timeout";

const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// What the headers of an answer say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// When it was made, unix seconds by Stripe's clock.
    pub(crate) date: Option<i64>,
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
    limit: Option<Limit>,
    request_id: Option<String>,
    replayed: bool,
}

impl Facts {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let date = text("date").and_then(unix_seconds);
        Self {
            date,
            retry_after: text("retry-after").and_then(|value| retry_after(value, date)),
            should_retry: text("stripe-should-retry").and_then(|value| value.parse().ok()),
            limit: text("stripe-rate-limited-reason").map(limit),
            request_id: text("request-id").and_then(word),
            replayed: text("idempotent-replayed") == Some("true"),
        }
    }
}

/// What an answer other than 2xx means.
pub(crate) fn classify(status: u16, facts: Facts, body: &[u8]) -> FetchError {
    let words = words(body);
    let code = words.code.as_deref();
    let detail = |cause| Detail {
        cause,
        status: Some(status),
        kind: kind(words.r#type.as_deref()),
        code: words.code.clone(),
        decline_code: words.decline_code.as_deref().map(Into::into),
        replayed: facts.replayed,
        request_id: facts.request_id.clone(),
    };
    let retry_after = facts.retry_after;
    let transient = |cause, retry_after| FetchError::Transient {
        retry_after,
        detail: detail(cause),
    };
    let asked_not_to = facts.should_retry == Some(false);
    match status {
        401 | 403 => FetchError::Refused(detail("Stripe refused the key")),
        404 if is_missing(code) => FetchError::Gone(detail("Stripe does not have it")),
        429 if facts.limit.is_none() && code == Some(LOCKED) => {
            transient("the object is locked", retry_after)
        }
        429 => FetchError::RateLimited {
            retry_after,
            limit: facts.limit.unwrap_or(Limit::Account),
            detail: detail("too many requests"),
        },
        500..=599 if asked_not_to => transient(
            "Stripe failed",
            Some(retry_after.unwrap_or_default().max(NOT_SOON)),
        ),
        500..=599 => transient("Stripe failed", retry_after),
        408 | 409 | 424 if !asked_not_to => transient("Stripe could not answer now", retry_after),
        400..=499 if facts.should_retry == Some(true) => transient("Stripe asks to retry", retry_after),
        400..=499 => FetchError::Permanent(detail("Stripe does not accept the request")),
        _ => FetchError::Permanent(detail("an answer that Stripe does not give")),
    }
}

/// The body has to be one JSON object in UTF-8, and the one asked for.
///
/// # Errors
/// [`FetchError::Permanent`].
pub(crate) fn check_object(body: &[u8], expected: Option<(&str, &str)>) -> Result<(), FetchError> {
    #[derive(Deserialize)]
    struct Head {
        id: Option<String>,
        object: Option<String>,
    }
    let text = std::str::from_utf8(body).map_err(|_| FetchError::unusable("the answer is not UTF-8"))?;
    let head: Head =
        serde_json::from_str(text).map_err(|_| FetchError::unusable("the answer is no JSON object"))?;
    let Some((object, id)) = expected else {
        return Ok(());
    };
    if head.object.as_deref() == Some(object) && head.id.as_deref() == Some(id) {
        Ok(())
    } else {
        Err(FetchError::unusable("the answer is about another object"))
    }
}

/// Stripe's words for the error.
#[derive(Default, Deserialize)]
struct Words {
    r#type: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
}

fn words(body: &[u8]) -> Words {
    #[derive(Deserialize)]
    struct Envelope {
        error: Option<Words>,
    }
    let envelope: Option<Envelope> = serde_json::from_slice(body).ok();
    let said = envelope.and_then(|envelope| envelope.error).unwrap_or_default();
    let plain = |text: Option<String>| text.and_then(|text| word(&text));
    Words {
        r#type: said.r#type,
        code: plain(said.code),
        decline_code: plain(said.decline_code),
    }
}

/// <https://docs.stripe.com/api/errors#errors-type>
fn kind(r#type: Option<&str>) -> ErrorKind {
    match r#type {
        Some("card_error") => ErrorKind::Card,
        Some("idempotency_error") => ErrorKind::Idempotency,
        _ => ErrorKind::Other,
    }
}

/// A 404 about the object rather than about the address. `not_found` is the word of `/v2`.
fn is_missing(code: Option<&str>) -> bool {
    matches!(code, Some("resource_missing" | "not_found"))
}

/// `Stripe-Rate-Limited-Reason`: `global-rate`, `global-concurrency`, `endpoint-rate`, `endpoint-concurrency`,
/// `resource-specific`. What we do not know concerns everything.
fn limit(reason: &str) -> Limit {
    if reason.starts_with("endpoint-") {
        Limit::Endpoint
    } else if reason == "resource-specific" {
        Limit::Object
    } else {
        Limit::Account
    }
}

/// Seconds, or a moment that is compared with the moment of the answer.
fn retry_after(value: &str, date: Option<i64>) -> Option<Duration> {
    let seconds = match value.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => u64::try_from(unix_seconds(value)?.saturating_sub(date?)).unwrap_or(0),
    };
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// An HTTP date in its one current form (RFC 9110 5.6.7).
fn unix_seconds(http_date: &str) -> Option<i64> {
    let moment = PrimitiveDateTime::parse(http_date.trim(), HTTP_DATE).ok()?;
    Some(moment.assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn facts(lines: &[(&'static str, &'static str)]) -> Facts {
        let headers = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Facts::read(&headers)
    }

    /// The class of an answer, in a word.
    fn class(status: u16, lines: &[(&'static str, &'static str)], code: &str) -> &'static str {
        let body =
            format!(r#"{{"error":{{"code":"{code}","message":"No such customer: jane@example.com"}}}}"#);
        let error = classify(status, facts(lines), body.as_bytes());
        assert!(!format!("{error} {error:?}").contains("jane"), "{error:?}");
        match error {
            FetchError::Gone(_) => "gone",
            FetchError::RateLimited { limit, .. } => match limit {
                Limit::Account => "account",
                Limit::Endpoint => "endpoint",
                Limit::Object => "object",
                Limit::Budget => "budget",
            },
            FetchError::Transient { .. } => "transient",
            FetchError::Refused(_) => "refused",
            FetchError::Permanent(_) => "permanent",
        }
    }

    #[test]
    fn answers_fall_into_classes() {
        const YES: (&str, &str) = ("stripe-should-retry", "true");
        const NO: (&str, &str) = ("stripe-should-retry", "false");
        let reason = |text| [("stripe-rate-limited-reason", text), NO];
        for (status, lines, code, expected) in [
            (404, &[][..], "resource_missing", "gone"),
            (404, &[], "not_found", "gone"),
            (404, &[], "", "permanent"),
            (401, &[], "", "refused"),
            (401, &[YES], "api_key_expired", "refused"),
            (403, &[], "", "refused"),
            (429, &[], "lock_timeout", "transient"),
            (429, &[YES], "lock_timeout", "transient"),
            (429, &[NO], "rate_limit", "account"),
            (429, &[], "", "account"),
            (429, &reason("global-rate"), "", "account"),
            (429, &reason("global-concurrency"), "", "account"),
            (429, &reason("endpoint-rate"), "", "endpoint"),
            (429, &reason("endpoint-concurrency"), "lock_timeout", "endpoint"),
            (429, &reason("resource-specific"), "", "object"),
            (429, &reason("something-new"), "", "account"),
            (500, &[], "", "transient"),
            (503, &[NO], "", "transient"),
            (409, &[], "lock_timeout", "transient"),
            (409, &[NO], "idempotency_key_in_use", "permanent"),
            (424, &[], "", "transient"),
            (400, &[], "parameter_unknown", "permanent"),
            (400, &[YES], "", "transient"),
            (402, &[], "card_declined", "permanent"),
            (301, &[], "", "permanent"),
            (101, &[], "", "permanent"),
        ] {
            assert_eq!(class(status, lines, code), expected, "{status} {lines:?} {code}");
        }
    }

    #[test]
    fn asked_not_to_retry_means_not_soon() {
        let asked = facts(&[("stripe-should-retry", "false"), ("retry-after", "5")]);
        assert_eq!(classify(500, asked, b"").retry_after(), Some(NOT_SOON));
        assert_eq!(
            classify(500, facts(&[("retry-after", "5")]), b"").retry_after(),
            Some(Duration::from_secs(5))
        );
        assert_eq!(classify(500, facts(&[]), b"").retry_after(), None);
    }

    #[test]
    fn headers_are_read_and_doubtful_ones_ignored() {
        let read = facts(&[
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT"),
            ("request-id", "req_1"),
        ]);
        assert_eq!(read.date, Some(784_111_777));
        assert_eq!(read.retry_after, Some(Duration::from_secs(3)));
        assert_eq!(read.request_id.as_deref(), Some("req_1"));
        let doubtful = facts(&[
            ("date", "yesterday"),
            ("retry-after", "-1"),
            ("stripe-should-retry", "maybe"),
            ("request-id", "a b"),
        ]);
        assert_eq!(doubtful, Facts::default());
        assert_eq!(
            facts(&[("retry-after", "86400")]).retry_after,
            Some(RETRY_AFTER_MAX)
        );
        let past = [
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT"),
        ];
        assert_eq!(facts(&past).retry_after, Some(Duration::ZERO));
    }

    #[test]
    fn the_body_is_the_object_asked_for() {
        let expected = Some(("customer", "cus_1"));
        assert_eq!(
            check_object(br#"{"x":{"id":1},"id":"cus_1","object":"customer"}"#, expected),
            Ok(())
        );
        assert_eq!(check_object(br#"{"object":"list"}"#, None), Ok(()));
        for body in [
            &br#"{"id":"cus_2","object":"customer"}"#[..],
            br#"{"id":"cus_1","object":"price"}"#,
            br#"{"id":"cus_1","object":"customer"} trailing"#,
            br#"{"id":"cus_1","object":"customer""#,
            b"{\"id\":\"cus_1\",\"object\":\"customer\",\"x\":\"\xff\"}",
            b"<html>",
            b"",
        ] {
            assert!(
                check_object(body, expected).is_err(),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }
}
