//! What is asked for with POST and DELETE.
//!
//! One line in [`ENDPOINTS`] and one function for each: it reads the form, which may be refused, and says what is to
//! be done. A parameter that nobody asks about is refused; what the simulation does not know is never ignored.

mod catalogue;
mod customers;
mod endpoints;
mod intents;
mod lines;
mod portal;
mod refunds;
mod sessions;
mod subscriptions;

pub(super) use lines::{active_price, money};
pub(super) use subscriptions::Switch;

use hyper::{Method, StatusCode};

use super::{
    caller::Caller,
    errors::Reply,
    expand::expand,
    form::{Form, Part, Read},
};
use crate::{
    ApiVersion,
    objects::{Kept, Thing},
    query::Query,
    shop::{Clerk, Shop, Who},
};

/// What is to be done, by a clerk of the shop.
type Deed = Box<dyn FnOnce(&mut Clerk<'_>) -> Read<Thing> + Send>;
type Reader = fn(&Part<'_>, &Target<'_>) -> Read<Deed>;

/// What a path names, and where the request came in.
struct Target<'a> {
    /// The id in the path; empty when there is none.
    id: &'a str,
    /// The beginning of our own addresses, `http://host:port`.
    origin: &'a str,
}

/// A path that can be written to.
struct Endpoint {
    method: Method,
    path: &'static str,
    read: Reader,
}

const fn post(path: &'static str, read: Reader) -> Endpoint {
    Endpoint {
        method: Method::POST,
        path,
        read,
    }
}

const fn delete(path: &'static str, read: Reader) -> Endpoint {
    Endpoint {
        method: Method::DELETE,
        path,
        read,
    }
}

static ENDPOINTS: [Endpoint; 19] = [
    post("billing_portal/sessions", portal::create),
    post("checkout/sessions", sessions::create),
    post("checkout/sessions/:id/expire", sessions::expire),
    post("customers", customers::create),
    post("customers/:id", customers::update),
    delete("customers/:id", customers::delete),
    post("payment_intents", intents::create),
    post("payment_intents/:id", intents::update),
    post("payment_intents/:id/cancel", intents::cancel),
    post("payment_intents/:id/confirm", intents::confirm),
    post("prices", catalogue::create_price),
    post("prices/:id", catalogue::update_price),
    post("products", catalogue::create_product),
    post("products/:id", catalogue::update_product),
    post("refunds", refunds::create),
    post("refunds/:id", refunds::update),
    post("subscriptions/:id", subscriptions::update),
    delete("subscriptions/:id", subscriptions::cancel),
    post("webhook_endpoints/:id", endpoints::update),
];

/// The endpoint of a path, and the id in it.
pub(super) struct Found<'a> {
    endpoint: &'static Endpoint,
    id: &'a str,
}

impl Found<'_> {
    pub(super) fn endpoint(&self) -> &'static str {
        self.endpoint.path
    }
}

pub(super) fn find<'a>(method: &Method, path: &'a str) -> Option<Found<'a>> {
    let path = path.strip_prefix("/v1/")?;
    ENDPOINTS.iter().find_map(|endpoint| {
        let id = matched(endpoint.path, path).filter(|_| endpoint.method == *method)?;
        Some(Found { endpoint, id })
    })
}

/// The id in `path`, or nothing in its place; none when it is another path.
fn matched<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let Some((head, tail)) = pattern.split_once(":id") else {
        return (pattern == path).then_some("");
    };
    let id = path.strip_prefix(head)?.strip_suffix(tail)?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// What a restricted key needs a permission for: `customer`, `checkout_session`, ...
pub(super) fn resource(endpoint: &str) -> String {
    let mut words = endpoint.split('/');
    match (words.next().unwrap_or_default(), words.next()) {
        ("checkout", _) => "checkout_session".to_owned(),
        ("billing_portal", _) => "customer_portal".to_owned(),
        (collection, _) => collection.trim_end_matches('s').to_owned(),
    }
}

/// A write that was understood.
pub(super) struct Writing {
    deed: Deed,
    who: Who,
    version: Option<ApiVersion>,
    expanded: Vec<String>,
}

impl Writing {
    /// Understands a request, or refuses it.
    pub(super) fn read(
        found: &Found<'_>,
        query: Query,
        who: Who,
        version: Option<ApiVersion>,
        origin: &str,
    ) -> Read<Self> {
        let form = Form::new(query);
        let expanded = form
            .root()
            .texts("expand")
            .into_iter()
            .map(str::to_owned)
            .collect();
        let target = Target { id: found.id, origin };
        let deed = (found.endpoint.read)(&form.root(), &target)?;
        form.finish()?;
        Ok(Self {
            deed,
            who,
            version,
            expanded,
        })
    }

    /// It happens.
    pub(super) fn carry_out(self, shop: &mut Shop) -> Read<Reply> {
        let version = self.version.unwrap_or(shop.version());
        let account = self.who.account.clone();
        let mut clerk = Clerk::now(shop, self.who);
        let thing = (self.deed)(&mut clerk)?;
        let mut shown = thing.fetched(version);
        let caller = Caller {
            account: Some(account.as_str()),
            version: Some(version),
        };
        let paths: Vec<&str> = self.expanded.iter().map(String::as_str).collect();
        expand(clerk.model(), &caller, &paths, &mut shown)?;
        Ok(Reply::ok(&shown))
    }
}

/// The object that the path names.
fn named<T: Kept>(clerk: &Clerk<'_>, id: &str) -> Read<T> {
    clerk.get(id).ok_or_else(|| Reply::missing(T::OBJECT, id))
}

/// The object that a parameter names.
fn referred<T: Kept>(clerk: &Clerk<'_>, id: &str, param: &str) -> Read<T> {
    let found = clerk.get(id);
    found.ok_or_else(|| Reply::no_such(StatusCode::BAD_REQUEST, T::OBJECT, id, param))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_understood() {
        let path = |method, path| find(&method, path).map(|found| (found.endpoint(), found.id.to_owned()));
        let some = |endpoint, id: &str| Some((endpoint, id.to_owned()));
        let cases = [
            (Method::POST, "/v1/customers", some("customers", "")),
            (
                Method::POST,
                "/v1/customers/cus_1",
                some("customers/:id", "cus_1"),
            ),
            (
                Method::DELETE,
                "/v1/customers/cus_1",
                some("customers/:id", "cus_1"),
            ),
            (
                Method::POST,
                "/v1/checkout/sessions/cs_1/expire",
                some("checkout/sessions/:id/expire", "cs_1"),
            ),
            (Method::DELETE, "/v1/customers", None),
            (Method::POST, "/v1/customers/", None),
            (Method::POST, "/v1/customers/cus_1/expire", None),
            (Method::PUT, "/v1/customers", None),
        ];
        for (method, asked, expected) in cases {
            assert_eq!(path(method, asked), expected, "{asked}");
        }
    }

    #[test]
    fn permissions_are_named_after_the_first_word() {
        assert_eq!(resource("customers/:id"), "customer");
        assert_eq!(resource("payment_intents"), "payment_intent");
        assert_eq!(resource("checkout/sessions/:id"), "checkout_session");
    }
}
