//! A Stripe that is open for business, over HTTP: writes, pages, clock and webhooks.

mod checkout;
mod faults;
mod forms;
mod idempotency;
mod keys;
mod lists;
mod money;
mod renewals;
mod subscriptions;
mod till;
mod webhooks;
