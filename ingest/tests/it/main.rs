//! Ingest over real HTTP, before a real Redis.

mod client;
mod endpoints;
mod fence;
mod harness;
mod limits;
mod process;
mod queue;
mod slow;
mod vectors;
