//! Connections. A request whose answer is to be lost ends its connection without one.

use std::{future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Method, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Largest body, bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Pause after a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A request, with all of its body.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Nobody gets an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost")]
pub(super) struct Lost;

pub(super) type Answer = Result<Response<Full<Bytes>>, Lost>;

/// Lets `answer` answer whatever comes in, for ever. Connections end with the future.
pub(super) async fn run<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(Call) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let answer = Arc::new(answer);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, Arc::clone(&answer)));
            }
            Err(error) => refuse(&error).await,
        }
    }
}

/// Without a pause, running out of file descriptors would be a busy loop.
async fn refuse(_error: &io::Error) {
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn serve<A, F>(stream: TcpStream, answer: Arc<A>)
where
    A: Fn(Call) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    // Small answers are not to wait for more of them.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| {
        let answer = Arc::clone(&answer);
        async move {
            let call = read(request).await?;
            // Stripe goes on with what it has begun, whether or not somebody still waits for it.
            let going_on = tokio::spawn(answer(call));
            going_on.await.unwrap_or(Err(Lost))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // How a connection ends is its client's affair.
    drop(connection.await);
}

async fn read(request: Request<Incoming>) -> Result<Call, Lost> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    Ok(Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: body.map_err(|_| Lost)?.to_bytes(),
    })
}
