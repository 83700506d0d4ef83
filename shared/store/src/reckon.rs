//! What the reckoner asks and writes: from marked objects to subjects, their facts, and what follows from them.
//!
//! Locks are taken in one order: customers, users, money sources, ledger accounts, each sorted. What is read after a
//! lock is what everybody before us committed, so the last of several transactions about one subject sees all parts.

pub(crate) mod customers;
pub(crate) mod expired;
pub(crate) mod ledger;
pub(crate) mod sources;
pub(crate) mod subjects;
pub(crate) mod subscriptions;
pub(crate) mod users;

pub use expired::ExpiredGrant;
pub use ledger::PostedTransfer;
pub use sources::SourceFacts;
pub use subjects::{Id, SourceKey, Subjects};
pub use subscriptions::{SubscriptionFacts, SubscriptionRow};
pub use users::UserChange;
