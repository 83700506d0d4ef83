//! The rules, pure: no JSON, no clock, no network, no database. What a Stripe object means to us, which
//! of two snapshots is the newer one, and (with the next chapters) what that does to entitlement and credits.
//!
//! Times are unix seconds, amounts are integers in the currency's minor unit
//! (<https://docs.stripe.com/currencies#zero-decimal>), never floats.

mod decide;
mod failure;
mod object;
pub mod objects;
mod order;

pub use decide::{Contest, Settled, State, contests, decide_all};
pub use failure::Class;
pub use object::{Kind, Object, ObjectKey, Snapshot, Version};
pub use order::{Contender, Last, Rank, last};
