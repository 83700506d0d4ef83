//! Posts deliveries as Stripe does: signed when sent, over pooled HTTP/1.1 connections, retried on
//! anything but 2xx, redirects never followed.
//!
//! Two things differ from Stripe on purpose: retries come after fractions of a second instead of
//! hours, and only so many deliveries are under way at once.

mod pace;
mod report;
mod run;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, Uri, body::Incoming, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use shared::clock::Clock;
use shared::signature::{SIGNATURE_HEADER, Secret, sign};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Instant, sleep, timeout},
};

pub use pace::{Pace, Retry};
pub use report::{Fate, Outcome, Report};

use crate::traffic::Delivery;

/// Attempts in flight unless told otherwise.
pub const CONCURRENCY: usize = 64;
/// Deliveries being attempted or waiting for their next attempt; beyond it nothing new is begun.
pub const UNDER_WAY_MAX: usize = 8192;
/// How long an answer may take. Stripe does not publish its limit; its CLI waits this long.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of an answer that are read before its connection is given up.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The request headers of a captured delivery, besides the signature.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (
        header::USER_AGENT,
        "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    ),
    (header::CONTENT_TYPE, "application/json; charset=utf-8"),
    (header::ACCEPT, "*/*; q=0.5, application/xml"),
    (header::ACCEPT_ENCODING, "gzip"),
    (header::CACHE_CONTROL, "no-cache"),
];

/// Why a sender cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// Not an absolute `http://` address.
    #[error("not a plain http URL: {0}")]
    Url(String),
    /// Stripe signs every delivery.
    #[error("at least one signing secret is needed")]
    NoSecret,
}

/// How to send.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Attempts in flight at once; 0 counts as 1.
    pub concurrency: usize,
    /// When each delivery is begun.
    pub pace: Pace,
    /// What happens after a failed attempt.
    pub retry: Retry,
    /// How long an answer may take.
    pub timeout: Duration,
    /// What signatures are stamped with.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: CONCURRENCY,
            pace: Pace::Unlimited,
            retry: Retry::default(),
            timeout: ANSWER_TIMEOUT,
            clock: Clock::system(),
        }
    }
}

/// An answer, or why there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The status; `None` when the connection failed or the time was up.
    pub status: Option<u16>,
    /// `Retry-After`, when the answer has one in seconds.
    pub retry_after: Option<Duration>,
}

impl Answer {
    const NONE: Self = Self {
        status: None,
        retry_after: None,
    };

    /// Whether Stripe would count the delivery as done: any 2xx and nothing else.
    /// Source: <https://docs.stripe.com/webhooks#acknowledge-events-immediately>.
    #[must_use]
    pub fn is_success(self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// Posts deliveries to one webhook endpoint. Cheap to clone.
#[derive(Clone)]
pub struct Sender(Arc<Inner>);

struct Inner {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    secrets: Vec<Secret>,
    settings: Settings,
    slots: Semaphore,
}

impl Sender {
    /// A sender for the endpoint at `url` (plain http). Several secrets make one `v1` each, as while
    /// a secret is being rolled.
    ///
    /// # Errors
    /// [`SenderError`] when the URL is not plain http or there is no secret.
    pub fn new(url: &str, secrets: Vec<Secret>, settings: Settings) -> Result<Self, SenderError> {
        let refused = || SenderError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| refused())?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(refused());
        }
        if secrets.is_empty() {
            return Err(SenderError::NoSecret);
        }
        let concurrency = settings.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(concurrency)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let slots = Semaphore::new(concurrency);
        Ok(Self(Arc::new(Inner {
            client,
            url: uri,
            secrets,
            settings,
            slots,
        })))
    }

    /// Makes the deliveries in order and reports each outcome on `outcomes` (a dropped receiver is
    /// no reason to stop). Returns when all have ended, or soon after `stop` is ready: attempts in
    /// flight are finished, nothing is begun or repeated any more.
    pub async fn send(
        &self,
        deliveries: Vec<Delivery>,
        outcomes: mpsc::UnboundedSender<Outcome>,
        stop: impl Future<Output = ()>,
    ) -> Report {
        let mut run = run::Run::new(self, outcomes);
        let (halt, halted) = watch::channel(false);
        let begin_all = async {
            run.begin_all(deliveries, &halted).await;
            run.finish().await;
        };
        // `stop` only flips the switch; whoever waits for something also waits for the switch.
        let watchman = async {
            stop.await;
            halt.send_replace(true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = begin_all => {}
            () = watchman => {}
        }
        run.report()
    }

    /// One attempt with one body, signed now.
    pub async fn post(&self, body: Bytes) -> Answer {
        let exchange = self.0.exchange(body);
        timeout(self.0.settings.timeout, exchange)
            .await
            .unwrap_or(Answer::NONE)
    }

    /// Attempts until accepted, out of attempts, or halted.
    async fn deliver(self, delivery: Delivery, mut halted: watch::Receiver<bool>) -> Outcome {
        let mut outcome = Outcome {
            event_id: delivery.event.id.clone(),
            duplicate: delivery.duplicate,
            fate: Fate::Stopped,
            status: None,
            attempts: 0,
            accepted_at_ms: None,
            latency: Duration::ZERO,
        };
        while let Some(answer) = self.attempt(&delivery, &mut outcome, &mut halted).await {
            let retry = self.0.settings.retry;
            if answer.is_success() {
                outcome.accepted_at_ms = Some(self.0.settings.clock.unix_ms());
                outcome.fate = Fate::Accepted;
                break;
            }
            if outcome.attempts >= retry.attempts {
                outcome.fate = Fate::GivenUp;
                break;
            }
            let wait = retry.wait(&outcome.event_id, outcome.attempts, answer.retry_after);
            if !pause(wait, &mut halted).await {
                break;
            }
        }
        outcome
    }

    /// One attempt as soon as a slot is free; `None` when halted before.
    async fn attempt(
        &self,
        delivery: &Delivery,
        outcome: &mut Outcome,
        halted: &mut watch::Receiver<bool>,
    ) -> Option<Answer> {
        let _slot = tokio::select! {
            biased;
            () = until_halted(halted) => return None,
            slot = self.0.slots.acquire() => slot.expect("the semaphore is never closed"),
        };
        let began = Instant::now();
        let answer = self.post(delivery.event.body.clone()).await;
        outcome.latency = began.elapsed();
        outcome.attempts += 1;
        outcome.status = answer.status;
        Some(answer)
    }
}

impl Inner {
    async fn exchange(&self, body: Bytes) -> Answer {
        let request = self.request(body, self.settings.clock.unix_seconds());
        match self.client.request(request).await {
            Ok(response) => read_answer(response).await,
            Err(_) => Answer::NONE,
        }
    }

    fn request(&self, body: Bytes, now: i64) -> Request<Full<Bytes>> {
        let mut request = Request::post(self.url.clone());
        for (name, value) in HEADERS {
            request = request.header(name, value);
        }
        request
            .header(SIGNATURE_HEADER, signature(&self.secrets, now, &body))
            .body(Full::new(body))
            .expect("every part is a valid header or a parsed URL")
    }
}

/// `t=...,v1=...`, with one `v1` per secret.
/// Source: <https://docs.stripe.com/webhooks#roll-endpoint-secrets>.
fn signature(secrets: &[Secret], now: i64, body: &[u8]) -> String {
    let mut header = String::new();
    for secret in secrets {
        let one = sign(secret, now, body);
        let rest = one.split_once(',').map_or("", |(_, v1)| v1);
        if header.is_empty() {
            header.push_str(&one);
        } else {
            header.push(',');
            header.push_str(rest);
        }
    }
    header
}

/// The answer's body is read so that its connection can be used again, but not without limit.
async fn read_answer(response: Response<Incoming>) -> Answer {
    let status = Some(response.status().as_u16());
    let header = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    // Stripe looks at the status alone; a body that breaks off only costs the connection.
    drop(body);
    Answer { status, retry_after }
}

/// Waits; false when halted meanwhile.
async fn pause(wait: Duration, halted: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = sleep(wait) => true,
        () = until_halted(halted) => false,
    }
}

async fn until_halted(halted: &mut watch::Receiver<bool>) {
    // The switch lives as long as the run; should it be gone, the run is over too.
    drop(halted.wait_for(|halted| *halted).await);
}
