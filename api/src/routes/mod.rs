//! One file for each area; each handler reads its request, asks or tells Postgres as the caller, and answers.

pub(crate) mod admin;
pub(crate) mod analytics;
pub(crate) mod billing;
pub(crate) mod checkout;
pub(crate) mod corrections;
pub(crate) mod coverage;
pub(crate) mod credits;
pub(crate) mod deads;
pub(crate) mod events;
pub(crate) mod failures;
pub(crate) mod paging;
pub(crate) mod payments;
pub(crate) mod portal;
pub(crate) mod refunds;
pub(crate) mod reservations;
pub(crate) mod resyncs;
mod spans;
pub(crate) mod state;
pub(crate) mod subscription;
pub(crate) mod switches;
pub(crate) mod teams;
