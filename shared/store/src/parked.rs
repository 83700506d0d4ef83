//! Events set aside for a person.

use domain::Class;
use sqlx::PgConnection;

use crate::dead::LetterState;
use crate::upsert::upsert;

/// A row of `parked_events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRow {
    /// Whose event; empty for the platform's own, and for what is no event.
    pub account: String,
    /// The event's id; of what has no row in `events`, a hash. With the account it is the key.
    pub id: String,
    /// Id in the Redis stream.
    pub entry_id: String,
    /// Which event, when it is one.
    pub event_id: Option<String>,
    /// Its type, when it is one.
    pub event_type: Option<String>,
    /// Whose object it is about, when it says so.
    pub customer_id: Option<String>,
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
    /// The body, or the entry's fields as JSON text, when there is no row in `events`.
    pub entry: Option<Vec<u8>>,
    /// The endpoint of ours that received it, when it is an event.
    pub endpoint: Option<String>,
    /// When, unix seconds.
    pub received_at: Option<i64>,
    /// Why it was not for this installation, when it was not.
    pub mismatch: Option<&'static str>,
    /// The trace context it came with.
    pub traceparent: Option<String>,
}

upsert! {
    /// Keeps why events were set aside. One that comes again, or fails again, keeps its newest reason, and waits again.
    fn write(row: &ParkedRow) into "parked_events" key "account, id" {
        "account" "text" = row.account.as_str();
        "id" "text" = row.id.as_str();
        "state" "text" = state_of(row).as_str();
        "entry_id" "text" = row.entry_id.as_str();
        "event_id" "text" = row.event_id.as_deref();
        "event_type" "text" = row.event_type.as_deref();
        "customer_id" "text" = row.customer_id.as_deref();
        "class" "text" = row.class.as_str();
        "reason" "text" = row.reason;
        "fingerprint" "text" = row.fingerprint.as_str();
        "detail" "text" = row.detail.as_str();
        "deliveries" "integer" = i32::try_from(row.deliveries).unwrap_or(i32::MAX);
        "entry" "bytea" = row.entry.as_deref();
        "endpoint" "text" = row.endpoint.as_deref();
        "received_at" "timestamptz" = row.received_at;
        "mismatch" "text" = row.mismatch;
        "traceparent" "text" = row.traceparent.as_deref();
    }
}

/// Whatever it was before: it has just been set aside.
fn state_of(_: &ParkedRow) -> LetterState {
    LetterState::Waiting
}

/// Marks admitted events as parked: they were about to be applied when they proved to be the culprit.
pub(crate) async fn park(connection: &mut PgConnection, rows: &[ParkedRow]) -> Result<(), sqlx::Error> {
    write(connection, rows).await
}
