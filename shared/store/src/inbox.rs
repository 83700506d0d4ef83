//! The inbox: every event once, for ever. What is in it has taken effect.

use std::collections::HashSet;
use std::sync::LazyLock;

use domain::Contest;
use sqlx::{AssertSqlSafe, PgConnection, Row, SqlSafeStr};

use crate::upsert::{column, insert_from_arrays};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Its snapshot took part in deciding what stands.
    Applied,
    /// Kept, changes nothing; the reason says why.
    Ignored,
    /// Set aside for a person.
    Parked,
}

impl Status {
    /// The word used in tables, metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Ignored => "ignored",
            Self::Parked => "parked",
        }
    }
}

/// An event's identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// `evt_...`
    pub id: String,
}

/// A row of `events`. Times are unix seconds unless the name says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns are documented where the table is made: migrations/0001_events.sql"
)]
pub struct InboxRow<'a> {
    pub key: EventKey,
    pub event_type: &'a str,
    pub rendering: &'static str,
    pub created: i64,
    pub livemode: bool,
    pub api_version: Option<&'a str>,
    pub object_type: Option<&'a str>,
    pub object_id: Option<&'a str>,
    pub endpoint: &'a str,
    pub received_at_ms: i64,
    pub status: Status,
    pub reason: Option<&'a str>,
    /// Must be UTF-8 without NUL; ingest lets nothing else through.
    pub body: &'a str,
    pub entry_id: String,
    /// `None` where it was not the queue that brought the event, but somebody who ran it again.
    pub attempt: Option<Attempt>,
}

/// A worker's attempt at an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When it began, unix milliseconds.
    pub began_at_ms: i64,
    /// How often the entry was given to a worker, this time included.
    pub deliveries: u32,
}

/// One more delivery of an event that is in the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redelivery<'a> {
    /// Which event.
    pub key: EventKey,
    /// The entry that brought it.
    pub entry_id: String,
    /// The endpoint of ours that received it.
    pub endpoint: &'a str,
    /// When, unix milliseconds.
    pub received_at_ms: i64,
}

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let insert = insert_from_arrays(
        "events",
        &[
            ("account", "text"),
            ("id", "text"),
            ("type", "text"),
            ("rendering", "text"),
            ("created", "timestamptz"),
            ("livemode", "boolean"),
            ("api_version", "text"),
            ("object_type", "text"),
            ("object_id", "text"),
            ("endpoint", "text"),
            ("received_at", "timestamptz"),
            ("status", "text"),
            ("reason", "text"),
            ("body", "text"),
            ("entry_id", "text"),
            ("begun_at", "timestamptz"),
            ("deliveries", "integer"),
        ],
    );
    // Milliseconds matter here: this is where latency is counted from.
    let insert = insert
        .replace("to_timestamp(received_at)", "to_timestamp(received_at / 1000.0)")
        .replace("$11::bigint[]", "$11::double precision[]")
        .replace("to_timestamp(begun_at)", "to_timestamp(begun_at / 1000.0)")
        .replace("$16::bigint[]", "$16::double precision[]");
    // Two endpoints may receive one event, of which only one is meant to: then that one decides, whoever was first.
    format!(
        "{insert} ON CONFLICT (account, id) DO UPDATE
         SET type = EXCLUDED.type, rendering = EXCLUDED.rendering, created = EXCLUDED.created,
             livemode = EXCLUDED.livemode, api_version = EXCLUDED.api_version, object_type = EXCLUDED.object_type,
             object_id = EXCLUDED.object_id, endpoint = EXCLUDED.endpoint, received_at = EXCLUDED.received_at,
             settled_at = clock_timestamp(), status = EXCLUDED.status, reason = EXCLUDED.reason,
             body = EXCLUDED.body, entry_id = EXCLUDED.entry_id,
             begun_at = coalesce(EXCLUDED.begun_at, events.begun_at),
             deliveries = coalesce(EXCLUDED.deliveries, events.deliveries)
         WHERE (events.reason = ANY($18) AND NOT coalesce(EXCLUDED.reason = ANY($18), false))
            OR ($19 AND events.status = 'parked')
         RETURNING account, id"
    )
});

/// Which events that are in the inbox already give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readmit {
    /// Those that were not meant for us as they came before.
    Mismatched,
    /// Those, and what was set aside: it is run again.
    Parked,
}

/// Inserts those rows whose event is new, or gives way, and returns which these were. Rows must be sorted by key, so
/// that two workers with the same events wait for each other instead of deadlocking, and must not repeat.
pub(crate) async fn admit(
    connection: &mut PgConnection,
    rows: &[InboxRow<'_>],
    mismatches: &[&str],
    readmit: Readmit,
) -> Result<HashSet<EventKey>, sqlx::Error> {
    debug_assert!(rows.is_sorted_by(|a, b| a.key < b.key), "sorted and distinct");
    #[cfg(feature = "planted-bugs")]
    if crate::planted::is_check_then_insert() {
        let new = crate::planted::look_first(connection, rows).await?;
        return insert(
            connection,
            AssertSqlSafe(crate::planted::without_key(&INSERT)),
            &new,
            mismatches,
            readmit,
        )
        .await;
    }
    insert(
        connection,
        AssertSqlSafe(INSERT.as_str()),
        rows,
        mismatches,
        readmit,
    )
    .await
}

async fn insert(
    connection: &mut PgConnection,
    sql: impl SqlSafeStr,
    rows: &[InboxRow<'_>],
    mismatches: &[&str],
    readmit: Readmit,
) -> Result<HashSet<EventKey>, sqlx::Error> {
    let admitted = sqlx::query(sql)
        .bind(column!(rows, row => row.key.account.as_str()))
        .bind(column!(rows, row => row.key.id.as_str()))
        .bind(column!(rows, row => row.event_type))
        .bind(column!(rows, row => row.rendering))
        .bind(column!(rows, row => row.created))
        .bind(column!(rows, row => row.livemode))
        .bind(column!(rows, row => row.api_version))
        .bind(column!(rows, row => row.object_type))
        .bind(column!(rows, row => row.object_id))
        .bind(column!(rows, row => row.endpoint))
        .bind(column!(rows, row => milliseconds(row.received_at_ms)))
        .bind(column!(rows, row => row.status.as_str()))
        .bind(column!(rows, row => row.reason))
        .bind(column!(rows, row => row.body))
        .bind(column!(rows, row => row.entry_id.as_str()))
        .bind(column!(rows, row => row.attempt.map(|it| milliseconds(it.began_at_ms))))
        .bind(column!(rows, row => row.attempt.and_then(|it| i32::try_from(it.deliveries).ok())))
        .bind(mismatches)
        .bind(readmit == Readmit::Parked)
        .fetch_all(connection)
        .await?;
    admitted
        .into_iter()
        .map(|row| {
            Ok(EventKey {
                account: row.try_get(0)?,
                id: row.try_get(1)?,
            })
        })
        .collect()
}

/// Which of these events are there.
pub(crate) async fn known(
    connection: &mut PgConnection,
    keys: &[EventKey],
) -> Result<HashSet<EventKey>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = sqlx::query(
        "SELECT events.account, events.id FROM unnest($1::text[], $2::text[]) AS wanted (account, id)
         JOIN events USING (account, id)",
    )
    .bind(column!(keys, key => key.account.as_str()))
    .bind(column!(keys, key => key.id.as_str()))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(EventKey {
                account: row.try_get(0)?,
                id: row.try_get(1)?,
            })
        })
        .collect()
}

/// Keeps deliveries of events that were there before. An entry that comes again is no new delivery.
pub(crate) async fn redelivered(
    connection: &mut PgConnection,
    rows: &[Redelivery<'_>],
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO redeliveries (account, event_id, entry_id, endpoint, received_at)
         SELECT again.account, again.event_id, again.entry_id, again.endpoint, to_timestamp(again.received_at / 1000.0)
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::double precision[])
              AS again (account, event_id, entry_id, endpoint, received_at)
         JOIN events ON (events.account, events.id) = (again.account, again.event_id)
                    AND events.entry_id IS DISTINCT FROM again.entry_id
         ORDER BY 1, 2, 3
         ON CONFLICT DO NOTHING",
    )
    .bind(column!(rows, row => row.key.account.as_str()))
    .bind(column!(rows, row => row.key.id.as_str()))
    .bind(column!(rows, row => row.entry_id.as_str()))
    .bind(column!(rows, row => row.endpoint))
    .bind(column!(rows, row => milliseconds(row.received_at_ms)))
    .execute(connection)
    .await?;
    Ok(())
}

/// The bodies of all applied events of some objects and seconds, each with the index of its contest.
pub(crate) async fn bodies_of(
    connection: &mut PgConnection,
    contests: &[Contest],
) -> Result<Vec<(usize, String)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT contest.position, events.body
         FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY
              AS contest (account, object_id, created, position)
         JOIN events ON events.account = contest.account AND events.object_id = contest.object_id
                    AND events.created = to_timestamp(contest.created)
         WHERE events.status = 'applied'",
    )
    .bind(column!(contests, contest => contest.key.account.as_str()))
    .bind(column!(contests, contest => contest.key.id.as_str()))
    .bind(column!(contests, contest => contest.created))
    .fetch_all(connection)
    .await?;
    let indexed = |row: &sqlx::postgres::PgRow| {
        let position: i64 = row.try_get(0)?;
        Ok((
            usize::try_from(position - 1).unwrap_or(usize::MAX),
            row.try_get(1)?,
        ))
    };
    rows.iter().map(indexed).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 stay below 2^53 for 285,000 years"
)]
fn milliseconds(value: i64) -> f64 {
    value as f64
}
