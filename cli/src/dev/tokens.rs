//! Tokens for the API that `dev` runs, unless the user has an issuer of their own.

use api::{Token, TokenKey};
use shared::clock::Clock;
use shared::config::Env;

use super::services::random_word;

const ISSUER: &str = "tollgate-dev";
const AUDIENCE: &str = "tollgate";
/// How long a token is good, seconds: longer than anybody keeps `dev` running.
const GOOD_FOR: i64 = 30 * 24 * 60 * 60;
/// Settings that say that there is an issuer.
const CONFIGURED_BY: [&str; 3] = [
    "TOLLGATE_API_JWT_SECRET",
    "TOLLGATE_API_JWT_SECRET_FILE",
    "TOLLGATE_API_JWKS_URL",
];

/// A secret that was made up.
pub(super) struct Tokens {
    secret: String,
}

impl Tokens {
    /// Nothing, where the environment says who issues tokens.
    pub(super) fn unless_configured(env: &Env) -> std::io::Result<Option<Self>> {
        if CONFIGURED_BY.iter().any(|name| env.get(name).is_some()) {
            return Ok(None);
        }
        Ok(Some(Self {
            secret: random_word()?,
        }))
    }

    /// As the API takes them.
    pub(super) fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("TOLLGATE_API_JWT_SECRET", self.secret.clone()),
            ("TOLLGATE_API_JWT_ISSUER", ISSUER.to_owned()),
            ("TOLLGATE_API_JWT_AUDIENCE", AUDIENCE.to_owned()),
        ]
    }

    /// A token for `role`.
    pub(super) fn token(&self, role: &str) -> String {
        let token = Token {
            iss: ISSUER,
            aud: AUDIENCE,
            sub: "dev",
            role,
            exp: Clock::system().unix_seconds() + GOOD_FOR,
        };
        token.sign(&TokenKey::new(self.secret.as_bytes()))
    }
}
