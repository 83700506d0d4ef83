//! What can be fetched, and how it is called in paths, Redis and metrics.

use std::fmt;
use std::str::FromStr;

use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};

use crate::deed::Deed;

/// The collection of events, below `/v1/`.
pub(crate) const EVENTS: &str = "events";
/// Longest id of Stripe.
const ID_BYTES_MAX: usize = 255;

/// A kind of object that can be asked for by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Retrievable {
    /// `cus_`
    Customer,
    /// `sub_`
    Subscription,
    /// `in_`
    Invoice,
    /// `pi_`
    PaymentIntent,
    /// `ch_` and `py_`
    Charge,
    /// `re_` and `pyr_`
    Refund,
    /// `du_` and `dp_`
    Dispute,
    /// `cs_`
    CheckoutSession,
    /// `price_`, and plans of old with ids of any form
    Price,
    /// `prod_`, or ids of any form
    Product,
    /// `inpay_`
    InvoicePayment,
}

impl Retrievable {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Customer,
        Self::Subscription,
        Self::Invoice,
        Self::PaymentIntent,
        Self::Charge,
        Self::Refund,
        Self::Dispute,
        Self::CheckoutSession,
        Self::Price,
        Self::Product,
        Self::InvoicePayment,
    ];

    /// Stripe's `object` field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Subscription => "subscription",
            Self::Invoice => "invoice",
            Self::PaymentIntent => "payment_intent",
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::CheckoutSession => "checkout.session",
            Self::Price => "price",
            Self::Product => "product",
            Self::InvoicePayment => "invoice_payment",
        }
    }

    /// Its collection in Stripe's API, below `/v1/`.
    pub(crate) fn collection(self) -> &'static str {
        match self {
            Self::Customer => "customers",
            Self::Subscription => "subscriptions",
            Self::Invoice => "invoices",
            Self::PaymentIntent => "payment_intents",
            Self::Charge => "charges",
            Self::Refund => "refunds",
            Self::Dispute => "disputes",
            Self::CheckoutSession => "checkout/sessions",
            Self::Price => "prices",
            Self::Product => "products",
            Self::InvoicePayment => "invoice_payments",
        }
    }
}

impl fmt::Display for Retrievable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not a kind of object that is fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("objects of this kind are not fetched by id")]
pub struct NotRetrievable;

impl FromStr for Retrievable {
    type Err = NotRetrievable;

    /// From Stripe's `object` field, or a thin event's `related_object.type`.
    fn from_str(text: &str) -> Result<Self, NotRetrievable> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(NotRetrievable)
    }
}

/// One object of Stripe. As a [`StripeRequest`] it is the request that retrieves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// The connected account it lives in; `None` for the platform itself.
    pub account: Option<String>,
    /// What it is.
    pub kind: Retrievable,
    /// Its id.
    pub id: String,
}

impl StripeRequest for ObjectRef {
    /// The caller reads the raw answer.
    type Output = ();

    fn build(&self) -> RequestBuilder {
        let path = format!("/{}/{}", self.kind.collection(), escaped(&self.id));
        RequestBuilder::new(StripeMethod::Get, path)
    }
}

/// An operation of Stripe's API that has a limit of its own. Bounded, because it becomes a label and a field in
/// Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `GET /v1/<collection>/<id>`
    Retrieve(Retrievable),
    /// `GET /v1/invoice_payments`
    ListInvoicePayments,
    /// `GET /v1/events`
    ListEvents,
    /// A change.
    Write(Deed),
    /// All others together.
    Other,
}

impl Endpoint {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Retrievable::ALL
            .into_iter()
            .map(Self::Retrieve)
            .chain(Deed::ALL.map(Self::Write))
            .chain([Self::ListInvoicePayments, Self::ListEvents, Self::Other])
    }

    /// The label `kind` of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retrieve(kind) => kind.as_str(),
            Self::ListInvoicePayments => "invoice_payments",
            Self::ListEvents => "events",
            Self::Write(deed) => deed.as_str(),
            Self::Other => "other",
        }
    }

    /// Which one a GET of this path (with its `/v1/`) asks.
    pub(crate) fn of_get(path: &str) -> Self {
        let Some(rest) = path.strip_prefix("/v1/") else {
            return Self::Other;
        };
        if rest == Retrievable::InvoicePayment.collection() {
            return Self::ListInvoicePayments;
        }
        if rest == EVENTS {
            return Self::ListEvents;
        }
        rest.rsplit_once('/')
            .and_then(|(collection, _)| {
                Retrievable::ALL
                    .into_iter()
                    .find(|kind| kind.collection() == collection)
            })
            .map_or(Self::Other, Self::Retrieve)
    }
}

/// Whether a text can be an id: anything short, because products and plans may be named by people.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && !text.chars().any(char::is_control)
        && !matches!(text, "." | "..")
}

/// Whether a text is a connected account. Strict, because it becomes a header and part of a Redis key.
pub(crate) fn is_account(text: &str) -> bool {
    text.strip_prefix("acct_").is_some_and(|rest| {
        (1..=ID_BYTES_MAX).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// Whether a path from a thin event may be asked for: below `/v1/` or `/v2/`, plain names between single
/// slashes. No scheme, host, query, fragment, escape or way up fits into that.
pub(crate) fn is_api_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/v1/").or_else(|| path.strip_prefix("/v2/")) else {
        return false;
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let is_name = |name: &str| {
        (1..=ID_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) && !matches!(name, "." | "..")
    };
    rest.len() <= 4 * ID_BYTES_MAX && rest.split('/').all(is_name)
}

/// Percent-encodes all but what never needs it, so that an id stays one segment of a path.
pub(crate) fn escaped(id: &str) -> String {
    use fmt::Write as _;
    id.bytes().fold(String::with_capacity(id.len()), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"_-.~".contains(&b) {
            out.push(char::from(b));
        } else {
            // Writing to a String does not fail.
            _ = write!(out, "%{b:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_and_by_its_path() {
        for kind in Retrievable::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            let what = ObjectRef {
                account: None,
                kind,
                id: "x_1".to_owned(),
            };
            assert_eq!(
                Endpoint::of_get(&format!("/v1{}", what.build().path)),
                Endpoint::Retrieve(kind)
            );
        }
        assert_eq!("event".parse::<Retrievable>(), Err(NotRetrievable));
    }

    #[test]
    fn endpoints_are_told_apart() {
        for (path, endpoint) in [
            ("/v1/invoice_payments", Endpoint::ListInvoicePayments),
            (
                "/v1/checkout/sessions/cs_1",
                Endpoint::Retrieve(Retrievable::CheckoutSession),
            ),
            ("/v1/events", Endpoint::ListEvents),
            ("/v1/events/evt_1", Endpoint::Other),
            ("/v1/customers", Endpoint::Other),
            ("/v1/customers/cus_1/sources", Endpoint::Other),
            ("/v2/customers/cus_1", Endpoint::Other),
        ] {
            assert_eq!(Endpoint::of_get(path), endpoint, "{path}");
        }
        let names: std::collections::BTreeSet<_> = Endpoint::all().map(Endpoint::as_str).collect();
        assert_eq!(names.len(), 14 + Deed::ALL.len(), "labels are distinct");
    }

    #[test]
    fn an_id_stays_one_segment() {
        let product = ObjectRef {
            account: None,
            kind: Retrievable::Product,
            id: "gold plan/../ä?x#y".to_owned(),
        };
        assert_eq!(
            product.build().path,
            "/products/gold%20plan%2F..%2F%C3%A4%3Fx%23y"
        );
        for (id, usable) in [
            ("a", true),
            ("..", false),
            (".", false),
            ("", false),
            ("a\nb", false),
        ] {
            assert_eq!(is_id(id), usable, "{id:?}");
        }
        assert!(!is_id(&"a".repeat(256)));
    }

    #[test]
    fn paths_of_thin_events_stay_below_the_api() {
        for path in [
            "/v1/subscriptions/sub_1",
            "/v2/core/accounts/acct_1",
            "/v1/billing/meters/mtr_test-1.a",
        ] {
            assert!(is_api_path(path), "{path}");
        }
        for path in [
            "",
            "/",
            "/v1/",
            "/v2/",
            "/v1",
            "/v3/x/y",
            "/v1//x",
            "/v1/x/",
            "/v1/../v2/x",
            "/v1/./x",
            "/v1/%2e%2e/x",
            "/v1/x?expand=y",
            "/v1/x#y",
            "/v1/x y",
            "/v1/x\\y",
            "/v1/x@y",
            "/v1/x:y",
            "/v1/x\r\nhost: y",
            "//evil.example/v1/x",
            "https://evil.example/v1/x",
            "v1/x",
            "@evil.example/v1/x",
            "/V1/x",
            "/v1/ä",
        ] {
            assert!(!is_api_path(path), "{path}");
        }
    }

    #[test]
    fn accounts_are_plain() {
        assert!(is_account("acct_1032D82eZvKYlo2C"));
        for text in ["", "acct_", "cus_1", "acct_1\r\n", "acct_1}", "org_1/acct_1"] {
            assert!(!is_account(text), "{text:?}");
        }
    }
}
