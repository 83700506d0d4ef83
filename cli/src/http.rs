//! One GET to a listener of ours.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer read, bytes.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The status and the body behind a plain http address, or why there is none.
pub async fn get(url: &str) -> Result<(u16, String), String> {
    let fetch = async {
        let uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let response = client.get(uri).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::time::timeout(TIMEOUT, fetch)
        .await
        .map_err(|_| "no answer in time".to_owned())?
}
