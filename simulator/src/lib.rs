//! A hostile Stripe: realistic signed events, duplicated, reordered, delayed, in bursts.
//!
//! - [`objects`] knows what Stripe's objects look like in each [`ApiVersion`];
//! - [`history`] lets one customer live through something (a told story, or a [`history::random()`] life) and
//!   records the events of it;
//! - [`oracle`] keeps the books meanwhile and says what is true in the end;
//! - [`traffic`] interleaves many histories into the deliveries an endpoint would see;
//! - [`fn@deliveries::deliveries`] makes a hostile order of the events of lives;
//! - [`sender`] signs and posts them, and retries as Stripe does;
//! - [`api`] answers requests for objects and events, with Stripe's limits;
//! - [`fn@curl`] prints one delivery as a command line to paste.
//!
//! Everything but the sender and the API is a function of a seed and a start time: no clock, no global
//! randomness. The same seed and start make the same bytes, on every machine.
#![recursion_limit = "256"] // json! recurses once per token of the larger objects

pub mod api;
mod calendar;
pub mod catalogue;
pub mod curl;
pub mod deliveries;
pub mod dice;
pub mod event;
pub mod history;
mod json;
mod mint;
pub mod objects;
pub mod oracle;
pub mod sender;
pub mod traffic;
mod version;

pub use curl::curl;
pub use version::ApiVersion;
