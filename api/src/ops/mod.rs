//! The ops page: what operators look at and do in a browser, on the admin listener. See `docs/ops-page.md`.
//!
//! Each page is a file. The way of a request:
//!
//! | step | where | if it fails |
//! |---|---|---|
//! | headers of every answer | `gate.rs` | |
//! | a form from this very site? | `gate.rs` | 403 |
//! | who is it? (cookie) | `gate.rs`, `session.rs` | to the sign-in page |
//! | is the form theirs? (token) | `gate.rs` | 403 |
//! | may they? | `gate.rs`: `deeds` | 403 |
//! | show or do it | a page's file | `fault.rs` |
//!
//! Pages ask what the API's own routes ask, as staff; nothing here knows SQL. Whoever only looks does so in
//! transactions in which Postgres refuses to write.

mod assets;
mod audit;
mod chart;
mod correct;
mod customer;
mod customers;
mod dead;
mod differences;
mod event;
mod events;
mod fault;
mod form;
mod gate;
mod jobs;
mod layout;
mod overview;
mod password;
mod pulse;
mod queue;
mod reconcile;
mod resync;
mod search;
mod session;
mod sign_in;
mod users;
mod workers;
mod worries;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};
use shared::clock::Clock;
use shared::queue::Probe;
use store::api::{ActingTx, Actor, ActorRole};

use crate::app::App;
use crate::problem::Problem;
use fault::Fault;
use gate::{Visitor, deeds};
use pulse::Pulse;
use session::SessionKey;

pub use password::{PASSWORD_CHARS_MIN, hashed};
pub(crate) use pulse::watch;
pub(crate) use session::SECRET_BYTES_MIN;
pub use users::{OpsRole, User, Users};

/// Who may sign in, and what holds their sessions.
#[derive(Clone)]
pub struct OpsConfig {
    /// `TOLLGATE_API_OPS_USERS`.
    pub users: Users,
    /// `TOLLGATE_API_OPS_SECRET`; without one each process makes its own.
    pub secret: Option<Vec<u8>>,
}

/// What pages work with. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Ops(Arc<Parts>);

pub(crate) struct Parts {
    app: App,
    users: Users,
    key: SessionKey,
    probe: Probe,
    pulse: Pulse,
    clock: Clock,
    attempts: sign_in::Attempts,
}

impl std::ops::Deref for Ops {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Ops {
    pub(crate) fn new(config: OpsConfig, app: App, probe: Probe) -> Self {
        Self(Arc::new(Parts {
            app,
            users: config.users,
            key: SessionKey::new(config.secret.as_deref()),
            probe,
            pulse: Pulse::default(),
            clock: Clock::system(),
            attempts: sign_in::Attempts::default(),
        }))
    }

    /// Who a visitor is to Postgres and in the audit log.
    fn actor(&self, visitor: &Visitor) -> Actor {
        Actor {
            account: self.app.account.clone(),
            role: ActorRole::Admin,
            subject: format!("ops:{}", visitor.name),
        }
    }

    /// To look, and nothing else.
    async fn looking(&self, visitor: &Visitor) -> Result<ActingTx, Problem> {
        Ok(self.app.store.begin_reading_as(&self.actor(visitor)).await?)
    }
}

/// Every page.
fn pages() -> Router<Ops> {
    Router::new()
        .route("/ops", get(overview::page))
        .route("/ops/events", get(events::page))
        .route("/ops/event", get(event::page))
        .route("/ops/dead-letters", get(dead::page))
        .route("/ops/jobs", get(jobs::list))
        .route("/ops/job", get(jobs::page))
        .route("/ops/reconcile", get(reconcile::page))
        .route("/ops/queue", get(queue::page))
        .route("/ops/workers", get(workers::page))
        .route("/ops/customers", get(customers::page))
        .route("/ops/customer", get(customer::page))
        .route("/ops/resync", get(resync::page))
        .route("/ops/audit-log", get(audit::page))
        .route("/ops/sign-out", post(sign_in::leave))
}

/// Everything that can be done, and the least role that may.
fn all_deeds() -> [(&'static str, OpsRole, MethodRouter<Ops>); 8] {
    [
        ("/ops/replays", OpsRole::Operator, post(dead::replay)),
        ("/ops/jobs/stop", OpsRole::Operator, post(jobs::stop)),
        ("/ops/queue/pause", OpsRole::Operator, post(queue::pause)),
        ("/ops/queue/resume", OpsRole::Operator, post(queue::resume)),
        ("/ops/resyncs", resync::RESYNCS, post(resync::begin)),
        ("/ops/discards", OpsRole::Admin, post(dead::discard)),
        (
            "/ops/corrections/confirm",
            correct::CORRECTS,
            post(correct::confirm),
        ),
        ("/ops/corrections", correct::CORRECTS, post(correct::correct)),
    ]
}

/// All of it. Layers added last come first.
pub(crate) fn router(ops: Ops) -> Router {
    let deeds = all_deeds()
        .into_iter()
        .fold(Router::new(), |router, (path, role, deed)| {
            router.route(path, deeds(role, deed))
        });
    pages()
        .merge(deeds)
        .route_layer(from_fn_with_state(ops.clone(), gate::signed_in))
        .route("/ops/sign-in", get(sign_in::page).post(sign_in::enter))
        .route("/ops/assets/{name}", get(assets::asset))
        .route_layer(from_fn(gate::same_origin))
        .route_layer(from_fn(gate::headers))
        .with_state(ops)
}

/// What the query of an address says.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Fault))]
struct Asked<T>(T);
