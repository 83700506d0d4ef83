//! What a path asks for.

/// What is asked for, and the endpoint it counts for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route<'a> {
    /// The path below its version, with `:id` for ids.
    pub(super) endpoint: &'static str,
    pub(super) target: Target<'a>,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Target<'a> {
    /// Kind and id.
    Object(&'static str, &'a str),
    /// Whose the key is.
    Account,
    Event(&'a str),
    Events,
    ThinEvent(&'a str),
    InvoicePayments,
    /// The lines of an invoice.
    Lines(&'a str),
    /// What a Checkout session sells.
    Cart(&'a str),
    /// All objects of a kind.
    List(&'static Listed),
    /// Customers that a query finds.
    Search,
}

/// A list of objects, and what it can be narrowed down by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// The path below `/v1/`.
    pub(super) path: &'static str,
    /// The kind of its rows.
    pub(super) object: &'static str,
    /// Parameters that have to be equal to members of a row.
    pub(super) filters: &'static [&'static str],
}

const fn listed(path: &'static str, object: &'static str, filters: &'static [&'static str]) -> Listed {
    Listed {
        path,
        object,
        filters,
    }
}

/// Every list but those with rules of their own.
static LISTS: [Listed; 11] = [
    listed("charges", "charge", &["customer", "payment_intent"]),
    listed(
        "checkout/sessions",
        "checkout.session",
        &["customer", "payment_intent", "status", "subscription"],
    ),
    listed("customers", "customer", &["email"]),
    listed("disputes", "dispute", &["charge", "payment_intent"]),
    listed("invoices", "invoice", &["customer", "status", "subscription"]),
    listed("payment_intents", "payment_intent", &["customer"]),
    listed(
        "prices",
        "price",
        &["active", "currency", "lookup_keys", "product", "type"],
    ),
    listed("products", "product", &["active", "ids"]),
    listed("refunds", "refund", &["charge", "payment_intent"]),
    listed("subscriptions", "subscription", &["customer", "price", "status"]),
    listed("webhook_endpoints", "webhook_endpoint", &[]),
];

/// Collection with its `:id`, kind.
const COLLECTIONS: [(&str, &str, &str); 13] = [
    ("charges/", "charges/:id", "charge"),
    ("checkout/sessions/", "checkout/sessions/:id", "checkout.session"),
    ("customers/", "customers/:id", "customer"),
    ("disputes/", "disputes/:id", "dispute"),
    ("invoice_payments/", "invoice_payments/:id", "invoice_payment"),
    ("invoices/", "invoices/:id", "invoice"),
    ("payment_intents/", "payment_intents/:id", "payment_intent"),
    ("plans/", "plans/:id", "plan"),
    ("prices/", "prices/:id", "price"),
    ("products/", "products/:id", "product"),
    ("refunds/", "refunds/:id", "refund"),
    ("subscriptions/", "subscriptions/:id", "subscription"),
    ("webhook_endpoints/", "webhook_endpoints/:id", "webhook_endpoint"),
];

/// The route of a GET request, if there is one.
pub(super) fn find(path: &str) -> Option<Route<'_>> {
    if let Some(id) = path.strip_prefix("/v2/core/events/") {
        return is_id(id).then_some(Route {
            endpoint: "v2/core/events/:id",
            target: Target::ThinEvent(id),
        });
    }
    let path = path.strip_prefix("/v1/")?;
    let (endpoint, target) = match path {
        "account" => ("account", Target::Account),
        "events" => ("events", Target::Events),
        "invoice_payments" => ("invoice_payments", Target::InvoicePayments),
        "customers/search" => ("customers/search", Target::Search),
        _ => list(path)
            .or_else(|| lines(path))
            .or_else(|| cart(path))
            .or_else(|| event(path))
            .or_else(|| object(path))?,
    };
    Some(Route { endpoint, target })
}

fn list(path: &str) -> Option<(&'static str, Target<'_>)> {
    let listed = LISTS.iter().find(|listed| listed.path == path)?;
    Some((listed.path, Target::List(listed)))
}

fn cart(path: &str) -> Option<(&'static str, Target<'_>)> {
    let id = path
        .strip_prefix("checkout/sessions/")?
        .strip_suffix("/line_items")?;
    is_id(id).then_some(("checkout/sessions/:id/line_items", Target::Cart(id)))
}

fn lines(path: &str) -> Option<(&'static str, Target<'_>)> {
    let id = path.strip_prefix("invoices/")?.strip_suffix("/lines")?;
    is_id(id).then_some(("invoices/:id/lines", Target::Lines(id)))
}

fn event(path: &str) -> Option<(&'static str, Target<'_>)> {
    let id = path.strip_prefix("events/")?;
    is_id(id).then_some(("events/:id", Target::Event(id)))
}

fn object(path: &str) -> Option<(&'static str, Target<'_>)> {
    COLLECTIONS.iter().find_map(|(collection, endpoint, kind)| {
        let id = path.strip_prefix(collection).filter(|id| is_id(id))?;
        Some((*endpoint, Target::Object(kind, id)))
    })
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_understood() {
        let route = |path| find(path).map(|route| (route.endpoint, route.target));
        let cases = [
            (
                "/v1/customers/cus_1",
                Some(("customers/:id", Target::Object("customer", "cus_1"))),
            ),
            (
                "/v1/checkout/sessions/cs_1",
                Some((
                    "checkout/sessions/:id",
                    Target::Object("checkout.session", "cs_1"),
                )),
            ),
            ("/v1/account", Some(("account", Target::Account))),
            ("/v1/events", Some(("events", Target::Events))),
            ("/v1/events/evt_1", Some(("events/:id", Target::Event("evt_1")))),
            (
                "/v2/core/events/evt_1",
                Some(("v2/core/events/:id", Target::ThinEvent("evt_1"))),
            ),
            (
                "/v1/invoice_payments",
                Some(("invoice_payments", Target::InvoicePayments)),
            ),
            (
                "/v1/invoices/in_1/lines",
                Some(("invoices/:id/lines", Target::Lines("in_1"))),
            ),
            ("/v1/prices", Some(("prices", Target::List(&LISTS[6])))),
            ("/v1/customers", Some(("customers", Target::List(&LISTS[2])))),
            ("/v1/customers/search", Some(("customers/search", Target::Search))),
            (
                "/v1/checkout/sessions/cs_1/line_items",
                Some(("checkout/sessions/:id/line_items", Target::Cart("cs_1"))),
            ),
            ("/v1/customers/", None),
            ("/v1/invoices/in_1/lines/il_1", None),
            ("/v1/invoices//lines", None),
            ("/", None),
        ];
        for (path, expected) in cases {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}
