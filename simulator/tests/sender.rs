//! The sender against a small HTTP server on this machine.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode, Version, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use shared::signature::{SIGNATURE_HEADER, Secret, verify};
use simulator::{
    sender::{Fate, Outcome, Pace, Report, Retry, Sender, SenderError, Settings},
    traffic::{Delivery, Plan},
};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
};

const START: i64 = 1_793_613_600;
const QUICK: Retry = Retry {
    attempts: 4,
    first: Duration::from_millis(1),
    longest: Duration::from_millis(4),
    longest_asked: Duration::from_millis(4),
};

type Answer = fn(usize) -> Response<Full<Bytes>>;

/// What the server saw.
#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    connections: AtomicUsize,
    problems: Mutex<Vec<String>>,
    served: Notify,
}

fn secrets() -> Vec<Secret> {
    ["whsec_new", "whsec_old"]
        .map(|text| Secret::new(text).expect("usable"))
        .to_vec()
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("{}"));
    *response.status_mut() = code;
    response
}

async fn check(request: Request<Incoming>, seen: &Seen) {
    let complain = |text: String| seen.problems.lock().expect("not poisoned").push(text);
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    if head.version != Version::HTTP_11 || head.method != "POST" || head.uri.path() != "/webhooks/stripe" {
        complain(format!("{} {} {:?}", head.method, head.uri, head.version));
    }
    if head.headers["user-agent"] != "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
        || head.headers["content-type"] != "application/json; charset=utf-8"
    {
        complain(format!("{:?}", head.headers));
    }
    let now = shared::clock::Clock::system().unix_seconds();
    for (index, secret) in secrets().into_iter().enumerate() {
        let header = head.headers[SIGNATURE_HEADER].as_bytes();
        if verify(&[secret], header, &body, now).is_err() {
            complain(format!("secret {index} does not verify"));
        }
    }
}

/// Serves on a free port; `answer` gets the number of earlier requests.
async fn serve(answer: Answer) -> (String, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/webhooks/stripe", listener.local_addr().expect("bound"));
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let seen = Arc::clone(&shared);
            seen.connections.fetch_add(1, Ordering::SeqCst);
            let service = service_fn(move |request| {
                let seen = Arc::clone(&seen);
                async move {
                    check(request, &seen).await;
                    seen.served.notify_one();
                    Ok::<_, Infallible>(answer(seen.requests.fetch_add(1, Ordering::SeqCst)))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (url, seen)
}

fn deliveries(count: usize) -> Vec<Delivery> {
    Plan {
        duplicates: 0.0,
        ..Plan::new(1, count, START)
    }
    .traffic()
    .deliveries
}

async fn run(url: &str, settings: Settings, count: usize) -> (Report, Vec<Outcome>) {
    let sender = Sender::new(url, secrets(), settings).expect("a usable sender");
    let (outcomes, mut received) = mpsc::unbounded_channel();
    let report = sender
        .send(deliveries(count), outcomes, std::future::pending())
        .await;
    let mut all = Vec::new();
    while let Some(outcome) = received.recv().await {
        all.push(outcome);
    }
    (report, all)
}

#[tokio::test]
async fn failures_are_retried_until_accepted() {
    let (url, seen) = serve(|earlier| match earlier {
        0..10 => status(StatusCode::SERVICE_UNAVAILABLE),
        _ => status(StatusCode::OK),
    })
    .await;
    let settings = Settings {
        retry: QUICK,
        concurrency: 4,
        ..Settings::default()
    };
    let (report, outcomes) = run(&url, settings, 50).await;
    assert_eq!(
        report,
        Report {
            accepted: 50,
            attempts: 60,
            ..Report::default()
        }
    );
    assert_eq!(outcomes.len(), 50);
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.fate == Fate::Accepted && outcome.accepted_at_ms.is_some())
    );
    assert!(outcomes.iter().any(|outcome| outcome.attempts > 1));
    assert_eq!(*seen.problems.lock().expect("not poisoned"), Vec::<String>::new());
    assert!(
        seen.connections.load(Ordering::SeqCst) <= 8,
        "connections are used again"
    );
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let (url, seen) = serve(|_| {
        let mut response = status(StatusCode::TEMPORARY_REDIRECT);
        response
            .headers_mut()
            .insert("location", "/webhooks/stripe".parse().expect("a header"));
        response
    })
    .await;
    let (report, outcomes) = run(
        &url,
        Settings {
            retry: QUICK,
            ..Settings::default()
        },
        2,
    )
    .await;
    assert_eq!(
        report,
        Report {
            given_up: 2,
            attempts: 8,
            ..Report::default()
        }
    );
    assert_eq!(seen.requests.load(Ordering::SeqCst), 8);
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.status == Some(307) && outcome.accepted_at_ms.is_none())
    );
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let (url, _) = serve(|earlier| {
        let mut response = status(if earlier == 0 {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        });
        response
            .headers_mut()
            .insert("retry-after", "1".parse().expect("a header"));
        response
    })
    .await;
    let retry = Retry {
        longest_asked: Duration::from_secs(5),
        ..QUICK
    };
    let began = std::time::Instant::now();
    let (report, _) = run(
        &url,
        Settings {
            retry,
            ..Settings::default()
        },
        1,
    )
    .await;
    assert_eq!(report.accepted, 1);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn nobody_listening_is_given_up() {
    let (report, outcomes) = run(
        "http://127.0.0.1:1/",
        Settings {
            retry: QUICK,
            ..Settings::default()
        },
        3,
    )
    .await;
    assert_eq!(
        report,
        Report {
            given_up: 3,
            attempts: 12,
            ..Report::default()
        }
    );
    assert!(outcomes.iter().all(|outcome| outcome.status.is_none()));
}

#[tokio::test]
async fn stopping_ends_waits_and_leaves_the_rest_unsent() {
    let (url, seen) = serve(|_| status(StatusCode::SERVICE_UNAVAILABLE)).await;
    let patient = Retry {
        first: Duration::from_secs(600),
        longest: Duration::from_secs(600),
        ..QUICK
    };
    let settings = Settings {
        retry: patient,
        pace: Pace::PerSecond(1.0),
        ..Settings::default()
    };
    let sender = Sender::new(&url, secrets(), settings).expect("a usable sender");
    let (outcomes, _) = mpsc::unbounded_channel();
    let stop = seen.served.notified();
    let report = sender.send(deliveries(1000), outcomes, stop).await;
    assert!(report.stopped > 0 && report.unsent > 0, "{report:?}");
    assert_eq!(report.stopped + report.unsent, 1000);
}

#[test]
fn senders_that_cannot_work_are_refused() {
    let make = |url, secrets| Sender::new(url, secrets, Settings::default()).map(|_| ());
    for url in ["https://example.com/", "/webhooks", "not a url", "http:///x"] {
        assert!(matches!(make(url, secrets()), Err(SenderError::Url(_))), "{url}");
    }
    assert!(matches!(
        make("http://127.0.0.1:1/", Vec::new()),
        Err(SenderError::NoSecret)
    ));
}
