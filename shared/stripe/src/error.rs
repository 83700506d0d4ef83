//! Why an object could not be fetched, by what the caller can do about it.

use std::fmt;
use std::time::Duration;

use stripe_client_core::StripeClientErr;

/// Longest `code` and `request_id` that are repeated.
const WORD_BYTES_MAX: usize = 64;

/// Whose limit was hit, which decides who has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Everything the account asks.
    Account,
    /// This endpoint of the account.
    Endpoint,
    /// This one object; others may go on.
    Object,
    /// Our own budget said no; Stripe was not asked.
    Budget,
}

/// What Stripe calls the type of an error, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorKind {
    /// `card_error`: a bank's.
    Card,
    /// `idempotency_error`: the key belongs to another request.
    Idempotency,
    /// Any other, or none.
    #[default]
    Other,
}

/// What is known about a failure. Words and numbers only: Stripe's messages repeat keys, names and addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detail {
    /// Ours, in words.
    pub cause: &'static str,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Whose no it is.
    pub kind: ErrorKind,
    /// Stripe's error code, such as `resource_missing`.
    pub code: Option<String>,
    /// Why a bank said no, such as `insufficient_funds`.
    pub decline_code: Option<Box<str>>,
    /// Whether it is the answer to an earlier request with the same idempotency key.
    pub replayed: bool,
    /// Stripe's name for the request, `req_...`, which its support asks for.
    pub request_id: Option<String>,
}

impl Detail {
    pub(crate) fn of(cause: &'static str) -> Self {
        Self {
            cause,
            ..Self::default()
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause)?;
        if let Some(status) = self.status {
            write!(f, ", status {status}")?;
        }
        if let Some(code) = &self.code {
            write!(f, ", code {code}")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        Ok(())
    }
}

/// Why an object could not be fetched. The classes are those of `docs/ARCHITECTURE.md`; what is not known to
/// pass with time is [`Permanent`](Self::Permanent), so nothing is asked for ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// There is no such object (any more): 404 `resource_missing`. The caller decides what that means.
    #[error("no such object: {0}")]
    Gone(Detail),
    /// Too many requests; time helps.
    #[error("rate limited: {detail}")]
    RateLimited {
        /// Not before this, when anybody said so.
        retry_after: Option<Duration>,
        /// Who has to wait.
        limit: Limit,
        /// What is known.
        detail: Detail,
    },
    /// Trouble at Stripe or on the way; time helps.
    #[error("transient: {detail}")]
    Transient {
        /// Not before this, when anybody said so.
        retry_after: Option<Duration>,
        /// What is known.
        detail: Detail,
    },
    /// 401 or 403: the key is wrong, revoked, or may not do this. An operator has to act.
    #[error("refused, check the key and its permissions: {0}")]
    Refused(Detail),
    /// The same question will get the same answer. A person has to look.
    #[error("permanent: {0}")]
    Permanent(Detail),
}

impl FetchError {
    /// What is known about it.
    #[must_use]
    pub fn detail(&self) -> &Detail {
        match self {
            Self::Gone(detail)
            | Self::RateLimited { detail, .. }
            | Self::Transient { detail, .. }
            | Self::Refused(detail)
            | Self::Permanent(detail) => detail,
        }
    }

    /// The earliest moment at which asking again makes sense, when anybody said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Transient { retry_after, .. } => *retry_after,
            Self::Gone(_) | Self::Refused(_) | Self::Permanent(_) => None,
        }
    }

    /// Whether time alone can help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::Transient { .. })
    }

    /// A request that must not be sent.
    pub(crate) fn unusable(cause: &'static str) -> Self {
        Self::Permanent(Detail::of(cause))
    }
}

/// For typed requests of async-stripe: an answer of another shape than theirs.
impl StripeClientErr for FetchError {
    fn deserialize_err(_: impl fmt::Display) -> Self {
        Self::unusable("the answer has another shape than this version of async-stripe expects")
    }
}

/// A word that may be repeated in logs: what does not look like a code or an id is dropped.
pub(crate) fn word(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    let is_word = (1..=WORD_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain);
    is_word.then(|| text.to_owned())
}
