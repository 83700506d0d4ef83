//! Who is let in.

use std::sync::{Arc, Mutex};

use api::{Token, TokenKey};
use axum::routing::get;
use hyper::Method;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use shared::clock::Clock;

use super::{AUDIENCE, ISSUER, JWT_SECRET, Service, admin, user};
use crate::support::Rig;

const PATH: &str = "/v1/users/ann/credits";

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

fn claims(seconds: i64) -> Value {
    let now = Clock::system().unix_seconds();
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "role": "user", "exp": now + seconds})
}

/// Without a signature.
fn unsigned(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| base64(part.to_string().as_bytes()));
    format!("{header}.{claims}")
}

fn good() -> Token<'static> {
    Token {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: "ann",
        role: "user",
        exp: Clock::system().unix_seconds() + 60,
    }
}

/// Signed as they should be, and saying what they should not.
pub fn wrong_claims() -> Vec<(&'static str, String)> {
    let but = |change: fn(&mut Token<'static>)| {
        let mut token = good();
        change(&mut token);
        token.sign(&TokenKey::new(JWT_SECRET.as_bytes()))
    };
    vec![
        ("expired", but(|token| token.exp -= 120)),
        ("another audience", but(|token| token.aud = "others")),
        ("another issuer", but(|token| token.iss = "https://others.test")),
        ("an unknown role", but(|token| token.role = "root")),
        ("no subject", but(|token| token.sub = "")),
    ]
}

/// Saying what they should, and not signed as they should be.
pub fn wrong_signatures() -> Vec<(&'static str, String)> {
    let text = good().sign(&TokenKey::new(JWT_SECRET.as_bytes()));
    let (signed, signature) = text.rsplit_once('.').expect("three parts");
    let with = |algorithm: &str, seconds, signature: &str| {
        let text = unsigned(&json!({"alg": algorithm}), &claims(seconds));
        format!("{text}.{signature}")
    };
    let stranger = TokenKey::new(b"another secret of thirty-two bytes");
    vec![
        ("another key", good().sign(&stranger)),
        ("no algorithm", with("none", 60, "")),
        ("no algorithm, old signature", with("none", 60, signature)),
        ("another algorithm", with("HS512", 60, signature)),
        ("an asymmetric one", with("RS256", 60, signature)),
        ("no signature", format!("{signed}.")),
        ("other claims", with("HS256", 600, signature)),
        ("not a token", "x".to_owned()),
        ("nothing", String::new()),
    ]
}

#[tokio::test]
async fn only_a_good_token_gets_in() {
    let rig = Rig::new().await;
    let service = Service::start(&rig).await;
    assert_eq!(service.get(&user("ann"), PATH).await.status, 200);

    for (what, token) in wrong_claims().into_iter().chain(wrong_signatures()) {
        let answer = service.get(&token, PATH).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "unauthenticated"),
            "{what}: {answer:?}"
        );
        assert!(answer.headers.contains_key("www-authenticate"), "{what}");
    }
    let without = service.request(Method::GET, PATH, None);
    assert_eq!(service.send(without, bytes::Bytes::new()).await.status, 401);
}

#[tokio::test]
async fn another_users_id_is_refused_wherever_it_stands() {
    let rig = Rig::new().await;
    let service = Service::start(&rig).await;
    let bob = user("bob");
    for path in ["credits", "credits/history", "subscription-state"] {
        let answer = service.get(&bob, &format!("/v1/users/ann/{path}")).await;
        assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{path}");
        let own = service
            .get(&bob, &format!("/v1/users/me/{path}?user=ann&user_id=ann"))
            .await;
        assert_eq!(own.status, 200, "{path}: {own:?}");
        if let Some(shown) = own.body.get("user_id") {
            assert_eq!(shown, "bob", "{path}");
        }
        assert_eq!(
            service
                .get(&admin(), &format!("/v1/users/me/{path}"))
                .await
                .status,
            400,
            "staff are nobody's `me`"
        );
    }
    // Users do not spend by themselves, neither others' credits nor their own.
    for target in ["ann", "bob", "me"] {
        let path = format!("/v1/users/{target}/credits/spend");
        let answer = service.post(&bob, &path, &json!({"credits": 1})).await;
        assert_eq!(answer.status, 403, "{target}");
    }
    let body = json!({"credits": 1, "user_id": "ann"});
    let answer = service
        .post(&super::service(), "/v1/users/bob/credits/spend", &body)
        .await;
    assert_eq!(
        (answer.status, answer.code()),
        (400, "invalid_request"),
        "a user in the body is no user"
    );
}

/// An issuer that publishes keys, and may exchange them.
struct Issuer {
    pair: Ed25519KeyPair,
    id: String,
}

impl Issuer {
    fn new(id: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a key");
        Self {
            pair,
            id: id.to_owned(),
        }
    }

    fn jwk(&self) -> Value {
        let x = base64(self.pair.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": x})
    }

    fn token(&self, algorithm: &str) -> String {
        let header = json!({"alg": algorithm, "kid": self.id});
        let text = unsigned(&header, &claims(60));
        let signature = base64(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}.{signature}")
    }
}

#[tokio::test]
async fn published_keys_are_found_and_may_change() {
    let (first, second, stranger) = (Issuer::new("one"), Issuer::new("two"), Issuer::new("one"));
    let published = Arc::new(Mutex::new(json!({"keys": [first.jwk()]})));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}/jwks", listener.local_addr().expect("bound"));
    let shown = Arc::clone(&published);
    let router = axum::Router::new().route(
        "/jwks",
        get(async move || shown.lock().expect("unharmed").to_string()),
    );
    let issuer = tokio::spawn(async move { axum::serve(listener, router).await });

    let rig = Rig::new().await;
    let settings = [
        ("TOLLGATE_API_JWKS_URL", url.as_str()),
        ("TOLLGATE_API_JWT_ALGORITHM", "EdDSA"),
    ];
    let service = Service::start_with(&rig, &settings).await;
    let status = async |token: &str| service.get(token, PATH).await.status;
    assert_eq!(status(&first.token("EdDSA")).await, 200);
    assert_eq!(
        status(&stranger.token("EdDSA")).await,
        401,
        "signed by somebody else"
    );
    assert_eq!(
        status(&first.token("RS256")).await,
        401,
        "the algorithm is pinned"
    );
    assert_eq!(status(&second.token("EdDSA")).await, 401, "not published yet");
    // The public key is no secret: a token signed with it as if it were one proves nothing.
    let key = TokenKey::new(first.pair.public_key().as_ref());
    let now = Clock::system().unix_seconds();
    let forged = Token {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: "ann",
        role: "admin",
        exp: now + 60,
    }
    .sign(&key);
    assert_eq!(status(&forged).await, 401);

    *published.lock().expect("unharmed") = json!({"keys": [second.jwk()]});
    let reached = crate::support::wait_for(async || status(&second.token("EdDSA")).await == 200).await;
    assert!(reached, "a new key is found");
    assert_eq!(
        status(&first.token("EdDSA")).await,
        401,
        "the old one was taken back"
    );
    issuer.abort();
}
