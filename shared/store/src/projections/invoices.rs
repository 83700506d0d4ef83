//! Invoices with their lines, and the payments of invoices.

use domain::objects::{Invoice, InvoiceLine, InvoicePayment};
use sqlx::PgConnection;

use super::columns::{Deed, Found, part, projection};
use super::{Part, Row, parts};

/// Invoices; their lines become the set in the snapshot, which may be the first page only.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    rows: &[Row<Invoice>],
    deed: Deed,
) -> Result<Vec<Found>, sqlx::Error> {
    let mut found = apply_invoices(connection, rows, deed).await?;
    let parts = parts(rows, |object| &object.lines);
    let owners = rows.iter().map(|row| &row.head.key);
    found.extend(apply_lines(connection, &parts, owners, deed).await?);
    Ok(found)
}

projection! {
    /// The invoices themselves.
    fn apply_invoices(row: &Row<Invoice>) into "invoices" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "created" "timestamptz" = row.object.created;
        "customer_id" "text" = row.object.customer_id.as_deref();
        "subscription_id" "text" = row.object.subscription_id.as_deref();
        "user_id" "text" = row.object.user_id.as_deref();
        "status" "text" = row.object.status.as_deref();
        "billing_reason" "text" = row.object.billing_reason.as_deref();
        "number" "text" = row.object.number.as_deref();
        "currency" "text" = row.object.currency.as_deref();
        "subtotal" "bigint" = row.object.subtotal;
        "total" "bigint" = row.object.total;
        "amount_due" "bigint" = row.object.amount_due;
        "amount_paid" "bigint" = row.object.amount_paid;
        "amount_remaining" "bigint" = row.object.amount_remaining;
        "attempt_count" "bigint" = row.object.attempt_count;
        "next_payment_attempt" "timestamptz" = row.object.next_payment_attempt;
        "payment_intent_id" "text" = row.object.payment_intent_id.as_deref();
        "charge_id" "text" = row.object.charge_id.as_deref();
        "hosted_invoice_url" "text" = row.object.hosted_invoice_url.as_deref();
        "period_start" "timestamptz" = row.object.period_start;
        "period_end" "timestamptz" = row.object.period_end;
        "due_date" "timestamptz" = row.object.due_date;
        "lines_complete" "boolean" = row.object.lines_complete;
        "deleted" "boolean" = row.head.deleted;
        "metadata" "jsonb" = row.object.metadata.as_str();
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}

part! {
    /// Their lines.
    fn apply_lines(row: &Part<'_, InvoiceLine>) into "invoice_lines" key "account, invoice_id, id" {
        "account" "text" = row.of.account.as_str();
        "invoice_id" "text" = row.of.id.as_str();
        "id" "text" = row.part.id.as_str();
        "position" "integer" = row.position;
        "amount" "bigint" = row.part.amount;
        "currency" "text" = row.part.currency.as_deref();
        "description" "text" = row.part.description.as_deref();
        "quantity" "bigint" = row.part.quantity;
        "price_id" "text" = row.part.price_id.as_deref();
        "product_id" "text" = row.part.product_id.as_deref();
        "proration" "boolean" = row.part.proration;
        "subscription_id" "text" = row.part.subscription_id.as_deref();
        "subscription_item_id" "text" = row.part.subscription_item_id.as_deref();
        "period_start" "timestamptz" = row.part.period_start;
        "period_end" "timestamptz" = row.part.period_end;
    }
}

projection! {
    /// The payments of invoices.
    fn apply_payments(row: &Row<InvoicePayment>) into "invoice_payments" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "created" "timestamptz" = row.object.created;
        "invoice_id" "text" = row.object.invoice_id.as_deref();
        "status" "text" = row.object.status.as_deref();
        "payment_type" "text" = row.object.payment_type.as_deref();
        "payment_intent_id" "text" = row.object.payment_intent_id.as_deref();
        "charge_id" "text" = row.object.charge_id.as_deref();
        "currency" "text" = row.object.currency.as_deref();
        "amount_paid" "bigint" = row.object.amount_paid;
        "amount_requested" "bigint" = row.object.amount_requested;
        "is_default" "boolean" = row.object.is_default;
        "paid_at" "timestamptz" = row.object.paid_at;
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}
