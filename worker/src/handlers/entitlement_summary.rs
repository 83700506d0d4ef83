//! `entitlements.active_entitlement_summary.updated`: the whole set of features a customer may use. The summary has
//! no id of its own; its customer's identifies it.

use domain::objects::{Entitlement, EntitlementSummary};
use domain::{Kind, Object};

use super::{Handler, distinct};
use crate::view::{ReadError, View};

pub(super) const HANDLER: Handler = Handler {
    kind: Kind::EntitlementSummary,
    types: &["entitlements.active_entitlement_summary."],
    id: "customer",
    needed: &[
        "entitlements",
        "entitlements.data",
        "entitlements.data.lookup_key",
    ],
    read,
};

fn read(view: &View<'_>) -> Result<Object, ReadError> {
    let entitlements = view
        .list("entitlements")?
        .iter()
        .map(entitlement)
        .collect::<Result<Vec<_>, _>>()?;
    let entitlements = distinct(entitlements, |part| &part.id);
    Ok(Object::EntitlementSummary(EntitlementSummary {
        has_more: view.object("entitlements")?.is("has_more")?,
        entitlements,
    }))
}

fn entitlement(view: &View<'_>) -> Result<Entitlement, ReadError> {
    Ok(Entitlement {
        id: view.own_id()?,
        lookup_key: view.text("lookup_key")?,
        feature_id: view.id("feature")?,
    })
}
