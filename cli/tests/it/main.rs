//! The whole product against a real Redis and a real Postgres. One binary, so that the servers start once.
//!
//! Each test has a database of its own, cloned from a template, and a key prefix of its own. Nothing sleeps
//! to synchronise: tests wait for a state, with a limit.

mod api;
mod asked;
mod backfill;
mod bench;
mod bought;
mod canary;
mod catalog;
mod chaos;
mod commands;
mod crashes;
mod dead;
mod dev;
mod doctor;
mod failover;
mod fixtures;
mod help;
mod idle;
mod ledger;
mod lives;
mod metrics;
mod ops;
mod pause;
#[cfg(feature = "planted-bugs")]
mod planted;
mod processes;
mod queue;
mod races;
mod reckon;
mod reconcile;
mod refetch;
mod replay;
mod reporting;
mod scale_hint;
mod scenarios;
mod shards;
mod state;
mod support;
mod traces;
mod worker;
