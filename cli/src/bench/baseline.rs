//! HTTP servers that do less than ingest, for it to be measured against: the same hyper, the same threads, and
//! neither limits nor metrics nor a queue. A process of its own, like ingest.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use shared::clock::Clock;
use shared::role::Role;
use shared::signature::{SIGNATURE_HEADER, Secret, verify};
use tokio::net::TcpListener;

/// What a server does before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Work {
    /// Reads the body.
    Nothing,
    /// Reads the body and checks its signature.
    Hmac,
}

/// Serves until killed.
pub(super) fn serve(work: Work, address: SocketAddr, secret: Secret) -> io::Result<()> {
    let threads = std::thread::available_parallelism()?
        .get()
        .min(ingest::Ingest::THREADS_MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        let secrets = Arc::new([secret]);
        loop {
            let (tcp, _) = listener.accept().await?;
            tcp.set_nodelay(true)?;
            let secrets = Arc::clone(&secrets);
            let service = service_fn(move |request| answer(work, Arc::clone(&secrets), request));
            tokio::spawn(async move {
                // The generator hangs up when it has seen enough.
                drop(
                    http1::Builder::new()
                        .serve_connection(TokioIo::new(tcp), service)
                        .await,
                );
            });
        }
    })
}

async fn answer(
    work: Work,
    secrets: Arc<[Secret; 1]>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes);
    let is_good = body.is_ok_and(|body| match work {
        Work::Nothing => true,
        Work::Hmac => head.headers.get(SIGNATURE_HEADER).is_some_and(|header| {
            verify(
                &*secrets,
                header.as_bytes(),
                &body,
                Clock::system().unix_seconds(),
            )
            .is_ok()
        }),
    });
    let mut response = Response::new(Full::default());
    if !is_good {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}
