//! An API to ask, and lives to ask it about.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Map, Value};
use simulator::{
    ApiVersion,
    api::{Api, Limits},
    catalogue::Catalogue,
    history::{Life, Setting, Story, live, random::Options},
    shop::{Model, Shop},
};
use tokio::net::TcpListener;

pub const START: i64 = 1_793_613_600;
pub const KEY: &str = "Bearer sk_test_1";

/// An API on a free port, and somebody to ask it.
pub struct Desk {
    pub api: Api,
    url: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Desk {
    pub async fn open(shop: Shop, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        Self {
            api: Api::serve(listener, shop, limits),
            url,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[("authorization", KEY)]).await
    }

    pub async fn get_as(&self, path: &str, version: ApiVersion) -> Value {
        let headers = [("authorization", KEY), ("stripe-version", version.as_str())];
        let answer = self.ask(Method::GET, path, &headers).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        answer.body
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).expect("a request");
        let response = self.client.request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&body).expect("JSON"),
        }
    }
}

pub fn shop() -> Arc<Catalogue> {
    Arc::new(Catalogue::new(1, START))
}

pub fn lives(seeds: std::ops::Range<u64>, options: &Options) -> Vec<Life> {
    seeds
        .map(|seed| simulator::history::random(seed, START, options))
        .collect()
}

pub async fn desk_of(lives: &[Life], catalogue: &Catalogue) -> Desk {
    let model = Model::new(catalogue, lives);
    Desk::open(Shop::of_histories(model), Limits::NONE).await
}

pub fn told(story: &str, version: ApiVersion, catalogue: &Catalogue) -> Life {
    let setting = Setting {
        catalogue,
        version,
        connected: false,
        seed: 3,
        now: START,
    };
    live(Story::named(story).expect("a story"), setting)
}

/// The paths of every object the truth knows, with its status there.
pub fn paths(life: &Life) -> Vec<(String, Value)> {
    let truth = &life.truth;
    let of =
        |collection: &'static str, map: &Map<String, Value>, word: &'static str| -> Vec<(String, Value)> {
            let path = |(id, row): (&String, &Value)| (format!("/v1/{collection}/{id}"), row[word].clone());
            map.iter().map(path).collect()
        };
    [
        of("subscriptions", &truth.subs, "stripe_status"),
        of("invoices", &truth.invoices, "status"),
        of("payment_intents", &truth.payments, "status"),
        of("charges", &truth.charges, "status"),
        of("refunds", &truth.refunds, "status"),
        of("disputes", &truth.disputes, "status"),
        of("checkout/sessions", &truth.checkout_sessions, "status"),
    ]
    .concat()
}
