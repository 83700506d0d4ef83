//! The Stripe objects we keep, reduced to the members a rule, a table or a support page needs. Enums of
//! Stripe's are open sets (<https://docs.stripe.com/upgrades>), so they are texts here. Members that an API
//! version may lack are `Option`s. Metadata is kept as JSON text.

mod catalog;
mod checkout;
mod customer;
mod invoice;
mod payment;
mod subscription;

pub use catalog::{Entitlement, EntitlementSummary, Price, PriceTerms, Product};
pub use checkout::CheckoutSession;
pub use customer::Customer;
pub use invoice::{Invoice, InvoiceLine, InvoicePayment};
pub use payment::{Charge, Dispute, PaymentIntent, Refund};
pub use subscription::{Subscription, SubscriptionItem};
