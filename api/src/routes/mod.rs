//! One file for each area; each handler reads its request, asks or tells Postgres as the caller, and answers.

pub(crate) mod credits;
pub(crate) mod state;
pub(crate) mod switches;
