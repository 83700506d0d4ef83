//! What is asked of the API and of Stripe, made beforehand.

use std::net::SocketAddr;

use api::{Token, TokenKey};
use bytes::Bytes;
use serde_json::json;
use shared::clock::Clock;
use shared::unique;
use store::yardstick::user;

/// Who signs tokens, and for whom.
pub(in crate::bench) const ISSUER: &str = "tollgate-bench";
pub(in crate::bench) const AUDIENCE: &str = "tollgate";
pub(in crate::bench) const SECRET: &str = "of a benchmark, thirty-two bytes";
/// How long the token is good, seconds: longer than anybody measures.
const GOOD_FOR: i64 = 24 * 60 * 60;
/// What is bought.
pub(super) const PACKAGE: &str = "credits_1000";
/// Any key of the shape is taken.
pub(in crate::bench) const API_KEY: &str = "sk_test_bench";

/// Makes requests of an application, which asks for all of its users.
pub(in crate::bench) struct Maker {
    address: SocketAddr,
    token: String,
}

impl Maker {
    pub(in crate::bench) fn new(address: SocketAddr) -> Self {
        let token = Token {
            iss: ISSUER,
            aud: AUDIENCE,
            sub: "bench",
            role: "service",
            exp: Clock::system().unix_seconds() + GOOD_FOR,
        };
        Self {
            address,
            token: token.sign(&TokenKey::new(SECRET.as_bytes())),
        }
    }

    /// "May this user do that?"
    pub(super) fn state(&self, number: usize) -> Bytes {
        self.get(&format!("/v1/users/{}/subscription-state", user(number)))
    }

    pub(in crate::bench) fn get(&self, path: &str) -> Bytes {
        let (address, token) = (self.address, &self.token);
        Bytes::from(format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n"
        ))
    }

    /// One credit.
    pub(super) fn spend(&self, number: usize) -> Bytes {
        let path = format!("/v1/users/{}/credits/spend", user(number));
        self.post(&path, &json!({"credits": 1, "reason": "a benchmark"}).to_string())
    }

    /// A package of credits, on Stripe's page.
    pub(super) fn checkout(&self, number: usize) -> Bytes {
        let path = format!("/v1/users/{}/checkout-sessions", user(number));
        self.post(&path, &json!({"package": PACKAGE}).to_string())
    }

    fn post(&self, path: &str, body: &str) -> Bytes {
        let (address, token, key, length) = (self.address, &self.token, unique::word(), body.len());
        Bytes::from(format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             idempotency-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }
}

/// A checkout session, asked for without us.
pub(super) fn to_stripe(address: SocketAddr, form: &str) -> Bytes {
    let (key, length) = (unique::word(), form.len());
    Bytes::from(format!(
        "POST /v1/checkout/sessions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {API_KEY}\r\n\
         idempotency-key: {key}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {length}\r\n\r\n{form}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_that_changes_something_has_a_key_of_its_own() {
        let maker = Maker::new(SocketAddr::from(([127, 0, 0, 1], 80)));
        let text = |request: Bytes| String::from_utf8(request.to_vec()).expect("text");
        let (one, other) = (text(maker.spend(7)), text(maker.spend(7)));
        assert_ne!(one, other);
        assert!(
            one.starts_with("POST /v1/users/user_7/credits/spend HTTP/1.1\r\n"),
            "{one}"
        );
        let (head, body) = one.split_once("\r\n\r\n").expect("a head");
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{head}"
        );
        assert_eq!(text(maker.state(1)), text(maker.state(1)));
    }
}
