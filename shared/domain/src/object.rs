//! What an event is about: a Stripe object, as it was at one moment.

use crate::objects::{
    Charge, CheckoutSession, Customer, Dispute, EntitlementSummary, Invoice, InvoicePayment, PaymentIntent,
    Price, PriceTerms, Product, Refund, Subscription,
};

/// The kinds of Stripe objects that are projected into tables of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `charge`
    Charge,
    /// `checkout.session`
    CheckoutSession,
    /// `customer`
    Customer,
    /// `dispute`
    Dispute,
    /// `entitlements.active_entitlement_summary`; has no id of its own, its customer's is used.
    EntitlementSummary,
    /// `invoice`
    Invoice,
    /// `invoice_payment`
    InvoicePayment,
    /// `payment_intent`
    PaymentIntent,
    /// `price`
    Price,
    /// `product`
    Product,
    /// `refund`
    Refund,
    /// `subscription`
    Subscription,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Charge,
        Self::CheckoutSession,
        Self::Customer,
        Self::Dispute,
        Self::EntitlementSummary,
        Self::Invoice,
        Self::InvoicePayment,
        Self::PaymentIntent,
        Self::Price,
        Self::Product,
        Self::Refund,
        Self::Subscription,
    ];

    /// The kind of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Stripe's name for the kind, the value of the object's `object` member.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::CheckoutSession => "checkout.session",
            Self::Customer => "customer",
            Self::Dispute => "dispute",
            Self::EntitlementSummary => "entitlements.active_entitlement_summary",
            Self::Invoice => "invoice",
            Self::InvoicePayment => "invoice_payment",
            Self::PaymentIntent => "payment_intent",
            Self::Price => "price",
            Self::Product => "product",
            Self::Refund => "refund",
            Self::Subscription => "subscription",
        }
    }

    /// Whether a change of such an object can change what users have. The catalogue takes effect through what is
    /// bought, entitlements are read as they are.
    #[must_use]
    pub fn has_effects(self) -> bool {
        !matches!(self, Self::EntitlementSummary | Self::Price | Self::Product)
    }
}

/// Which object. Ids are unique only within an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The connected account; empty for the platform's own objects.
    pub account: String,
    /// The kind of object.
    pub kind: Kind,
    /// Stripe's id.
    pub id: String,
}

/// Which of an object's snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Whether the object has come to its end: see [`Object::is_terminal`].
    pub terminal: bool,
    /// `created` of the event that carried it, unix seconds.
    pub created: i64,
    /// The event that carried it.
    pub event_id: String,
}

/// An object as an event describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Which object.
    pub key: ObjectKey,
    /// Which of its snapshots.
    pub version: Version,
    /// Live or test data.
    pub livemode: bool,
    /// Whether the event says that the object is gone.
    pub deleted: bool,
    /// What it looks like.
    pub object: Object,
}

/// The object itself, by kind. Boxed where large, so that a batch of small ones stays small.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// See [`Charge`].
    Charge(Box<Charge>),
    /// See [`CheckoutSession`].
    CheckoutSession(Box<CheckoutSession>),
    /// See [`Customer`].
    Customer(Box<Customer>),
    /// See [`Dispute`].
    Dispute(Box<Dispute>),
    /// See [`EntitlementSummary`].
    EntitlementSummary(EntitlementSummary),
    /// See [`Invoice`].
    Invoice(Box<Invoice>),
    /// See [`InvoicePayment`].
    InvoicePayment(Box<InvoicePayment>),
    /// See [`PaymentIntent`].
    PaymentIntent(Box<PaymentIntent>),
    /// See [`Price`].
    Price(Box<Price>),
    /// See [`Product`].
    Product(Box<Product>),
    /// See [`Refund`].
    Refund(Box<Refund>),
    /// See [`Subscription`].
    Subscription(Box<Subscription>),
}

impl Object {
    /// What the object says about prices, its own or those it carries.
    #[must_use]
    pub fn terms(&self) -> Vec<&PriceTerms> {
        match self {
            Self::Price(price) => price.terms.iter().collect(),
            Self::Subscription(it) => it.items.iter().filter_map(|item| item.terms.as_ref()).collect(),
            Self::Invoice(it) => it.lines.iter().filter_map(|line| line.terms.as_ref()).collect(),
            _ => Vec::new(),
        }
    }
}
