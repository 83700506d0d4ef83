//! Ingest: the only part of Tollgate that strangers reach. It receives Stripe's webhooks, checks their
//! signature, and answers 200 once Redis has the event.
//!
//! It knows the webhook secrets and Redis, and nothing else: no Postgres, no Stripe API key, no rules of
//! money. It should hardly ever change. Read `webhook.rs` first: the whole way of a request is one function
//! there. Around it:
//!
//! | module | holds |
//! |---|---|
//! | `config`, `endpoint` | what is listened to, and with which secrets |
//! | `body` | receiving a body, bounded in size, time and memory |
//! | `refusal` | every way a request can fail, with its status and its reason |
//! | `stream`, `server` | connections: caps, slow clients, closing so that the answer arrives, stopping |
//! | `meters`, `line`, `status`, `throttle`, `trace` | what operators see |

mod body;
mod config;
mod crowd;
mod endpoint;
mod line;
mod meters;
mod refusal;
mod role;
mod server;
mod status;
mod stream;
mod throttle;
mod trace;
mod webhook;

pub use config::{IngestConfig, Limits, SETTINGS};
pub use endpoint::{Accounts, DEFAULT_ENDPOINT, Endpoint, PATH, Token, TokenError};
pub use meters::METRICS;
pub use role::Ingest;
pub use server::{IngestError, Server};
