//! A shop to buy from, and somebody who buys.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use shared::clock::Clock;
use simulator::{
    ApiVersion,
    api::{Api, Limits},
    catalogue::Catalogue,
    shop::{Model, Settings, Shop},
};
use tokio::net::TcpListener;

pub const START: i64 = 1_793_613_600;
/// Longest wait for something to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const DAY: i64 = 86_400;
pub const KEY: &str = "sk_test_1";
/// Where shops send their customers afterwards; nothing is there.
pub const SUCCESS: &str = "https://shop.example/done?session={CHECKOUT_SESSION_ID}";

/// A shop with an API on a free port.
pub struct Till {
    pub api: Api,
    pub catalogue: Arc<Catalogue>,
    pub url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// The body of an answer that is fine.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    /// Status, type, code and parameter of an error.
    pub fn error(&self) -> (u16, String, String, String) {
        let error = self.json()["error"].take();
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), text("type"), text("code"), text("param"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The id of an object.
pub fn id(object: &Value) -> String {
    object["id"].as_str().expect("an id").to_owned()
}

impl Till {
    pub async fn open() -> Self {
        Self::open_in(ApiVersion::V2026_10_28Endive).await
    }

    pub async fn open_in(version: ApiVersion) -> Self {
        let catalogue = Catalogue::new(1, START);
        let model = Model::new(&catalogue, []);
        Self::open_with(version, catalogue, model).await
    }

    /// With the histories in a model. Its clock stands still until it is advanced.
    pub async fn open_with(version: ApiVersion, catalogue: Catalogue, model: Model) -> Self {
        let settings = Settings {
            version,
            clock: Clock::fixed(START),
            seed: 1,
        };
        let shop = Shop::new(model, settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        Self {
            api: Api::serve(listener, shop, Limits::NONE),
            catalogue: Arc::new(catalogue),
            url,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Any request; none when there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Option<Answer> {
        let uri = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.url)
        };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(encoded(form))).expect("a request");
        let response = self.client.request(request).await.ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).expect("text"),
        })
    }

    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Answer {
        let key = format!("Bearer {KEY}");
        let mut all = vec![("authorization", key.as_str())];
        all.extend_from_slice(headers);
        self.send(method, path, &all, form).await.expect("an answer")
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, &[], &[]).await.ok()
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.ask(Method::POST, path, &[], form).await
    }

    /// A write that has to succeed.
    pub async fn make(&self, path: &str, form: &[(&str, &str)]) -> Value {
        self.post(path, form).await.ok()
    }

    pub async fn keyed(&self, key: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        self.ask(Method::POST, path, &[("idempotency-key", key)], form)
            .await
    }

    /// Clicks a button of a page.
    pub async fn click(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let form = [&[("action", action)], fields].concat();
        self.send(Method::POST, page, &[], &form)
            .await
            .expect("an answer")
    }

    pub async fn advance(&self, seconds: i64) {
        let seconds = seconds.to_string();
        self.make("/simulator/clock", &[("advance", seconds.as_str())])
            .await;
    }

    pub async fn customer(&self, user: &str) -> String {
        let email = format!("{user}@example.com");
        let form = [("email", email.as_str()), ("metadata[user_id]", user)];
        id(&self.make("/v1/customers", &form).await)
    }

    /// A session for one of a price.
    pub async fn session(&self, mode: &str, price: &str, more: &[(&str, &str)]) -> Value {
        let form = [
            &[
                ("mode", mode),
                ("line_items[0][price]", price),
                ("line_items[0][quantity]", "1"),
                ("success_url", SUCCESS),
                ("cancel_url", "https://shop.example/left"),
            ],
            more,
        ];
        self.make("/v1/checkout/sessions", &form.concat()).await
    }

    /// A paid subscription to Pro of a new customer: its id and the customer's.
    pub async fn subscriber(&self, user: &str) -> (String, String) {
        let customer = self.customer(user).await;
        let more = [
            ("customer", customer.as_str()),
            ("subscription_data[metadata][user_id]", user),
        ];
        let session = self.session("subscription", &self.catalogue.pro.id, &more).await;
        let paid = self.click(url(&session), "pay", &[]).await;
        assert_eq!(paid.status, StatusCode::SEE_OTHER, "{}", paid.text);
        let session = self.get(&format!("/v1/checkout/sessions/{}", id(&session))).await;
        (
            session["subscription"].as_str().expect("there").to_owned(),
            customer,
        )
    }

    /// The paid intent of a top-up.
    pub async fn top_up(&self, user: &str) -> String {
        let customer = self.customer(user).await;
        let more = [("customer", customer.as_str()), ("metadata[credits]", "1000")];
        let session = self.session("payment", &self.catalogue.top_up.id, &more).await;
        self.click(url(&session), "pay", &[]).await;
        let session = self.get(&format!("/v1/checkout/sessions/{}", id(&session))).await;
        session["payment_intent"].as_str().expect("there").to_owned()
    }

    /// All events, oldest first.
    pub async fn events(&self) -> Vec<Value> {
        let page = self.get("/v1/events?limit=100").await;
        assert_eq!(page["has_more"], false, "more than fit here");
        let mut events = page["data"].as_array().expect("a list").clone();
        events.reverse();
        events
    }

    pub async fn kinds(&self) -> Vec<String> {
        let events = self.events().await;
        let kind = |event: &Value| event["type"].as_str().expect("a type").to_owned();
        events.iter().map(kind).collect()
    }

    /// Looks again and again, but not for ever.
    pub async fn until(&self, reached: impl AsyncFn(&Self) -> bool) {
        let looking = async {
            while !reached(self).await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("in time");
    }

    /// How many objects there are of a kind.
    pub async fn count(&self, object: &str) -> u64 {
        let counts = self.get("/simulator/counts").await;
        counts["objects"]
            .get(object)
            .unwrap_or(&json!(0))
            .as_u64()
            .expect("a number")
    }
}

/// Where an object's page is.
pub fn url(object: &Value) -> &str {
    object["url"].as_str().expect("a page")
}

/// Form-encoded, everything but letters and digits escaped.
fn encoded(form: &[(&str, &str)]) -> String {
    let escape = |text: &str| -> String {
        let byte = |byte: u8| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        };
        text.bytes().map(byte).collect()
    };
    let pairs: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();
    pairs.join("&")
}
