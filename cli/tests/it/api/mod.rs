//! The billing API, over HTTP, against a real Redis and a real Postgres.

mod audited;
mod buying;
mod connections;
mod credits;
mod described;
mod events;
mod flow_billing;
mod flow_changes;
mod flow_corrections;
mod flow_failures;
mod flow_numbers;
mod flow_purchases;
mod flow_subscriptions;
mod intents;
pub mod operations;
mod requests;
mod reservations;
pub mod resyncs;
mod rights;
mod staff;
mod state;
mod strangers;
pub mod street;
mod switches;
mod teams;
mod tokens;

use api::{ApiConfig, Server, Token, TokenKey};
use bytes::Bytes;
use hyper::http::request::Builder;
use hyper::{Method, Request};
use serde_json::Value;
use shared::clock::Clock;
use shared::config::Env;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::http::exchange;
use crate::support::{Rig, unique, wait_for};

pub const JWT_SECRET: &str = "thirty-two bytes or more of a secret";
pub const ISSUER: &str = "https://issuer.test";
pub const AUDIENCE: &str = "tollgate";

/// How often a request is sent that is told to come again.
const RETRIES: u32 = 20;

/// An API in this process. Stops when dropped.
pub struct Service {
    pub url: String,
    /// Of the admin listener, where the ops page is.
    pub admin_url: String,
    stop: CancellationToken,
    _guard: DropGuard,
    _task: JoinHandle<()>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl Service {
    pub async fn start(rig: &Rig) -> Self {
        Self::start_with(rig, &[("TOLLGATE_API_JWT_SECRET", JWT_SECRET)]).await
    }

    pub async fn start_with(rig: &Rig, more: &[(&str, &str)]) -> Self {
        let cache = rig.state_cache();
        cache.announce_before_anybody().await.expect("Redis is there");
        Self::serve(Self::config(rig, more)).await
    }

    pub fn config(rig: &Rig, more: &[(&str, &str)]) -> ApiConfig {
        let usual = [
            ("TOLLGATE_API_ADDR", "127.0.0.1:0"),
            ("TOLLGATE_API_ADMIN_ADDR", "127.0.0.1:0"),
            ("TOLLGATE_API_JWT_ISSUER", ISSUER),
            ("TOLLGATE_API_JWT_AUDIENCE", AUDIENCE),
        ];
        let env: Env = usual
            .iter()
            .chain(more)
            .fold(rig.env(), |env, (name, value)| env.with(name, value));
        ApiConfig::from_env(&env).expect("usable settings")
    }

    pub async fn serve(config: ApiConfig) -> Self {
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
            .build_recorder()
            .handle();
        let server = Server::bind(config, metrics).await.expect("free ports");
        let url = format!("http://{}", server.address());
        let admin_url = format!("http://{}", server.admin_address());
        let stop = CancellationToken::new();
        let token = stop.clone();
        let task = tokio::spawn(async move { server.run(token).await.expect("it serves") });
        Self {
            url,
            admin_url,
            stop: stop.clone(),
            _guard: stop.drop_guard(),
            _task: task,
        }
    }

    /// As SIGTERM would.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, Some(token)), Bytes::new())
            .await
    }

    /// With a key nobody else uses.
    pub async fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.post_with_key(token, path, &format!("key-{}", unique()), body)
            .await
    }

    pub async fn post_with_key(&self, token: &str, path: &str, key: &str, body: &Value) -> Answer {
        // As any client would: on a busy machine Redis may be slow.
        for _ in 0..RETRIES {
            let request = self
                .request(Method::POST, path, Some(token))
                .header("Idempotency-Key", key);
            let answer = self.send(request, Bytes::from(body.to_string())).await;
            if answer.status != 503 || answer.code() == "stripe_unavailable" {
                return answer;
            }
        }
        panic!("{path} is not available");
    }

    pub fn request(&self, method: Method, path: &str, token: Option<&str>) -> Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Content-Type", "application/json");
        match token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    pub async fn send(&self, request: Builder, body: Bytes) -> Answer {
        let (parts, body) = exchange(request, body).await.expect("an answer").into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }
}

/// Asks until it is answered well.
pub async fn answered(ask: impl AsyncFn() -> Answer) -> Answer {
    let mut last = None;
    let reached = wait_for(async || {
        let answer = ask().await;
        let is_good = answer.status == 200;
        last = Some(answer);
        is_good
    });
    assert!(reached.await, "{last:?}");
    last.expect("seen above")
}

/// A good token.
pub fn token(role: &str, subject: &str) -> String {
    let now = Clock::system().unix_seconds();
    let token = Token {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: subject,
        role,
        exp: now + 600,
    };
    token.sign(&TokenKey::new(JWT_SECRET.as_bytes()))
}

pub fn service() -> String {
    token("service", "shop")
}

pub fn admin() -> String {
    token("admin", "staff_1")
}

pub fn user(id: &str) -> String {
    token("user", id)
}
