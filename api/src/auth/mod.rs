//! Who asks: bearer tokens (JWT, RFC 7519), checked against one pinned algorithm, issuer and audience.

mod crypto;
mod keys;
mod token;

pub(crate) use jsonwebtoken::Algorithm;
pub(crate) use keys::{AuthConfig, KeySource, Keys};
pub(crate) use token::TokenError;
pub use token::{Token, TokenKey};

/// Least bytes of a secret: as many as a SHA-256 has (RFC 7518, section 3.2).
pub(crate) const SECRET_BYTES_MIN: usize = 32;
