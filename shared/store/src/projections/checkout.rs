//! Checkout sessions.

use domain::objects::CheckoutSession;

use super::Row;
use super::columns::projection;

projection! {
    /// Checkout sessions.
    fn apply(row: &Row<CheckoutSession>) into "checkout_sessions" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "created" "timestamptz" = row.object.created;
        "mode" "text" = row.object.mode.as_deref();
        "status" "text" = row.object.status.as_deref();
        "payment_status" "text" = row.object.payment_status.as_deref();
        "customer_id" "text" = row.object.customer_id.as_deref();
        "client_reference_id" "text" = row.object.client_reference_id.as_deref();
        "user_id" "text" = row.object.user_id.as_deref();
        "payment_intent_id" "text" = row.object.payment_intent_id.as_deref();
        "subscription_id" "text" = row.object.subscription_id.as_deref();
        "invoice_id" "text" = row.object.invoice_id.as_deref();
        "currency" "text" = row.object.currency.as_deref();
        "amount_subtotal" "bigint" = row.object.amount_subtotal;
        "amount_total" "bigint" = row.object.amount_total;
        "expires_at" "timestamptz" = row.object.expires_at;
        "metadata" "jsonb" = row.object.metadata.as_str();
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}
