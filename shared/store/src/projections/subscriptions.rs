//! Subscriptions and their items.

use domain::objects::{Subscription, SubscriptionItem};
use sqlx::PgConnection;

use super::columns::{Deed, Found, part, projection};
use super::{Part, Row, parts};

/// Subscriptions; their items become the set in the snapshot, which may be the first page only.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    rows: &[Row<Subscription>],
    deed: Deed,
) -> Result<Vec<Found>, sqlx::Error> {
    let mut found = apply_subscriptions(connection, rows, deed).await?;
    let parts = parts(rows, |object| &object.items);
    let owners = rows.iter().map(|row| &row.head.key);
    found.extend(apply_items(connection, &parts, owners, deed).await?);
    Ok(found)
}

projection! {
    /// The subscriptions themselves.
    fn apply_subscriptions(row: &Row<Subscription>) into "subscriptions" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "created" "timestamptz" = row.object.created;
        "customer_id" "text" = row.object.customer_id.as_deref();
        "user_id" "text" = row.object.user_id.as_deref();
        "status" "text" = row.object.status.as_deref();
        "currency" "text" = row.object.currency.as_deref();
        "collection_method" "text" = row.object.collection_method.as_deref();
        "current_period_start" "timestamptz" = row.object.current_period_start;
        "current_period_end" "timestamptz" = row.object.current_period_end;
        "cancel_at_period_end" "boolean" = row.object.cancel_at_period_end;
        "cancel_at" "timestamptz" = row.object.cancel_at;
        "canceled_at" "timestamptz" = row.object.canceled_at;
        "ended_at" "timestamptz" = row.object.ended_at;
        "cancellation_reason" "text" = row.object.cancellation_reason.as_deref();
        "trial_start" "timestamptz" = row.object.trial_start;
        "trial_end" "timestamptz" = row.object.trial_end;
        "start_date" "timestamptz" = row.object.start_date;
        "latest_invoice_id" "text" = row.object.latest_invoice_id.as_deref();
        "items_complete" "boolean" = row.object.items_complete;
        "metadata" "jsonb" = row.object.metadata.as_str();
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}

part! {
    /// Their items.
    fn apply_items(row: &Part<'_, SubscriptionItem>) into "subscription_items" key "account, subscription_id, id" {
        "account" "text" = row.of.account.as_str();
        "subscription_id" "text" = row.of.id.as_str();
        "id" "text" = row.part.id.as_str();
        "position" "integer" = row.position;
        "price_id" "text" = row.part.price_id.as_deref();
        "product_id" "text" = row.part.product_id.as_deref();
        "quantity" "bigint" = row.part.quantity;
        "current_period_start" "timestamptz" = row.part.current_period_start;
        "current_period_end" "timestamptz" = row.part.current_period_end;
    }
}
