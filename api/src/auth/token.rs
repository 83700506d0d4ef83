//! Reading tokens (pure), and making some for tests and demonstrations.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Map, Value};
use store::api::{Actor, ActorRole};

use super::crypto;

/// How far clocks may be apart, seconds.
const LEEWAY_SECONDS: u64 = 30;
/// Longest subject, bytes: it becomes part of keys.
const SUBJECT_BYTES_MAX: usize = 200;

/// Why a token is refused. Nothing more is told to whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// There is none.
    #[error("there is no bearer token")]
    Missing,
    /// Not a token, or one with another algorithm, or signed by somebody else.
    #[error("the token is not valid")]
    Invalid,
    /// It was valid.
    #[error("the token has expired")]
    Expired,
    /// Its issuer or audience is somebody else.
    #[error("the token is for somebody else")]
    Elsewhere,
    /// It names a key that the issuer does not publish (any more).
    #[error("the token names an unknown key")]
    UnknownKey,
}

impl TokenError {
    /// What [`Self::reason`] says.
    pub(crate) const REASONS: [&'static str; 5] =
        ["missing", "invalid", "expired", "elsewhere", "unknown_key"];

    /// The label of metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::Elsewhere => "elsewhere",
            Self::UnknownKey => "unknown_key",
        }
    }
}

/// What a token must be like.
pub(super) struct Expected<'a> {
    pub algorithm: Algorithm,
    pub issuer: &'a str,
    pub audience: &'a str,
    pub role_claim: &'a str,
    pub account: &'a str,
}

/// Checks a token and says who it speaks for.
pub(super) fn read(token: &str, key: &DecodingKey, expected: &Expected<'_>) -> Result<Actor, TokenError> {
    crypto::install();
    let mut validation = Validation::new(expected.algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = decode::<Map<String, Value>>(token, key, &validation)
        .map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => TokenError::Expired,
            ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => TokenError::Elsewhere,
            _ => TokenError::Invalid,
        })?
        .claims;
    actor(&claims, expected).ok_or(TokenError::Invalid)
}

fn actor(claims: &Map<String, Value>, expected: &Expected<'_>) -> Option<Actor> {
    let subject = claims.get("sub")?.as_str()?;
    let is_usable =
        !subject.is_empty() && subject.len() <= SUBJECT_BYTES_MAX && !subject.contains(char::is_control);
    let role = match claims.get(expected.role_claim) {
        None => ActorRole::User,
        Some(role) => ActorRole::parse(role.as_str()?)?,
    };
    is_usable.then(|| Actor {
        account: expected.account.to_owned(),
        role,
        subject: subject.to_owned(),
    })
}

/// A secret to make tokens with, for applications, tests and `tollgate dev`.
pub struct TokenKey(EncodingKey);

impl TokenKey {
    /// The secret of `TOLLGATE_API_JWT_SECRET`.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(EncodingKey::from_secret(secret))
    }
}

/// What a token says.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Token<'a> {
    /// Who issues it.
    pub iss: &'a str,
    /// Whom it is for.
    pub aud: &'a str,
    /// Who it speaks for.
    pub sub: &'a str,
    /// `user`, `service` or `admin`.
    pub role: &'a str,
    /// Until when, unix seconds.
    pub exp: i64,
}

impl Token<'_> {
    /// Signs it with HS256.
    ///
    /// # Panics
    /// Never: texts and numbers always serialise.
    #[must_use]
    pub fn sign(&self, key: &TokenKey) -> String {
        crypto::install();
        encode(&Header::new(Algorithm::HS256), self, &key.0).expect("texts and numbers always serialise")
    }
}
