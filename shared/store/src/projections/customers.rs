//! Customers.

use domain::objects::Customer;

use super::Row;
use super::columns::projection;

projection! {
    /// Customers.
    fn apply(row: &Row<Customer>) into "customers" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "created" "timestamptz" = row.object.created;
        "email" "text" = row.object.email.as_deref();
        "name" "text" = row.object.name.as_deref();
        "user_id" "text" = row.object.user_id.as_deref();
        "currency" "text" = row.object.currency.as_deref();
        "balance" "bigint" = row.object.balance;
        "delinquent" "boolean" = row.object.delinquent;
        "deleted" "boolean" = row.head.deleted;
        "metadata" "jsonb" = row.object.metadata.as_str();
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}
