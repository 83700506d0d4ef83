//! The rules, pure: no JSON, no clock, no network, no database. What a Stripe object means to us, which
//! of two snapshots is the newer one, and what that does to entitlement and credits.
//!
//! Times are unix seconds, amounts are integers in the currency's minor unit
//! (<https://docs.stripe.com/currencies#zero-decimal>), never floats.

pub mod coverage;
pub mod credits;
mod decide;
mod failure;
mod notice;
mod object;
pub mod objects;
mod order;
mod permission;
mod policy;
mod refetch;
pub mod sample;
pub mod silence;
mod standing;

pub use decide::{Contest, Known, Settled, contests, decide_all};
pub use failure::Class;
pub use notice::{Notice, notice_of};
pub use object::{Kind, Object, ObjectKey, Snapshot, Version};
pub use order::{Contender, Last, Rank, last};
pub use permission::{Permission, Position, can_purchase, can_subscribe, can_use_credits};
pub use policy::{NegativeBalance, PastDue, Policy, Upgrade};
pub use refetch::{ATTEMPTS_MAX, RefetchReason, wait_after};
pub use standing::{Correction, Standing, State, best_of, corrected, expired_since, expires_at, standing_of};
