//! The client against a server that answers what it is told, and the budget against a real Redis.

mod answers;
mod budget;
mod budgeted;
mod client;
mod fleet;
mod server;
mod support;
mod writes;
