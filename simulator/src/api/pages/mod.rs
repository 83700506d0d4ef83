//! What a browser is sent to: the page of a Checkout session, and the customer portal. Plain HTML and forms, so that
//! a person can pay as well as a test.

mod checkout;
mod html;
mod portal;

use hyper::{Method, StatusCode};

use super::{Inner, errors::Reply, locked, server::Call};
use crate::{
    objects::Kept,
    query::Query,
    shop::{Clerk, Shop, Who},
};
use html::layout;

/// Pages of Checkout sessions are below this path.
pub(super) const CHECKOUT: &str = "/c/pay/";
/// Pages of the customer portal are below this path.
pub(super) const PORTAL: &str = "/p/session/";

/// Whether a path is one of a page.
pub(super) fn are_at(path: &str) -> bool {
    path.starts_with(CHECKOUT) || path.starts_with(PORTAL)
}

/// Shows a page, or does what was clicked on it.
pub(super) fn answer(inner: &Inner, call: &Call) -> Reply {
    let clicked = (call.method == Method::POST).then(|| Query::parse(&String::from_utf8_lossy(&call.body)));
    let mut shop = locked(&inner.shop);
    if let Some(id) = call.path.strip_prefix(CHECKOUT) {
        return checkout::visit(&mut shop, id, clicked.as_ref());
    }
    let id = call.path.strip_prefix(PORTAL).unwrap_or_default();
    portal::visit(&mut shop, id, clicked.as_ref())
}

/// Somebody in a browser who looks at the object `id`, in whichever account it is.
fn visitor<'a, T: Kept + 'static>(shop: &'a mut Shop, id: &str) -> Option<(Clerk<'a>, T)> {
    let (account, found) = shop.model.find::<T>(id)?;
    let (found, who) = (
        found.clone(),
        Who {
            account: account.to_owned(),
            caller: None,
        },
    );
    Some((Clerk::now(shop, who), found))
}

fn nowhere() -> Reply {
    let page = layout(
        "Nothing here",
        "<p>This page does not exist, or not any more.</p>",
    );
    Reply::page(StatusCode::NOT_FOUND, page)
}
