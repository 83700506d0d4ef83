//! The keys tokens are signed with: a shared secret, or what the issuer publishes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, decode_header};
use store::api::Actor;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::token::{self, Expected, TokenError};

/// How often published keys are read again, so that one that was taken back stops to count.
const REFRESH_EVERY: Duration = Duration::from_secs(600);
/// Least time between two readings, however many tokens name keys that are not there.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);
/// Longest the issuer may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest key set, bytes.
const KEY_SET_BYTES_MAX: usize = 256 * 1024;

/// Where keys come from.
#[derive(Clone)]
pub(crate) enum KeySource {
    /// Whoever knows the secret may sign, with HS256.
    Secret(Vec<u8>),
    /// The issuer publishes a JSON Web Key Set.
    Published {
        /// Where.
        url: String,
        /// The one algorithm.
        algorithm: Algorithm,
    },
}

/// What tokens must be like. Not `Debug`: it holds the secret.
#[derive(Clone)]
pub struct AuthConfig {
    pub(crate) keys: KeySource,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) role_claim: String,
}

/// Checks tokens.
pub(crate) struct Keys {
    config: AuthConfig,
    account: String,
    published: RwLock<Arc<HashMap<String, DecodingKey>>>,
    /// When they were read last; held while somebody reads them.
    read_at: Mutex<Option<Instant>>,
    client: Client<HttpsConnector<HttpConnector>, Empty<bytes::Bytes>>,
}

impl Keys {
    pub(crate) fn new(config: AuthConfig, account: &str) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .expect("ring has the safe protocol versions")
            .https_or_http()
            .enable_http1()
            .build();
        Self {
            config,
            account: account.to_owned(),
            published: RwLock::default(),
            read_at: Mutex::new(None),
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Who a token speaks for.
    pub(crate) async fn check(&self, token: &str) -> Result<Actor, TokenError> {
        match &self.config.keys {
            KeySource::Secret(secret) => {
                self.read(token, &DecodingKey::from_secret(secret), Algorithm::HS256)
            }
            KeySource::Published { url, algorithm } => {
                let header = decode_header(token).map_err(|_| TokenError::Invalid)?;
                // Before a key is looked up: a token must not choose how it is checked.
                if header.alg != *algorithm {
                    return Err(TokenError::Invalid);
                }
                let id = header.kid.ok_or(TokenError::UnknownKey)?;
                let key = self.published_key(&id, url).await.ok_or(TokenError::UnknownKey)?;
                self.read(token, &key, *algorithm)
            }
        }
    }

    fn read(&self, token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Actor, TokenError> {
        let expected = Expected {
            algorithm,
            issuer: &self.config.issuer,
            audience: &self.config.audience,
            role_claim: &self.config.role_claim,
            account: &self.account,
        };
        token::read(token, key, &expected)
    }

    async fn published_key(&self, id: &str, url: &str) -> Option<DecodingKey> {
        if let Some(key) = self.known(id) {
            return Some(key);
        }
        let mut read_at = self.read_at.lock().await;
        // Somebody may have read them while we waited.
        let is_fresh = read_at.is_some_and(|at| at.elapsed() < REFRESH_PAUSE);
        if !is_fresh && self.known(id).is_none() {
            *read_at = Some(Instant::now());
            self.refresh(url).await;
        }
        self.known(id)
    }

    fn known(&self, id: &str) -> Option<DecodingKey> {
        let keys = self.published.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(id).cloned()
    }

    /// Reads published keys again and again until dropped. Does nothing where there are none.
    pub(crate) async fn keep(&self) {
        let KeySource::Published { url, .. } = &self.config.keys else {
            return std::future::pending().await;
        };
        loop {
            {
                let mut read_at = self.read_at.lock().await;
                *read_at = Some(Instant::now());
                self.refresh(url).await;
            }
            tokio::time::sleep(REFRESH_EVERY).await;
        }
    }

    /// What cannot be read leaves in place what is known.
    async fn refresh(&self, url: &str) {
        match tokio::time::timeout(FETCH_TIMEOUT, self.fetch(url)).await {
            Ok(Ok(keys)) => {
                tracing::info!(keys = keys.len(), "read the issuer's keys");
                *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Ok(Err(problem)) => tracing::warn!(problem, "cannot read the issuer's keys"),
            Err(_) => tracing::warn!(problem = "no answer in time", "cannot read the issuer's keys"),
        }
    }

    async fn fetch(&self, url: &str) -> Result<HashMap<String, DecodingKey>, &'static str> {
        let url: Uri = url.parse().map_err(|_| "not an URL")?;
        let response = self.client.get(url).await.map_err(|_| "no connection")?;
        if !response.status().is_success() {
            return Err("the answer is not 200");
        }
        let body = Limited::new(response.into_body(), KEY_SET_BYTES_MAX)
            .collect()
            .await;
        let body = body.map_err(|_| "too long, or cut short")?.to_bytes();
        let set: JwkSet = serde_json::from_slice(&body).map_err(|_| "not a JSON Web Key Set")?;
        let keys = set.keys.iter().filter_map(|jwk| {
            let id = jwk.common.key_id.clone()?;
            Some((id, DecodingKey::from_jwk(jwk).ok()?))
        });
        Ok(keys.collect())
    }
}
