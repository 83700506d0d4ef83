//! A hostile Stripe: realistic signed events, duplicated, reordered, delayed, in bursts.
//!
//! - [`objects`] knows what Stripe's objects look like in each [`ApiVersion`];
//! - [`history`] lets one customer live through something (a told story, or a [`history::random()`] life) and
//!   records the events of it;
//! - [`oracle`] keeps the books meanwhile and says what is true in the end;
//! - [`traffic`] interleaves many histories into the deliveries an endpoint would see;
//! - [`fn@deliveries::deliveries`] makes a hostile order of the events of lives;
//! - [`sender`] signs and posts them, and retries as Stripe does;
//! - [`shop`] is a Stripe account that is open for business: histories go on in it when somebody asks for it;
//! - [`api`] serves it: Stripe's API with Stripe's limits, the pages behind it, and the webhooks that follow;
//! - [`fn@curl`] prints one delivery as a command line to paste.
//!
//! Everything but the sender and the API is a function of a seed and a start time: no clock, no global
//! randomness. The same seed and start make the same bytes, on every machine.
//!
//! # Whether an installation comes to the truth
//!
//! Take a life, deliver its events (and those of the shop, which say what prices grant) in a hostile order, and
//! compare what `tollgate state --json` says with what the oracle expects:
//!
//! ```
//! use std::sync::Arc;
//!
//! use simulator::{
//!     ApiVersion,
//!     catalogue::Catalogue,
//!     deliveries::{Hostility, deliveries},
//!     history::{Setting, catalogue_events, random, random::Options},
//! };
//!
//! # fn tollgate(bodies: &[bytes::Bytes], expected: &serde_json::Value) -> serde_json::Value {
//! #     assert!(!bodies.is_empty());
//! #     expected.clone()
//! # }
//! let (seed, start) = (7, 1_793_613_600);
//! let catalogue = Arc::new(Catalogue::new(1, start));
//! let options = Options {
//!     versions: vec![ApiVersion::V2024_06_20],
//!     switches: 0.0, // to the other version in mid-life: never
//!     ..Options::new(Arc::clone(&catalogue))
//! };
//! let life = random(seed, start, &options);
//!
//! let version = ApiVersion::V2024_06_20;
//! let shop = catalogue_events(Setting { catalogue: &catalogue, version, connected: false, seed, now: start });
//! let sent = deliveries(shop.iter().chain(&life.events), seed, Hostility::USUAL);
//! let bodies: Vec<_> = sent.order.iter().map(|event| event.body.clone()).collect();
//! let expected = life.truth.expected(&sent.order);
//!
//! let state = tollgate(&bodies, &expected); // sign and post each, wait until idle, ask for the state
//! assert_eq!(state, expected, "seed {seed}: {}", life.label());
//! ```
//!
//! Lives of different seeds share no id: any number of them fit into one database and one [`shop::Model`], and
//! [`oracle::Truth::extend`] adds up what is true. With [`history::Riddles::Allow`], `long_invoices` or missing
//! deliveries, events alone do not tell the truth; whoever is tested has to ask an [`api::Api`].
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
mod query;
pub mod sender;
pub mod shop;
pub mod traffic;
mod version;

pub use curl::curl;
pub use version::ApiVersion;
