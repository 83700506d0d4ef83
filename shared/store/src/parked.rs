//! Events set aside for a person.

use domain::Class;
use sqlx::PgConnection;

use crate::upsert::upsert;

/// A row of `parked_events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRow {
    /// Id in the Redis stream.
    pub entry_id: String,
    /// Whose event, when it is one.
    pub account: Option<String>,
    /// Which event, when it is one.
    pub event_id: Option<String>,
    /// Its type, when it is one.
    pub event_type: Option<String>,
    /// Who must act.
    pub class: Class,
    /// A word from a closed set.
    pub reason: &'static str,
    /// Equal for failures with one cause.
    pub fingerprint: String,
    /// For people; never the body.
    pub detail: String,
    /// How often the entry was given to a worker.
    pub deliveries: u32,
    /// The entry's fields as JSON text, when there is no row in `events`.
    pub entry: Option<Vec<u8>>,
}

upsert! {
    /// Keeps why events were set aside. An entry that comes again keeps its newest reason.
    fn write(row: &ParkedRow) into "parked_events" key "entry_id" {
        "entry_id" "text" = row.entry_id.as_str();
        "account" "text" = row.account.as_deref();
        "event_id" "text" = row.event_id.as_deref();
        "event_type" "text" = row.event_type.as_deref();
        "class" "text" = row.class.as_str();
        "reason" "text" = row.reason;
        "fingerprint" "text" = row.fingerprint.as_str();
        "detail" "text" = row.detail.as_str();
        "deliveries" "integer" = i32::try_from(row.deliveries).unwrap_or(i32::MAX);
        "entry" "bytea" = row.entry.as_deref();
    }
}

/// Marks admitted events as parked: they were about to be applied when they proved to be the culprit.
pub(crate) async fn park(connection: &mut PgConnection, rows: &[ParkedRow]) -> Result<(), sqlx::Error> {
    write(connection, rows).await
}
