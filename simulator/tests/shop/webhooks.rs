//! Events reach the endpoint.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    signature::{SIGNATURE_HEADER, Secret, verify},
};
use simulator::{api::Webhooks, deliveries::Hostility, sender::Retry};
use tokio::{net::TcpListener, sync::Notify};

use crate::till::{PATIENCE, Till, id};

const SECRET: &str = "whsec_shop";

/// An endpoint that fails a few times and then accepts.
#[derive(Default)]
struct Endpoint {
    failures: AtomicUsize,
    accepted: Mutex<Vec<Value>>,
    news: Notify,
}

impl Endpoint {
    async fn listen(failures: usize) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let endpoint = Arc::new(Self {
            failures: AtomicUsize::new(failures),
            ..Self::default()
        });
        tokio::spawn(Arc::clone(&endpoint).run(listener));
        (endpoint, url)
    }

    async fn run(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let endpoint = Arc::clone(&self);
            let service = service_fn(move |request| Arc::clone(&endpoint).take(request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    async fn take(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Empty<Bytes>>, hyper::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let secret = Secret::new(SECRET).expect("usable");
        let signature = parts.headers[SIGNATURE_HEADER].as_bytes();
        let now = Clock::system().unix_seconds();
        assert!(verify(&[secret], signature, &body, now).is_ok(), "signed now");
        let fails = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let mut response = Response::new(Empty::new());
        if fails.is_ok() {
            *response.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
            return Ok(response);
        }
        let event = serde_json::from_slice(&body).expect("JSON");
        self.accepted.lock().expect("whole").push(event);
        self.news.notify_one();
        Ok(response)
    }

    /// What has arrived, once it is that much.
    async fn wait_for(&self, count: usize) -> Vec<Value> {
        loop {
            let seen = self.accepted.lock().expect("whole").clone();
            if seen.len() >= count {
                return seen;
            }
            let news = self.news.notified();
            tokio::time::timeout(PATIENCE, news).await.expect("in time");
        }
    }
}

async fn till_with(webhooks: impl FnOnce(&mut Webhooks), failures: usize) -> (Till, Arc<Endpoint>) {
    let (endpoint, url) = Endpoint::listen(failures).await;
    let mut till = Till::open().await;
    let mut all = Webhooks::new(&url, vec![Secret::new(SECRET).expect("usable")]);
    all.retry = Retry {
        first: Duration::from_millis(5),
        ..Retry::default()
    };
    webhooks(&mut all);
    till.api.send_webhooks(all).expect("an address and a secret");
    (till, endpoint)
}

async fn undelivered(till: &Till) -> usize {
    let page = till.get("/v1/events?delivery_success=false&limit=100").await;
    page["data"].as_array().expect("a list").len()
}

#[tokio::test]
async fn everything_that_happens_is_sent_signed_and_again_when_refused() {
    let (till, endpoint) = till_with(|_| {}, 3).await;
    till.subscriber("usr_1").await;
    let listed = till.events().await;
    let mut sent = endpoint.wait_for(listed.len()).await;
    let mut expected = listed.clone();
    for events in [&mut sent, &mut expected] {
        events.sort_by_key(id);
        // What has arrived is not pending any more.
        for event in events {
            event["pending_webhooks"].take();
        }
    }
    assert_eq!(sent, expected);
    till.until(async |till| undelivered(till).await == 0).await;
    let pending = till.events().await;
    assert!(pending.iter().all(|event| event["pending_webhooks"] == 0));
    let endpoints = till.get("/v1/webhook_endpoints").await;
    assert_eq!(endpoints["data"][0]["status"], "enabled");
}

#[tokio::test]
async fn withheld_events_come_later() {
    let (till, endpoint) = till_with(|_| {}, 0).await;
    till.make("/simulator/webhooks", &[("hold", "true")]).await;
    till.customer("usr_1").await;
    till.customer("usr_2").await;
    assert_eq!(till.make("/simulator/webhooks", &[]).await, json!({"held": 2}));
    assert_eq!(undelivered(&till).await, 2);
    assert!(endpoint.accepted.lock().expect("whole").is_empty());
    till.make("/simulator/webhooks", &[("hold", "false")]).await;
    assert_eq!(endpoint.wait_for(2).await.len(), 2);
}

#[tokio::test]
async fn what_happens_while_the_endpoint_is_off_is_never_sent() {
    let (till, endpoint) = till_with(|_| {}, 0).await;
    let endpoints = till.get("/v1/webhook_endpoints").await;
    let path = format!("/v1/webhook_endpoints/{}", id(&endpoints["data"][0]));
    assert_eq!(
        till.make(&path, &[("disabled", "true")]).await["status"],
        "disabled"
    );
    till.customer("usr_1").await;
    assert_eq!(till.get(&path).await["status"], "disabled");
    till.make(&path, &[("disabled", "false")]).await;
    let second = till.customer("usr_2").await;
    let sent = endpoint.wait_for(1).await;
    assert_eq!(sent[0]["data"]["object"]["id"], second.as_str());
    assert_eq!(undelivered(&till).await, 1, "the list knows it");
}

#[tokio::test]
async fn what_somebody_else_answers_does_not_arrive_and_counts_as_delivered() {
    let (till, endpoint) = till_with(|_| {}, 0).await;
    let lose = |share| [("lose", share), ("seed", "7")];
    till.make("/simulator/webhooks", &lose("0.5")).await;
    for number in 0..20 {
        till.customer(&format!("usr_{number}")).await;
    }
    till.make("/simulator/webhooks", &lose("0")).await;
    till.customer("usr_last").await;
    let told = till.get("/simulator/webhooks").await;
    let lost = told["lost"].as_array().expect("ids").clone();
    assert!((4..17).contains(&lost.len()), "{told}");
    let sent = endpoint.wait_for(21 - lost.len()).await;
    assert!(sent.iter().all(|event| !lost.contains(&event["id"])));
    till.until(async |till| undelivered(till).await == 0).await;
    let listed = till.events().await;
    assert_eq!(listed.len(), 21, "the list has all of them");
    assert!(listed.iter().all(|event| event["pending_webhooks"] == 0));
}

#[tokio::test]
async fn a_hostile_network_repeats_and_mixes() {
    let hostile = |webhooks: &mut Webhooks| {
        webhooks.hostility = Hostility::USUAL;
        webhooks.delay = Duration::from_millis(30);
        webhooks.seed = 3;
    };
    let (till, endpoint) = till_with(hostile, 0).await;
    till.subscriber("usr_1").await;
    let listed: Vec<String> = till.events().await.iter().map(id).collect();
    let mut count = listed.len() + 1;
    loop {
        let sent: Vec<String> = endpoint.wait_for(count).await.iter().map(id).collect();
        if listed.iter().all(|event| sent.contains(event)) {
            assert!(sent.len() > listed.len(), "some came twice");
            assert_ne!(sent[..listed.len()], listed, "in another order");
            return;
        }
        count = sent.len() + 1;
    }
}

#[tokio::test]
async fn the_catalogue_is_announced_to_who_was_not_there() {
    let (till, endpoint) = till_with(|_| {}, 0).await;
    till.api.shop().announce_catalogue();
    let sent = endpoint.wait_for(10).await;
    let prices = sent
        .iter()
        .filter(|event| event["type"] == "price.created")
        .count();
    assert_eq!(prices, 4);
}
