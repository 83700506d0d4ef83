//! Products and prices.

use domain::objects::{Price, Product};

use super::Row;
use super::columns::projection;

projection! {
    /// Products.
    fn apply_products(row: &Row<Product>) into "products" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "created" "timestamptz" = row.object.created;
        "name" "text" = row.object.name.as_deref();
        "description" "text" = row.object.description.as_deref();
        "active" "boolean" = row.object.active;
        "default_price_id" "text" = row.object.default_price_id.as_deref();
        "deleted" "boolean" = row.head.deleted;
        "metadata" "jsonb" = row.object.metadata.as_str();
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}

projection! {
    /// Prices.
    fn apply_prices(row: &Row<Price>) into "prices" key "account, id" {
        "account" "text" = row.head.key.account.as_str();
        "id" "text" = row.head.key.id.as_str();
        "livemode" "boolean" = row.head.livemode;
        "created" "timestamptz" = row.object.created;
        "product_id" "text" = row.object.product_id.as_deref();
        "active" "boolean" = row.object.active;
        "price_type" "text" = row.object.price_type.as_deref();
        "currency" "text" = row.object.currency.as_deref();
        "unit_amount" "bigint" = row.object.unit_amount;
        "unit_amount_decimal" "text" = row.object.unit_amount_decimal.as_deref();
        "recurring_interval" "text" = row.object.recurring_interval.as_deref();
        "recurring_interval_count" "bigint" = row.object.recurring_interval_count;
        "lookup_key" "text" = row.object.lookup_key.as_deref();
        "nickname" "text" = row.object.nickname.as_deref();
        "deleted" "boolean" = row.head.deleted;
        "metadata" "jsonb" = row.object.metadata.as_str();
        "event_id" "text" = row.head.version.event_id.as_str();
        "event_created" "timestamptz" = row.head.version.created;
    }
}
