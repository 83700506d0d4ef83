//! The billing API: what an application in front of Tollgate calls.
//!
//! Stripe tells the truth through webhooks; the API starts things at Stripe, answers "may this user do that?", spends
//! credits, and lets staff see and correct. Read `router.rs` first: every route is on one screen there. The way of a
//! request:
//!
//! | step | where | if it fails |
//! |---|---|---|
//! | receive | `server.rs` | 408, 413, 431 |
//! | who is it? (token) | `auth/` | 401 |
//! | how often? | `throttle.rs` | 429 |
//! | before? (`Idempotency-Key`) | `idempotency.rs` | the answer of then, 409, 422 |
//! | may they? | `caller.rs`, and Postgres itself: `store::api` | 403 |
//! | do it | `routes/` | a [`problem::Problem`] |
//!
//! What staff look at and do in a browser is in `ops/`, on the admin listener.
//!
//! What is begun at Stripe is decided in `buying/` and done in `intents/`.

mod app;
mod auth;
mod buying;
mod caller;
mod capacity;
mod config;
mod deeds;
mod docs;
mod extract;
mod idempotency;
mod intents;
mod memo;
mod meters;
mod observe;
pub mod ops;
pub mod problem;
mod role;
mod router;
mod routes;
mod sales;
mod server;
mod state;
mod stripe;
mod switch;
mod throttle;
mod trace;

pub use auth::{Token, TokenKey};
pub use config::{ApiConfig, SETTINGS};
pub use meters::METRICS;
pub use role::Api;
pub use router::openapi;
pub use server::{ApiError, Server};
