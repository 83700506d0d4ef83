//! GET to a listener of ours, and what it is mostly for: whether a role is ready.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often a role is asked whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(50);
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

/// Waits until the role with this admin listener says that it is ready; or says what was in the way last.
pub async fn wait_until_ready(admin_url: &str, limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    loop {
        match ready(admin_url).await {
            Err(problem) if Instant::now() > deadline => return Err(problem),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// Whether it says so now; what is in the way when not.
pub async fn ready(admin_url: &str) -> Result<(), String> {
    match get(&format!("{admin_url}/readyz")).await {
        Ok((200, _)) => Ok(()),
        Ok((_, problem)) => Err(problem.trim().to_owned()),
        Err(problem) => Err(problem),
    }
}
