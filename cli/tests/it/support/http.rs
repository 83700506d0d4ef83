//! Just enough of an HTTP client.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use shared::clock::Clock;
use shared::signature::{SIGNATURE_HEADER, Secret, sign};

use super::wait_for;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Status and body; `None` when there is no answer.
pub async fn get(url: &str) -> Option<(u16, String)> {
    send(hyper::Request::get(url), Bytes::new()).await
}

/// Posts `body` with a header made for it.
pub async fn post(url: &str, signature: &str, body: &Bytes) -> u16 {
    let request = hyper::Request::post(url).header(SIGNATURE_HEADER, signature);
    send(request, body.clone()).await.expect("an answer").0
}

/// Posts a form with an API key; status and body.
pub async fn post_form(url: &str, form: &[(&str, &str)]) -> (u16, String) {
    let pairs: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let request = hyper::Request::post(url)
        .header("authorization", "Bearer sk_test_1")
        .header("content-type", "application/x-www-form-urlencoded");
    send(request, pairs.join("&").into()).await.expect("an answer")
}

/// The header that Stripe would send with `body` now.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let secret = Secret::new(secret).expect("usable");
    sign(&secret, Clock::system().unix_seconds(), body)
}

/// Waits until an address answers with this status; returns the body.
pub async fn wait_for_status(url: &str, status: u16) -> String {
    let mut last = None;
    let reached = wait_for(async || {
        last = get(url).await;
        matches!(&last, Some((seen, _)) if *seen == status)
    });
    assert!(reached.await, "{url}: waited for {status}, last saw {last:?}");
    last.map(|(_, body)| body).expect("seen above")
}

/// Waits until an address answers with this text in the body; returns the status.
pub async fn wait_for_text(url: &str, text: &str) -> u16 {
    let mut last = None;
    let reached = wait_for(async || {
        last = get(url).await;
        matches!(&last, Some((_, body)) if body.contains(text))
    });
    assert!(reached.await, "{url}: waited for {text:?}, last saw {last:?}");
    last.map(|(status, _)| status).expect("seen above")
}

/// The value of a series on `/metrics`; 0 when it is not there yet.
pub async fn metric(admin_url: &str, series: &str) -> u64 {
    let (_, text) = get(&format!("{admin_url}/metrics")).await.expect("an answer");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().expect("a whole number"))
}

/// Status, headers and body of any request.
pub async fn exchange(request: hyper::http::request::Builder, body: Bytes) -> Option<hyper::Response<Bytes>> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = request.body(Full::new(body)).expect("a request");
    let exchange = async {
        let (parts, body) = client.request(request).await.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(hyper::Response::from_parts(parts, body))
    };
    tokio::time::timeout(TIMEOUT, exchange).await.ok()?
}

async fn send(request: hyper::http::request::Builder, body: Bytes) -> Option<(u16, String)> {
    let response = exchange(request, body).await?;
    let body = String::from_utf8_lossy(response.body()).into_owned();
    Some((response.status().as_u16(), body))
}
