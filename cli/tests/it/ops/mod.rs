//! The ops page, as a browser without scripts would use it. With a real browser: `browser.rs`.

mod browser;
mod customers;
mod deeds;
mod pages;
mod queue;
mod reconcile;
mod screenshots;
mod sign_in;

use bytes::Bytes;
use hyper::{Method, Request};
use serde_json::json;

use crate::api::{JWT_SECRET, Service};
use crate::support::http::exchange;
use crate::support::{Rig, customer, event};

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery";
/// What is kept of it, with as few rounds as are taken: a debug build takes seconds for those that are usual.
const KEPT: &str = "pbkdf2-sha256$100000$000102030405060708090a0b0c0d0e0f$\
                    c8d122ecdb9477cd48a6b1750c5985c0b8b05158d040d20517ccdb49865de436";

/// An API with an ops page for `reader`, `operator` and `admin`, each of that role.
pub async fn start(rig: &Rig) -> Service {
    let user = |role: &str| format!("{role}:{role}:{KEPT}");
    let users = ["reader", "operator", "admin"].map(user).join("\n");
    let settings = [
        ("TOLLGATE_API_JWT_SECRET", JWT_SECRET),
        ("TOLLGATE_API_OPS_USERS", &users),
    ];
    Service::start_with(rig, &settings).await
}

/// Somebody at a browser.
pub struct Visitor {
    url: String,
    cookie: String,
}

/// What they are shown.
#[derive(Debug)]
pub struct Shown {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: String,
}

impl Shown {
    /// Where they are sent.
    pub fn to(&self) -> &str {
        self.header("location")
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    /// The token of the forms on this page.
    pub fn form_token(&self) -> &str {
        let (_, rest) = self
            .body
            .split_once("name=\"form_token\" value=\"")
            .expect("a form");
        rest.split('"').next().expect("a value")
    }
}

impl Visitor {
    pub fn nobody(api: &Service) -> Self {
        Self {
            url: api.admin_url.clone(),
            cookie: String::new(),
        }
    }

    /// Somebody who has signed in.
    pub async fn new(api: &Service, name: &str) -> Self {
        let mut visitor = Self::nobody(api);
        let shown = visitor
            .post("/ops/sign-in", &[("name", name), ("password", PASSWORD)])
            .await;
        assert_eq!((shown.status, shown.to()), (303, "/ops"), "{shown:?}");
        let cookie = shown.header("set-cookie").split(';').next().expect("a cookie");
        cookie.clone_into(&mut visitor.cookie);
        visitor
    }

    pub async fn get(&self, path: &str) -> Shown {
        self.send(Method::GET, path, &[], None).await
    }

    /// A page that is there.
    pub async fn see(&self, path: &str) -> String {
        let shown = self.get(path).await;
        assert_eq!(shown.status, 200, "{path}: {shown:?}");
        shown.body
    }

    /// A form, as it is: without a token of its own accord.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let origin = self.url.clone();
        self.send(Method::POST, path, fields, Some(&origin)).await
    }

    /// A form of one of our pages.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let page = self.get("/ops").await;
        let token = [("form_token", page.form_token())];
        let fields: Vec<_> = token.iter().chain(fields).copied().collect();
        self.post(path, &fields).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        origin: Option<&str>,
    ) -> Shown {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("cookie", &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let said: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", value.replace(' ', "+")))
            .collect();
        let answer = exchange(request, Bytes::from(said.join("&"))).await;
        let (parts, body) = answer.expect("an answer").into_parts();
        Shown {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// Three customers' events of which two are set aside by a rule of the database, and a charge that cannot be read.
pub async fn set_aside(rig: &Rig) {
    rig.execute("ALTER TABLE customers ADD CONSTRAINT not_yet CHECK (id NOT IN ('cus_1', 'cus_2'))")
        .await;
    let charge = json!({"id": "ch_1", "object": "charge", "amount": "ten"});
    rig.enqueue(&[
        customer(1, 1),
        customer(2, 1),
        customer(3, 1),
        event("evt_bad", "charge.succeeded", 1, &charge),
    ])
    .await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    worker.stop().await.expect("a clean end");
}

/// The cause is mended.
pub async fn mend(rig: &Rig) {
    rig.execute("ALTER TABLE customers DROP CONSTRAINT not_yet").await;
}

/// The cause of the customers' letters.
pub async fn fingerprint(rig: &Rig) -> String {
    let sql = "SELECT fingerprint FROM parked_events WHERE id = 'evt_1_1'";
    rig.text(sql).await.expect("set aside")
}
