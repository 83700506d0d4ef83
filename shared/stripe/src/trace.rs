//! A span for each attempt to ask Stripe, as OpenTelemetry's conventions for HTTP have it. The address is not in it but for
//! its shape: an address has ids, and a query may have anything.

use shared::trace::{self, Span};

use crate::error::FetchError;
use crate::request::Request;
use crate::telemetry::outcome_of;

/// What an id is in a path's shape.
const ID: &str = "{id}";
/// The words of paths we know. Whatever else is in a path counts as an id.
const WORDS: [&str; 24] = [
    "account",
    "accounts",
    "billing",
    "billing_portal",
    "charges",
    "checkout",
    "core",
    "customers",
    "disputes",
    "events",
    "expire",
    "invoice_payments",
    "invoices",
    "lines",
    "payment_intents",
    "prices",
    "products",
    "refunds",
    "sessions",
    "subscription_items",
    "subscriptions",
    "v1",
    "v2",
    "webhook_endpoints",
];

/// The span of one attempt.
pub(crate) struct Traced(Option<Span>);

impl Traced {
    /// Begins. `attempt` counts from 1; `host` is whom we ask.
    pub(crate) fn begin(request: &Request, attempt: u32, host: &str) -> Self {
        if !trace::is_on() {
            return Self(None);
        }
        let template = template(&request.path);
        let method = request.method_name();
        let mut span = trace::call(format!("{method} {template}"));
        if let Some(span) = &mut span {
            span.set("http.request.method", method);
            span.set("url.template", template);
            span.set("server.address", host.to_owned());
            if attempt > 1 {
                span.set("http.request.resend_count", i64::from(attempt - 1));
            }
            span.set("tollgate.stripe.kind", request.endpoint.as_str());
        }
        Self(span)
    }

    /// The head of an answer is there.
    pub(crate) fn answered(&mut self, status: u16) {
        if let Some(span) = &mut self.0 {
            span.set("http.response.status_code", i64::from(status));
        }
    }

    /// It is over.
    pub(crate) fn end<T>(self, result: &Result<T, FetchError>) {
        let (Some(mut span), Err(error)) = (self.0, result) else {
            return;
        };
        if let Some(id) = &error.detail().request_id {
            span.set("stripe.request.id", id.clone());
        }
        span.failed(outcome_of(error));
    }
}

fn template(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        let is_word = part.is_empty() || WORDS.contains(&part);
        if is_word { part } else { ID }
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_is_in_a_shape() {
        for (path, shape) in [
            ("/v1/customers", "/v1/customers"),
            ("/v1/customers/cus_1", "/v1/customers/{id}"),
            ("/v1/prices/gold", "/v1/prices/{id}"),
            ("/v1/products/someone%40example.com", "/v1/products/{id}"),
            (
                "/v1/checkout/sessions/cs_1/expire",
                "/v1/checkout/sessions/{id}/expire",
            ),
            ("/v2/core/accounts/acct_1", "/v2/core/accounts/{id}"),
            ("/v2/something/new", "/v2/{id}/{id}"),
        ] {
            assert_eq!(template(path), shape);
        }
        assert!(WORDS.is_sorted());
    }
}
