//! Stripe's API, `/v1`, over plain HTTP: what there is can be fetched and listed, and what there is not can be made.
//!
//! There is test mode only: a live key finds nothing, and may not write. The API wants a key, honours
//! `Stripe-Version`, `Stripe-Account` and `Idempotency-Key`, limits rates as Stripe says it does, and fails, lags and
//! loses answers on request. Beside it are the pages that a browser is sent to (`/c/pay/...`, `/p/session/...`) and what
//! a test wants to do and know (`/simulator/...`).
//!
//! The whole way of a request is `Inner::answer`. A read is one function (`read.rs`); a write is understood first, and
//! may be refused (`write/`), and then carried out by a clerk of the shop, whose answer is kept under its idempotency
//! key.

mod caller;
mod carrier;
mod control;
mod errors;
mod events;
mod expand;
mod faults;
mod form;
mod idempotency;
mod keys;
mod limits;
mod list;
mod pages;
mod read;
mod route;
mod search;
mod server;
mod write;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use hyper::Method;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

use crate::{
    calendar::http_date,
    dice::Dice,
    event::Cause,
    query::Query,
    sender::SenderError,
    shop::{Shop, Who},
};
use caller::Caller;
use carrier::Carrier;
use errors::Reply;
use faults::Fate;
use form::Read;
use idempotency::{Name, Print, Verdict};
use keys::{Key, Restrictions};
use limits::Limiter;
use server::{Answer, Call, Lost};
use write::Writing;

pub use carrier::Webhooks;
pub use faults::Faults;
pub use limits::{Counters, Limits};

const REQUEST_ID_LENGTH: usize = 14;
/// What a fault answers after a request was carried out.
const LATE_STATUS: u16 = 500;

/// How often what is due happens though nobody asks for anything.
const TICK: Duration = Duration::from_secs(1);

/// A running API. It stops when this is dropped.
#[derive(Debug)]
pub struct Api {
    inner: Arc<Inner>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Inner {
    shop: Mutex<Shop>,
    limiter: Mutex<Limiter>,
    faults: Mutex<(Faults, Dice)>,
    restrictions: Mutex<Restrictions>,
    keys: Mutex<idempotency::Keys>,
}

/// What is to be done for a request that was not refused.
enum Order {
    /// The answer is there already.
    Answer(Reply),
    Write {
        writing: Writing,
        /// The idempotency key it is done under.
        name: Option<Name>,
    },
}

impl Api {
    /// Answers requests that come in on `listener`, until the result is dropped. Must be called within a
    /// tokio runtime.
    #[must_use]
    pub fn serve(listener: TcpListener, shop: Shop, limits: Limits) -> Self {
        let faults = Faults::default();
        let dice = Dice::new(faults.seed);
        let inner = Arc::new(Inner {
            shop: Mutex::new(shop),
            limiter: Mutex::new(Limiter::new(limits)),
            faults: Mutex::new((faults, dice)),
            restrictions: Mutex::default(),
            keys: Mutex::default(),
        });
        let api = Arc::clone(&inner);
        let server = server::run(listener, move |call| answer(Arc::clone(&api), call));
        let clock = tick(Arc::downgrade(&inner));
        Self {
            inner,
            tasks: vec![tokio::spawn(server), tokio::spawn(clock)],
        }
    }

    /// From now on events are sent to that endpoint, which the shop lists among its webhook endpoints.
    ///
    /// # Errors
    /// [`SenderError`] when the address is not plain http, or there is no secret.
    pub fn send_webhooks(&mut self, webhooks: Webhooks) -> Result<(), SenderError> {
        let carrier = Carrier::employ(&self.inner, webhooks)?;
        self.tasks.push(tokio::spawn(carrier.run()));
        Ok(())
    }

    /// What was asked so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        locked(&self.inner.limiter).counters()
    }

    /// From now on requests fail and take their time like this.
    pub fn set_faults(&self, faults: Faults) {
        self.inner.set_faults(faults);
    }

    /// From now on the restricted key may do that and nothing else: `customer_read`, `checkout_session_write`, ...
    /// One that was never restricted reads everything and writes nothing.
    pub fn restrict(&self, key: &str, permissions: &[&str]) {
        locked(&self.inner.restrictions).set(key, permissions);
    }

    /// What there is, and how to let something happen to it.
    pub fn shop(&self) -> MutexGuard<'_, Shop> {
        locked(&self.inner.shop)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A panic elsewhere leaves counters and dice as good as they were.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn tick(inner: Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        locked(&inner.shop).catch_up();
        drop(inner);
        tokio::time::sleep(TICK).await;
    }
}

async fn answer(inner: Arc<Inner>, call: Call) -> Answer {
    // What is due is not to wait for somebody who asks about it.
    locked(&inner.shop).catch_up();
    let reply = if call.path.starts_with(control::PREFIX) {
        control::answer(&inner, &call)
    } else if pages::are_at(&call.path) {
        pages::answer(&inner, &call)
    } else {
        inner.answer(&call).await?
    };
    Ok(reply.into_response())
}

impl Inner {
    fn set_faults(&self, faults: Faults) {
        let dice = Dice::new(faults.seed);
        *locked(&self.faults) = (faults, dice);
    }

    async fn answer(&self, call: &Call) -> Result<Reply, Lost> {
        let (fate, request) = self.throw(call);
        let order = self.admit(call, fate.failure, &request);
        if !fate.lag.is_zero() {
            tokio::time::sleep(fate.lag).await;
        }
        let reply = match order {
            Ok(Order::Answer(reply)) => reply,
            Ok(Order::Write { writing, name }) => self.carry_out(writing, name, fate)?,
            Err(refusal) => *refusal,
        };
        Ok(self.signed(reply, call, &request))
    }

    /// With the headers of every answer.
    fn signed(&self, reply: Reply, call: &Call, request: &str) -> Reply {
        let shop = locked(&self.shop);
        // Readers take the object for as new as the answer is dated.
        let date = http_date(shop.now());
        let version = call.header("stripe-version").unwrap_or(shop.version().as_str());
        let reply = reply
            .with("date", &date)
            .with("request-id", request)
            .with("stripe-version", version);
        match call.header("idempotency-key") {
            Some(key) => reply.with("idempotency-key", key),
            None => reply,
        }
    }

    /// The dice decide how long a request takes and whether it fails.
    fn throw(&self, call: &Call) -> (Fate, String) {
        let mut faults = locked(&self.faults);
        let (faults, dice) = &mut *faults;
        let fate = faults.throw(dice, endpoint(call), call.method != Method::GET);
        let id = dice.text(crate::dice::BASE62, REQUEST_ID_LENGTH);
        (fate, format!("req_{id}"))
    }

    /// Everything that can be said about a request before something happens.
    fn admit(&self, call: &Call, failure: Option<u16>, request: &str) -> Read<Order> {
        let endpoint = endpoint(call);
        let limited = locked(&self.limiter).admit(endpoint, Instant::now());
        let key = Key::of(&call.headers)?;
        if let Some(reason) = limited {
            return Err(Reply::rate_limited(reason));
        }
        if let Some(status) = failure {
            return Err(Reply::failure(status));
        }
        let caller = Caller::of(call, &locked(&self.shop))?;
        let resource = write::resource(endpoint);
        let account = caller.account.map_or_else(|| self.platform(), str::to_owned);
        let writes = call.method != Method::GET;
        locked(&self.restrictions).check(key, &account, &resource, writes)?;
        match (writes, key.is_live()) {
            (false, live) => self.read(call, &caller, live).map(Order::Answer),
            (true, true) => Err(Reply::unexpected(
                "testmode_charges_only",
                "Your account has not been activated and can only make test requests. Use a test mode key.",
            )),
            (true, false) => self.begin(call, &caller, request),
        }
    }

    fn read(&self, call: &Call, caller: &Caller<'_>, live: bool) -> Read<Reply> {
        let route = route::find(&call.path);
        let route = route.ok_or_else(|| Reply::unrecognized(call.method.as_str(), &call.path))?;
        if live {
            return read::nothing(self, &route, call);
        }
        read::answer(self, &route, caller, call)
    }

    /// Understands what is to be written, and takes its idempotency key.
    fn begin(&self, call: &Call, caller: &Caller<'_>, request: &str) -> Read<Order> {
        let found = write::find(&call.method, &call.path);
        let endpoint = found.ok_or_else(|| Reply::unrecognized(call.method.as_str(), &call.path))?;
        let query = Query::parse(&parameters(call)?);
        let key = call
            .header("idempotency-key")
            .filter(|_| call.method == Method::POST);
        let account = caller.account.unwrap_or_default().to_owned();
        let who = Who {
            account: account.clone(),
            caller: Some(Cause {
                id: Some(request.to_owned()),
                idempotency_key: key.map(str::to_owned),
            }),
        };
        let name = key.map(|key| (account, key.to_owned()));
        if let Some(name) = &name {
            let print = Print {
                endpoint: call.path.clone(),
                parameters: query.sorted(),
            };
            let now = locked(&self.shop).now();
            match locked(&self.keys).begin(name, print, request, now)? {
                Verdict::Begin => {}
                Verdict::Replay(reply) => return Ok(Order::Answer(reply)),
            }
        }
        let origin = call.header("host").unwrap_or("127.0.0.1");
        match Writing::read(&endpoint, query, who, caller.version, &format!("http://{origin}")) {
            Ok(writing) => Ok(Order::Write { writing, name }),
            Err(refusal) => {
                // Nothing was begun: the key is free.
                if let Some(name) = &name {
                    locked(&self.keys).forget(name);
                }
                Err(refusal)
            }
        }
    }

    /// It happens, and what was answered is kept.
    fn carry_out(&self, writing: Writing, name: Option<Name>, fate: Fate) -> Result<Reply, Lost> {
        let done = writing.carry_out(&mut locked(&self.shop));
        let reply = if fate.late {
            *Reply::failure(LATE_STATUS)
        } else {
            done.unwrap_or_else(|refusal| *refusal)
        };
        if let Some(name) = &name {
            locked(&self.keys).finish(name, &reply);
        }
        if fate.lost { Err(Lost) } else { Ok(reply) }
    }

    fn platform(&self) -> String {
        locked(&self.shop).model.platform().to_owned()
    }
}

/// The endpoint a request counts for.
fn endpoint(call: &Call) -> &'static str {
    let endpoint = if call.method == Method::GET {
        route::find(&call.path).map(|route| route.endpoint)
    } else {
        write::find(&call.method, &call.path).map(|found| found.endpoint())
    };
    endpoint.unwrap_or("unknown")
}

/// The parameters of a write, which are in its body and may be in its query.
fn parameters(call: &Call) -> Read<String> {
    let content_type = call.header("content-type").unwrap_or_default();
    let form = content_type.is_empty() || content_type.starts_with("application/x-www-form-urlencoded");
    let body = std::str::from_utf8(&call.body)
        .ok()
        .filter(|_| form || call.body.is_empty());
    let body = body.ok_or_else(Reply::not_a_form)?;
    Ok(format!("{}&{body}", call.query))
}
