//! A stand-in for Stripe on a real socket. It gives the answers it was told, in order, and remembers what came.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// One answer.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    ending: Ending,
}

#[derive(Clone, Copy)]
enum Ending {
    Complete,
    /// The connection breaks before the promised end.
    Broken,
    /// It never comes.
    Never,
    /// It comes this much later.
    Late(Duration),
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            ending: Ending::Complete,
        }
    }

    /// An error as Stripe words it, with what must not be repeated.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        let message = "Invalid API Key provided: sk_test_secret; jane@example.com";
        Self::new(
            status,
            format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#),
        )
    }

    /// A customer, with the members of `ids` that a test cares about.
    pub(crate) fn customer(id: &str) -> Self {
        Self::new(200, format!(r#"{{"id":"{id}","object":"customer"}}"#))
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn broken(self) -> Self {
        Self {
            ending: Ending::Broken,
            ..self
        }
    }

    pub(crate) fn never() -> Self {
        Self {
            ending: Ending::Never,
            ..Self::new(200, "")
        }
    }

    pub(crate) fn late(self, by: Duration) -> Self {
        Self {
            ending: Ending::Late(by),
            ..self
        }
    }

    async fn give(self) -> Response<BoxBody<Bytes, io::Error>> {
        match self.ending {
            Ending::Never => std::future::pending().await,
            Ending::Late(by) => tokio::time::sleep(by).await,
            Ending::Complete | Ending::Broken => {}
        }
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let mut frames = vec![Ok(Frame::data(self.body))];
        if matches!(self.ending, Ending::Broken) {
            frames.push(Err(io::Error::other("broken on purpose")));
        }
        let body = StreamBody::new(stream::iter(frames));
        response.body(BodyExt::boxed(body)).expect("an answer")
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

#[derive(Default)]
struct State {
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

/// Serves until the test's runtime ends.
pub(crate) struct FakeStripe {
    pub(crate) url: String,
    state: Arc<State>,
}

impl FakeStripe {
    /// Answers 200 with an empty customer once it has given all `replies`.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(State {
            replies: Mutex::new(replies.into_iter().collect()),
            ..State::default()
        });
        tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { url, state }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("not poisoned").clone()
    }

    /// The only request.
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1);
        seen.remove(0)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        state.connections.fetch_add(1, Ordering::SeqCst);
        let state = Arc::clone(&state);
        let service = service_fn(move |request| {
            let state = Arc::clone(&state);
            async move { Ok::<_, Infallible>(answer(&state, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service);
        // It ends with an error when a test breaks it.
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn answer(state: &State, request: hyper::Request<Incoming>) -> Response<BoxBody<Bytes, io::Error>> {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a whole request").to_bytes();
    state.seen.lock().expect("not poisoned").push(Seen {
        at,
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        body,
    });
    let reply = state.replies.lock().expect("not poisoned").pop_front();
    reply.unwrap_or_else(|| Reply::customer("cus_1")).give().await
}
