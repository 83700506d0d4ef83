//! What running a letter again would change, row by row: the rows it has to do with, looked at before and after, within
//! a transaction that is taken back. What follows later from marks (users, credits) is not among them.

use std::collections::BTreeMap;

use domain::{Kind, ObjectKey};
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, PgConnection};

use super::ToReplay;
use crate::{StoreError, Tx};

/// Rows by table and key.
pub type Rows = BTreeMap<(&'static str, String), Map<String, Value>>;

/// A row that would be another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// Its table.
    pub table: &'static str,
    /// Its key.
    pub key: String,
    /// Columns that change, with their values before and after; null where there is no row.
    pub columns: BTreeMap<String, (Value, Value)>,
}

/// The table of a kind, and that of its members with the column that names their owner.
fn tables(kind: Kind) -> (&'static str, Option<(&'static str, &'static str)>) {
    match kind {
        Kind::Charge => ("charges", None),
        Kind::CheckoutSession => ("checkout_sessions", None),
        Kind::Customer => ("customers", None),
        Kind::Dispute => ("disputes", None),
        Kind::EntitlementSummary => ("entitlement_summaries", Some(("entitlements", "customer_id"))),
        Kind::Invoice => ("invoices", Some(("invoice_lines", "invoice_id"))),
        Kind::InvoicePayment => ("invoice_payments", None),
        Kind::PaymentIntent => ("payment_intents", None),
        Kind::Price => ("prices", None),
        Kind::Product => ("products", None),
        Kind::Refund => ("refunds", None),
        Kind::Subscription => ("subscriptions", Some(("subscription_items", "subscription_id"))),
    }
}

impl Tx {
    /// The rows that a letter and its object have to do with, as this transaction sees them. Bodies are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rows_of(
        &mut self,
        letter: &ToReplay,
        object: Option<&ObjectKey>,
    ) -> Result<Rows, StoreError> {
        let mut rows = Rows::new();
        let connection: &mut PgConnection = &mut self.0;
        let account = letter.account.as_str();
        for table in ["events", "parked_events"] {
            read(&mut rows, connection, table, "id", &[account, &letter.id]).await?;
        }
        if let Some(object) = object {
            let (table, members) = tables(object.kind);
            let of_kind = [account, &object.id, object.kind.as_str()];
            read(&mut rows, connection, "objects", "id = $2 AND kind", &of_kind).await?;
            read(&mut rows, connection, table, "id", &[account, &object.id]).await?;
            if let Some((table, owner)) = members {
                read(&mut rows, connection, table, owner, &[account, &object.id]).await?;
            }
        }
        Ok(rows)
    }
}

/// Rows of one account whose `column` is the last of `values`.
async fn read(
    rows: &mut Rows,
    connection: &mut PgConnection,
    table: &'static str,
    column: &str,
    values: &[&str],
) -> Result<(), sqlx::Error> {
    let sql = format!(
        "SELECT (to_jsonb(t) - 'body' - 'entry')::text FROM {table} t WHERE account = $1 AND {column} = ${} ORDER BY id",
        values.len()
    );
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
    for value in values {
        query = query.bind(*value);
    }
    let found: Vec<String> = query.fetch_all(connection).await?;
    for text in found {
        let row: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
        let key = row["id"].as_str().unwrap_or_default().to_owned();
        rows.insert((table, key), row);
    }
    Ok(())
}

/// Rows that differ, with the columns that do.
#[must_use]
pub fn changes(before: &Rows, after: &Rows) -> Vec<RowChange> {
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let nothing = Map::new();
    let mut changes = Vec::new();
    for key in keys {
        let (was, is) = (
            before.get(key).unwrap_or(&nothing),
            after.get(key).unwrap_or(&nothing),
        );
        let names: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let value = |row: &Map<String, Value>, name: &String| row.get(name).cloned().unwrap_or_default();
        let columns: BTreeMap<String, (Value, Value)> = names
            .into_iter()
            .map(|name| (name.clone(), (value(was, name), value(is, name))))
            .filter(|(_, (was, is))| was != is)
            .collect();
        if !columns.is_empty() {
            changes.push(RowChange {
                table: key.0,
                key: key.1.clone(),
                columns,
            });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn only_what_differs_is_told() {
        let key = |id: &str| ("customers", id.to_owned());
        let before = Rows::from([
            (key("same"), row(&json!({"id": "same", "email": "a"}))),
            (key("changed"), row(&json!({"id": "changed", "email": "a"}))),
        ]);
        let after = Rows::from([
            (key("same"), row(&json!({"id": "same", "email": "a"}))),
            (key("changed"), row(&json!({"id": "changed", "email": "b"}))),
            (key("new"), row(&json!({"id": "new"}))),
        ]);
        let told: Vec<_> = changes(&before, &after)
            .into_iter()
            .map(|it| (it.key, it.columns))
            .collect();
        let columns = |name: &str, was: Value, is: Value| BTreeMap::from([(name.to_owned(), (was, is))]);
        assert_eq!(
            told,
            [
                ("changed".to_owned(), columns("email", json!("a"), json!("b"))),
                ("new".to_owned(), columns("id", Value::Null, json!("new"))),
            ]
        );
    }
}
