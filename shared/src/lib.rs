//! Contracts and adapters every role shares. It knows Redis, and neither Postgres nor Stripe's API.

pub mod admin;
pub mod clock;
pub mod config;
pub mod entry;
pub mod envelope;
pub mod lifecycle;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod queue;
pub mod role;
pub mod signature;
pub mod suggest;
pub mod telemetry;
