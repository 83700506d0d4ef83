//! The billing API's side of the database: everything is done as somebody, and Postgres itself holds who may see what.
//! See `migrations/0011_api.sql`.

mod actor;
mod analytics;
mod audit;
mod billing;
mod buying;
mod corrections;
mod coverage;
mod credits;
mod failures;
mod intents;
mod payments;
mod position;
mod pulse;
mod requests;
mod reservations;
mod resyncs;
mod staff;
mod statements;
mod switches;
mod teams;

pub use actor::{API_ROLE, ActingTx, Actor, ActorRole, RoleProblem};
pub use analytics::{Platform, Sales, Span, Subscribers, Unit};
pub use audit::{AuditRow, NOT_SAID, Operator};
pub use billing::{BilledSubscription, Usage};
pub use buying::{OfferKind, RunningSubscription, SessionTold, Sold};
pub use corrections::{Corrected, NewCorrection, PlanCorrection, Withdrawn};
pub use failures::{Failure, FailureFilter};
pub use intents::{Claimed, Intent, IntentKind, IntentState, NewIntent};
pub use payments::{Money, PaymentTold};
pub use position::{UserCorrection, UserPosition, UserSubscription};
pub use requests::{Answer, Begun, RequestKey};
pub use reservations::{Reservation, Reserve, Settled, Settlement};
pub use staff::{Adjusted, Deed, UserEvent, UserFilter, UserLine};
pub use statements::{UserInvoice, UserTransaction};
pub use switches::Feature;
