//! Payment intents, charges, refunds, disputes.

use domain::objects::{Charge, Dispute, PaymentIntent, Refund};

use super::Row;
use super::columns::projection;

projection! {
    /// Payment intents.
    fn apply_payment_intents(row: &Row<PaymentIntent>) into "payment_intents" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "created" "timestamptz" = row.object.created;
        "customer_id" "text" = row.object.customer_id.as_deref();
        "invoice_id" "text" = row.object.invoice_id.as_deref();
        "status" "text" = row.object.status.as_deref();
        "currency" "text" = row.object.currency.as_deref();
        "amount" "bigint" = row.object.amount;
        "amount_received" "bigint" = row.object.amount_received;
        "latest_charge_id" "text" = row.object.latest_charge_id.as_deref();
        "payment_method_id" "text" = row.object.payment_method_id.as_deref();
        "error_code" "text" = row.object.error_code.as_deref();
        "error_decline_code" "text" = row.object.error_decline_code.as_deref();
        "error_message" "text" = row.object.error_message.as_deref();
        "cancellation_reason" "text" = row.object.cancellation_reason.as_deref();
        "canceled_at" "timestamptz" = row.object.canceled_at;
        "metadata" "jsonb" = row.object.metadata.as_str();
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}

projection! {
    /// Charges.
    fn apply_charges(row: &Row<Charge>) into "charges" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "created" "timestamptz" = row.object.created;
        "customer_id" "text" = row.object.customer_id.as_deref();
        "payment_intent_id" "text" = row.object.payment_intent_id.as_deref();
        "invoice_id" "text" = row.object.invoice_id.as_deref();
        "status" "text" = row.object.status.as_deref();
        "currency" "text" = row.object.currency.as_deref();
        "amount" "bigint" = row.object.amount;
        "amount_captured" "bigint" = row.object.amount_captured;
        "amount_refunded" "bigint" = row.object.amount_refunded;
        "refunded" "boolean" = row.object.refunded;
        "disputed" "boolean" = row.object.disputed;
        "paid" "boolean" = row.object.paid;
        "failure_code" "text" = row.object.failure_code.as_deref();
        "failure_message" "text" = row.object.failure_message.as_deref();
        "balance_transaction_id" "text" = row.object.balance_transaction_id.as_deref();
        "receipt_url" "text" = row.object.receipt_url.as_deref();
        "metadata" "jsonb" = row.object.metadata.as_str();
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}

projection! {
    /// Refunds.
    fn apply_refunds(row: &Row<Refund>) into "refunds" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "created" "timestamptz" = row.object.created;
        "charge_id" "text" = row.object.charge_id.as_deref();
        "payment_intent_id" "text" = row.object.payment_intent_id.as_deref();
        "status" "text" = row.object.status.as_deref();
        "currency" "text" = row.object.currency.as_deref();
        "amount" "bigint" = row.object.amount;
        "reason" "text" = row.object.reason.as_deref();
        "failure_reason" "text" = row.object.failure_reason.as_deref();
        "metadata" "jsonb" = row.object.metadata.as_str();
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}

projection! {
    /// Disputes.
    fn apply_disputes(row: &Row<Dispute>) into "disputes" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "created" "timestamptz" = row.object.created;
        "charge_id" "text" = row.object.charge_id.as_deref();
        "payment_intent_id" "text" = row.object.payment_intent_id.as_deref();
        "status" "text" = row.object.status.as_deref();
        "currency" "text" = row.object.currency.as_deref();
        "amount" "bigint" = row.object.amount;
        "reason" "text" = row.object.reason.as_deref();
        "evidence_due_by" "timestamptz" = row.object.evidence_due_by;
        "balance_transactions" "bigint" = row.object.balance_transactions;
        "metadata" "jsonb" = row.object.metadata.as_str();
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}
