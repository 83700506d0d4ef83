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
    Event(&'a str),
    Events,
    ThinEvent(&'a str),
    InvoicePayments,
    /// The lines of an invoice.
    Lines(&'a str),
    /// All prices or all products, by their kind and the collection they are listed at.
    Catalogue(&'static str, &'static str),
}

/// Collection with its `:id`, kind.
const COLLECTIONS: [(&str, &str, &str); 12] = [
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
];

/// The route of a GET request, if there is one.
pub(super) fn find(is_get: bool, path: &str) -> Option<Route<'_>> {
    if !is_get {
        return None;
    }
    if let Some(id) = path.strip_prefix("/v2/core/events/") {
        return is_id(id).then_some(Route {
            endpoint: "v2/core/events/:id",
            target: Target::ThinEvent(id),
        });
    }
    let path = path.strip_prefix("/v1/")?;
    let (endpoint, target) = match path {
        "events" => ("events", Target::Events),
        "invoice_payments" => ("invoice_payments", Target::InvoicePayments),
        "prices" => ("prices", Target::Catalogue("price", "/v1/prices")),
        "products" => ("products", Target::Catalogue("product", "/v1/products")),
        _ => lines(path).or_else(|| event(path)).or_else(|| object(path))?,
    };
    Some(Route { endpoint, target })
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
        let route = |path| find(true, path).map(|route| (route.endpoint, route.target));
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
            (
                "/v1/prices",
                Some(("prices", Target::Catalogue("price", "/v1/prices"))),
            ),
            ("/v1/customers", None),
            ("/v1/customers/", None),
            ("/v1/invoices/in_1/lines/il_1", None),
            ("/v1/invoices//lines", None),
            ("/", None),
        ];
        for (path, expected) in cases {
            assert_eq!(route(path), expected, "{path}");
        }
        assert_eq!(find(false, "/v1/customers/cus_1"), None);
    }
}
