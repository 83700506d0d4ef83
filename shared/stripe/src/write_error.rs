//! Why a change was not made, by what may be done next.

use std::time::Duration;

use crate::error::{Detail, ErrorKind, FetchError};

/// Why Stripe did not do what it was asked to. Whoever does not know whether it was done may only ask for the very
/// same under the very same key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Not now, or nobody knows: too many requests, no answer, a broken one, a server's error, a lock.
    #[error("unknown: {detail}")]
    Unknown {
        /// Not before this, when anybody said so.
        retry_after: Option<Duration>,
        /// What is known.
        detail: Detail,
    },
    /// As [`Self::Unknown`], and Stripe keeps that answer under the key: asking again brings the same.
    #[error("unknown for good: {0}")]
    Kept(Detail),
    /// A bank said no. Nothing was done, and the same will not be.
    #[error("declined: {0}")]
    Declined(Detail),
    /// Stripe does not do that, as things are. Nothing was done, and the same will not be.
    #[error("refused: {0}")]
    Refused(Detail),
    /// The key was used for something else: a mistake of ours, because what is kept is sent word for word.
    #[error("the key belongs to another request: {0}")]
    KeyReused(Detail),
    /// 401 or 403: the key of the API is wrong, or may not do this. An operator has to act; until then the same
    /// may be asked again.
    #[error("not allowed, check the key and its permissions: {0}")]
    NotAllowed(Detail),
}

impl WriteError {
    /// What is known about it.
    #[must_use]
    pub fn detail(&self) -> &Detail {
        match self {
            Self::Unknown { detail, .. } => detail,
            Self::Kept(detail)
            | Self::Declined(detail)
            | Self::Refused(detail)
            | Self::KeyReused(detail)
            | Self::NotAllowed(detail) => detail,
        }
    }

    /// Whether it is over: the same request will never be carried out.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Declined(_) | Self::Refused(_) | Self::KeyReused(_))
    }

    /// The earliest moment at which asking again makes sense, when anybody said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unknown { retry_after, .. } => *retry_after,
            Self::Kept(_)
            | Self::Declined(_)
            | Self::Refused(_)
            | Self::KeyReused(_)
            | Self::NotAllowed(_) => None,
        }
    }
}

impl From<FetchError> for WriteError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Transient { detail, .. } if detail.replayed => Self::Kept(detail),
            // An earlier attempt under the same key may have been carried out even here.
            FetchError::RateLimited {
                retry_after, detail, ..
            }
            | FetchError::Transient { retry_after, detail } => Self::Unknown { retry_after, detail },
            FetchError::Refused(detail) => Self::NotAllowed(detail),
            FetchError::Gone(detail) => Self::Refused(detail),
            FetchError::Permanent(detail) => permanent(detail),
        }
    }
}

/// An answer that was understood is Stripe's no. One that was not tells nothing: what was asked for may be done.
fn permanent(detail: Detail) -> WriteError {
    match (detail.status, detail.kind) {
        (_, ErrorKind::Idempotency) => WriteError::KeyReused(detail),
        (_, ErrorKind::Card) | (Some(402), _) => WriteError::Declined(detail),
        // Another request with the key is under way, whatever else it says.
        (Some(409), _) => WriteError::Unknown {
            retry_after: None,
            detail,
        },
        (Some(400..=499), _) => WriteError::Refused(detail),
        _ => WriteError::Unknown {
            retry_after: None,
            detail,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(status: u16, kind: ErrorKind) -> Detail {
        Detail {
            status: Some(status),
            kind,
            ..Detail::default()
        }
    }

    #[test]
    fn an_error_says_what_may_be_done_next() {
        let permanent = |status, kind| WriteError::from(FetchError::Permanent(detail(status, kind)));
        assert!(matches!(permanent(402, ErrorKind::Card), WriteError::Declined(_)));
        assert!(matches!(permanent(400, ErrorKind::Other), WriteError::Refused(_)));
        assert!(matches!(
            permanent(400, ErrorKind::Idempotency),
            WriteError::KeyReused(_)
        ));
        assert!(!permanent(409, ErrorKind::Other).is_final(), "the key is in use");
        let nonsense = WriteError::from(FetchError::unusable("the answer is no JSON object"));
        assert!(
            matches!(nonsense, WriteError::Unknown { .. }) && !nonsense.is_final(),
            "it may be done"
        );
        let transient = |replayed| {
            WriteError::from(FetchError::Transient {
                retry_after: None,
                detail: Detail {
                    replayed,
                    ..detail(500, ErrorKind::Other)
                },
            })
        };
        assert!(matches!(transient(false), WriteError::Unknown { .. }));
        assert!(matches!(transient(true), WriteError::Kept(_)));
        assert!(!transient(true).is_final());
    }
}
