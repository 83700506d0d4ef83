//! What customers may use.

use domain::objects::{Entitlement, EntitlementSummary};
use sqlx::PgConnection;

use super::columns::{Deed, Found, part, projection};
use super::{Part, Row, parts};

/// Summaries; a customer's entitlements become the set in the summary, which may be the first page only.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    rows: &[Row<EntitlementSummary>],
    deed: Deed,
) -> Result<Vec<Found>, sqlx::Error> {
    let mut found = apply_summaries(connection, rows, deed).await?;
    let parts = parts(rows, |object| &object.entitlements);
    let owners = rows.iter().map(|row| &row.head.key);
    found.extend(apply_entitlements(connection, &parts, owners, deed).await?);
    Ok(found)
}

projection! {
    /// The summaries themselves.
    fn apply_summaries(row: &Row<EntitlementSummary>) into "entitlement_summaries" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "has_more" "boolean" = row.object.has_more;
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}

part! {
    /// The entitlements.
    fn apply_entitlements(row: &Part<'_, Entitlement>) into "entitlements" key "account, customer_id, id" {
        "account" "text" = row.of.account.as_str();
        "customer_id" "text" = row.of.id.as_str();
        "id" "text" = row.part.id.as_str();
        "position" "integer" = row.position;
        "lookup_key" "text" = row.part.lookup_key.as_deref();
        "feature_id" "text" = row.part.feature_id.as_deref();
    }
}
