//! What goes wrong, and whose move it is then.

use std::time::{Duration, Instant};

use stripe_api::{FetchError, Limit};
use tokio::net::TcpListener;

use crate::server::{FakeStripe, Reply};
use crate::support::{KEY, PATIENCE, client, client_with, customer};

/// What one answer leads to.
async fn after(reply: Reply) -> FetchError {
    let stripe = FakeStripe::start([reply]).await;
    let client = client(&stripe.url);
    let error = client.retrieve(&customer()).await.expect_err("no object");
    assert_eq!(stripe.seen().len(), 1, "a read is tried once");
    let shown = format!("{error} {error:?} {client:?}");
    for secret in [KEY, "secret", "jane"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    error
}

#[tokio::test]
async fn a_missing_object_is_gone() {
    let error = after(Reply::error(404, "resource_missing").header("request-id", "req_7")).await;
    assert!(matches!(error, FetchError::Gone(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "no such object: Stripe does not have it, status 404, code resource_missing, request req_7"
    );
}

#[tokio::test]
async fn a_limit_says_whose_and_how_long() {
    let limited = Reply::error(429, "rate_limit")
        .header("retry-after", "7")
        .header("stripe-should-retry", "false")
        .header("stripe-rate-limited-reason", "endpoint-rate");
    match after(limited).await {
        FetchError::RateLimited {
            retry_after, limit, ..
        } => {
            assert_eq!(
                (retry_after, limit),
                (Some(Duration::from_secs(7)), Limit::Endpoint)
            );
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_locked_object_is_transient() {
    let error = after(Reply::error(429, "lock_timeout").header("stripe-should-retry", "true")).await;
    assert!(matches!(error, FetchError::Transient { .. }), "{error}");
}

#[tokio::test]
async fn servers_errors_are_transient() {
    for status in [500, 502, 503, 504] {
        let error = after(Reply::new(status, "<html>").header("retry-after", "3")).await;
        assert!(matches!(error, FetchError::Transient { .. }), "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    }
}

#[tokio::test]
async fn a_wrong_key_is_the_operators() {
    for status in [401, 403] {
        let error = after(Reply::error(status, "")).await;
        assert!(matches!(error, FetchError::Refused(_)), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_permanent() {
    for reply in [
        Reply::error(400, "parameter_unknown"),
        Reply::new(301, "").header("location", "http://127.0.0.1:1/"),
        Reply::new(200, "<html>"),
        Reply::new(200, ""),
        Reply::customer("cus_2"),
    ] {
        let error = after(reply).await;
        assert!(matches!(error, FetchError::Permanent(_)), "{error}");
    }
}

#[tokio::test]
async fn a_broken_answer_is_transient() {
    let error = after(Reply::new(200, r#"{"id":"cus_1","#).broken()).await;
    assert!(matches!(error, FetchError::Transient { .. }), "{error}");
}

#[tokio::test]
async fn no_answer_in_time_is_transient() {
    let stripe = FakeStripe::start([Reply::never()]).await;
    let start = Instant::now();
    let client = client_with(&stripe.url, Duration::from_millis(200));
    let error = client.retrieve(&customer()).await.expect_err("no answer");
    assert!(matches!(error, FetchError::Transient { .. }), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert!(start.elapsed() < PATIENCE, "it did not wait for more");
}

#[tokio::test]
async fn no_connection_is_transient() {
    let port = stack::free_port().expect("a port");
    let error = client(&format!("http://127.0.0.1:{port}"))
        .retrieve(&customer())
        .await;
    assert!(matches!(error, Err(FetchError::Transient { .. })), "{error:?}");
}

#[tokio::test]
async fn https_speaks_tls_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut first = [0; 3];
        while stream.peek(&mut first).await.expect("bytes") < first.len() {
            tokio::task::yield_now().await;
        }
        first
    });
    let error = client(&format!("https://{address}")).retrieve(&customer()).await;
    assert!(matches!(error, Err(FetchError::Transient { .. })), "{error:?}");
    let first = server.await.expect("a hello");
    assert_eq!(first[..2], [0x16, 0x03], "a TLS handshake record");
}
