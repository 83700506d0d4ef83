//! Contracts and adapters every role shares. It knows Redis, and neither Postgres nor Stripe's API.

pub mod admin;
pub mod clock;
pub mod config;
pub mod entry;
pub mod envelope;
pub mod lifecycle;
pub mod limiter;
pub mod metric;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod queue;
pub mod redact;
pub mod role;
pub mod signature;
pub mod state_cache;
pub mod suggest;
pub mod telemetry;
pub mod trace;
pub mod unique;
pub mod when;

/// Of every role: bodies are taken apart into many small pieces, and often freed by another thread than the one that
/// made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
