//! Stripe's API: fetching objects and asking for changes, outside any transaction, under one budget for the whole fleet.
//!
//! ```text
//! ObjectRef ─▶ Request ─▶ Budget::acquire ─▶ Client ─▶ Stripe
//!              checked      │   ▲              │
//!                           ▼   │ pause        ▼
//!                         Redis └──────── FetchError, or Fetched: the JSON as sent, and as of when
//! ```
//!
//! The only crate that names async-stripe. Of it we use the request types and the client trait;
//! the client behind the trait is ours, because async-stripe's own opens a connection for every request, and
//! keeps the headers of an answer to itself. Objects are handed on as raw bytes: async-stripe's typed objects
//! fail on an answer that lacks one field they know.

mod answer;
mod budget;
mod budgeted;
mod client;
mod config;
mod deed;
mod error;
mod events;
mod fetched;
mod lists;
mod object;
mod request;
mod settings;
mod telemetry;
mod trace;
mod write_error;
mod writes;

pub use answer::{NOT_SOON, RETRY_AFTER_MAX};
pub use budget::{
    BURST_PERCENT, BadRedisUrl, Budget, ENDPOINT_PER_SECOND, LIVE_PER_SECOND, Limits, PAUSE_MAX, Pause,
    Priority, RATE_PERCENT, SANDBOX_PER_SECOND, Turn,
};
pub use budgeted::{Budgeted, PAUSE_DEFAULT};
pub use client::{ANSWER_BYTES_MAX, Client, STRIPE_VERSION};
pub use config::{API_KEY, API_URL, read as read_settings};
pub use deed::{Deed, Write};
pub use error::{Detail, ErrorKind, FetchError, Limit};
pub use events::{EventSpan, OwnAccount, WebhookEndpoint};
pub use fetched::{Fetched, Listed};
pub use lists::MadeSpan;
pub use object::{Endpoint, NotRetrievable, ObjectRef, Retrievable};
pub use request::{ATTEMPTS, PAGE_ROWS_MAX, Parent, PaymentsOf, Request};
pub use settings::{BASE_URL, Mode, SecretKey, Settings, SettingsError, TIMEOUT};
pub use telemetry::{BUDGET_WAITS, METRICS, REQUEST_DURATION, REQUESTS};

pub use write_error::WriteError;
pub use writes::{
    ChangedItem, CreateCheckoutSession, CreateCustomer, CreatePaymentIntent, CreatePortalSession,
    CreateRefund, Enabled, LineItem, Metadata, Mode as CheckoutMode, Noted, PriceData, ProductData,
    UpdateSubscription,
};

/// For typed requests and requests with an idempotency key.
pub use stripe_client_core::{IdempotencyKey, RequestBuilder, StripeClient, StripeMethod, StripeRequest};
