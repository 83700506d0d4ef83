//! Any object of a life, whatever its kind: what the model keeps and the API answers with.

use serde_json::{Value, json};

use super::{
    catalogue::{Price, Product},
    charge::Charge,
    checkout::Session,
    customer::Customer,
    dispute::Dispute,
    endpoint::Endpoint,
    entitlement::{Entitlement, summary},
    invoice::Invoice,
    invoice_payment::InvoicePayment,
    payment_intent::PaymentIntent,
    portal::Portal,
    refund::Refund,
    subscription::Subscription,
};
use crate::ApiVersion;

/// What a customer may use: the summary has no id, the customer's stands in.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) customer: String,
    pub(crate) active: Vec<Entitlement>,
}

/// The plan Stripe keeps beside a recurring price, under the same id.
#[derive(Debug, Clone)]
pub(crate) struct Plan(pub(crate) Price);

/// One object. Boxed, because a map holds thousands of them and their sizes differ tenfold.
#[derive(Debug, Clone)]
pub(crate) enum Thing {
    Charge(Box<Charge>),
    Customer(Box<Customer>),
    Dispute(Box<Dispute>),
    Endpoint(Box<Endpoint>),
    Intent(Box<PaymentIntent>),
    Invoice(Box<Invoice>),
    InvoicePayment(Box<InvoicePayment>),
    Plan(Box<Plan>),
    Portal(Box<Portal>),
    Price(Box<Price>),
    Product(Box<Product>),
    Refund(Box<Refund>),
    Session(Box<Session>),
    Subscription(Box<Subscription>),
    Summary(Box<Summary>),
}

/// A kind of object that the model keeps.
pub(crate) trait Kept: Clone {
    /// The value of `object`.
    const OBJECT: &'static str;

    /// The object in `thing`, if it is one of this kind.
    fn of(thing: &Thing) -> Option<&Self>;
}

macro_rules! things {
    ($($variant:ident: $kind:ty, $object:literal;)*) => {
        $(impl From<&$kind> for Thing {
            fn from(object: &$kind) -> Self {
                Self::$variant(Box::new(object.clone()))
            }
        }

        impl Kept for $kind {
            const OBJECT: &'static str = $object;

            fn of(thing: &Thing) -> Option<&Self> {
                match thing {
                    Thing::$variant(it) => Some(it),
                    _ => None,
                }
            }
        })*

        impl Thing {
            /// The value of `object`.
            pub(crate) const fn object(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <$kind>::OBJECT,)*
                }
            }
        }
    };
}
things!(
    Charge: Charge, "charge";
    Customer: Customer, "customer";
    Dispute: Dispute, "dispute";
    Endpoint: Endpoint, "webhook_endpoint";
    Intent: PaymentIntent, "payment_intent";
    Invoice: Invoice, "invoice";
    InvoicePayment: InvoicePayment, "invoice_payment";
    Plan: Plan, "plan";
    Portal: Portal, "billing_portal.session";
    Price: Price, "price";
    Product: Product, "product";
    Refund: Refund, "refund";
    Session: Session, "checkout.session";
    Subscription: Subscription, "subscription";
    Summary: Summary, "entitlements.active_entitlement_summary";
);

impl Thing {
    /// The object as `version` renders it.
    pub(crate) fn json(&self, version: ApiVersion) -> Value {
        match self {
            Self::Charge(it) => it.json(version),
            Self::Customer(it) => it.json(version),
            Self::Dispute(it) => it.json(version),
            Self::Endpoint(it) => it.json(),
            Self::Intent(it) => it.json(version),
            Self::Invoice(it) => it.json(version),
            Self::InvoicePayment(it) => it.json(),
            Self::Plan(it) => it.0.plan_json(version),
            Self::Portal(it) => it.json(),
            Self::Price(it) => it.json(version),
            Self::Product(it) => it.json(version),
            Self::Refund(it) => it.json(version),
            Self::Session(it) => it.json(version),
            Self::Subscription(it) => it.json(version),
            Self::Summary(it) => summary(&it.customer, &it.active),
        }
    }

    /// What a request for the object answers: as [`Thing::json`], but of a deleted customer only that.
    /// Source: <https://docs.stripe.com/api/customers/delete>.
    pub(crate) fn fetched(&self, version: ApiVersion) -> Value {
        match self {
            Self::Customer(it) if it.deleted => json!({"id": it.id, "object": "customer", "deleted": true}),
            other => other.json(version),
        }
    }

    /// The id; the customer's for a summary, empty for an invoice that is only a preview.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Charge(it) => &it.id,
            Self::Customer(it) => &it.id,
            Self::Dispute(it) => &it.id,
            Self::Endpoint(it) => &it.id,
            Self::Intent(it) => &it.id,
            Self::Invoice(it) => &it.id,
            Self::InvoicePayment(it) => &it.id,
            Self::Plan(it) => &it.0.id,
            Self::Portal(it) => &it.id,
            Self::Price(it) => &it.id,
            Self::Product(it) => &it.id,
            Self::Refund(it) => &it.id,
            Self::Session(it) => &it.id,
            Self::Subscription(it) => &it.id,
            Self::Summary(it) => &it.customer,
        }
    }
}
