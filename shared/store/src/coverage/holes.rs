//! Holes: events that Stripe had and we had not. And what of a page of Stripe's list is in the inbox.

use std::collections::HashMap;

use domain::coverage::Held;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::ASKED_FOR;
use crate::upsert::column;
use crate::{Store, StoreError};

/// An event that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownEvent {
    /// What became of it.
    pub held: Held,
    /// Whether an endpoint of ours received it.
    pub has_arrived: bool,
}

/// A hole, as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHole {
    /// `evt_...`
    pub event_id: String,
    /// Such as `invoice.paid`.
    pub event_type: String,
    /// When it happened, unix seconds.
    pub created: i64,
}

/// A hole. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// `evt_...`
    pub event_id: String,
    /// Such as `invoice.paid`.
    pub event_type: String,
    /// When it happened, by Stripe.
    pub created: i64,
    /// When it was found missing.
    pub found_at: i64,
    /// How often it was put into the queue.
    pub tries: i32,
    /// Why it is still open.
    pub last_error: Option<String>,
    /// Since when it is in the inbox.
    pub filled_at: Option<i64>,
    /// When Stripe did not have it any more.
    pub gone_at: Option<i64>,
}

/// What became of a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoleState {
    /// It is to be filled in.
    Open,
    /// The event is in the inbox.
    Filled,
    /// Nobody can fill it: Stripe does not have the event any more.
    Gone,
}

impl HoleState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Filled, Self::Gone];
    /// Those whose events are not here.
    pub const UNFILLED: [Self; 2] = [Self::Open, Self::Gone];

    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Filled => "filled",
            Self::Gone => "gone",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl Hole {
    /// What became of it.
    #[must_use]
    pub fn state(&self) -> HoleState {
        match (self.filled_at, self.gone_at) {
            (Some(_), _) => HoleState::Filled,
            (None, Some(_)) => HoleState::Gone,
            (None, None) => HoleState::Open,
        }
    }
}

/// Which holes: those that fit all that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HoleFilter<'a> {
    /// Connected account; empty for the platform's own.
    pub account: &'a str,
    /// What became of them; none is whatever did.
    pub states: &'a [HoleState],
    /// The event.
    pub event_id: Option<&'a str>,
    /// Its type.
    pub event_type: Option<&'a str>,
    /// Behind this one: when it was found (unix seconds), and its event.
    pub after: Option<(i64, &'a str)>,
}

/// What was set aside may have no row in the inbox.
const KNOWN: &str = "
    SELECT w.id, coalesce(e.status, 'parked'),
           coalesce(e.endpoint <> $3, true) OR EXISTS (
               SELECT FROM redeliveries r WHERE (r.account, r.event_id) = ($1, w.id) AND r.endpoint <> $3)
    FROM unnest($2::text[]) AS w (id)
    LEFT JOIN events e ON (e.account, e.id) = ($1, w.id)
    WHERE e.id IS NOT NULL OR EXISTS (SELECT FROM parked_events p WHERE (p.account, p.event_id) = ($1, w.id))";

/// Those that are in the inbox by now are filled.
const SETTLE: &str = "
    UPDATE coverage_holes h SET filled_at = clock_timestamp(), last_error = NULL
    FROM (SELECT event_id FROM coverage_holes WHERE account = $1 AND filled_at IS NULL AND gone_at IS NULL ORDER BY created LIMIT $2) AS open
    WHERE (h.account, h.event_id) = ($1, open.event_id) AND (
        EXISTS (SELECT FROM events e WHERE (e.account, e.id) = ($1, h.event_id))
        OR EXISTS (SELECT FROM parked_events p WHERE (p.account, p.event_id) = ($1, h.event_id)))";

const COLUMNS: &str =
    "event_id, type, extract(epoch FROM created)::bigint, floor(extract(epoch FROM found_at))::bigint, tries,
    last_error, extract(epoch FROM filled_at)::bigint, extract(epoch FROM gone_at)::bigint";

impl Store {
    /// Which of these events are here, and what became of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_of(
        &self,
        account: &str,
        ids: &[&str],
    ) -> Result<HashMap<String, KnownEvent>, StoreError> {
        let rows = sqlx::query(KNOWN)
            .bind(account)
            .bind(ids)
            .bind(ASKED_FOR)
            .fetch_all(self.pool())
            .await?;
        let known = |row: &PgRow| {
            let status: String = row.try_get(1)?;
            let held = match status.as_str() {
                "applied" => Held::Applied,
                "ignored" => Held::Ignored,
                _ => Held::Parked,
            };
            let has_arrived = row.try_get(2)?;
            Ok((row.try_get(0)?, KnownEvent { held, has_arrived }))
        };
        let known: Result<_, sqlx::Error> = rows.iter().map(known).collect();
        Ok(known?)
    }

    /// Writes holes down; returns how many of them are new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_holes(&self, account: &str, holes: &[NewHole]) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "INSERT INTO coverage_holes (account, event_id, type, created)
             SELECT $1, w.id, w.type, to_timestamp(w.created)
             FROM unnest($2::text[], $3::text[], $4::bigint[]) AS w (id, type, created)
             ON CONFLICT (account, event_id) DO NOTHING",
        )
        .bind(account)
        .bind(column!(holes, hole => hole.event_id.as_str()))
        .bind(column!(holes, hole => hole.event_type.as_str()))
        .bind(column!(holes, hole => hole.created))
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected())
    }

    /// Holes were put into the queue, or could not be.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holes_tried(
        &self,
        account: &str,
        ids: &[&str],
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE coverage_holes SET tries = tries + 1, tried_at = clock_timestamp(), last_error = $3
             WHERE account = $1 AND event_id = ANY($2)",
        )
        .bind(account)
        .bind(ids)
        .bind(error)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Stripe does not have it any more: it stays a hole, and nobody tries again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hole_is_gone(&self, account: &str, id: &str, error: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE coverage_holes SET gone_at = clock_timestamp(), last_error = $3
             WHERE (account, event_id) = ($1, $2)",
        )
        .bind(account)
        .bind(id)
        .bind(error)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Finds out which holes are filled, of so many, the oldest first; returns how many are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn settle_holes(&self, account: &str, limit: u32) -> Result<u64, StoreError> {
        let done = sqlx::query(SETTLE).bind(account).bind(i64::from(limit));
        Ok(done.execute(self.pool()).await?.rows_affected())
    }

    /// Holes that nobody has tried to fill for so many seconds, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_holes(
        &self,
        account: &str,
        seconds: i64,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let ids = sqlx::query_scalar(
            "SELECT event_id FROM coverage_holes
             WHERE account = $1 AND filled_at IS NULL AND gone_at IS NULL
               AND (tried_at IS NULL OR tried_at < clock_timestamp() - $2 * interval '1 second')
             ORDER BY created LIMIT $3",
        );
        let ids = ids.bind(account).bind(seconds).bind(i64::from(limit));
        Ok(ids.fetch_all(self.pool()).await?)
    }

    /// When the first event happened that is to be filled in, unix seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn first_hole(&self, account: &str) -> Result<Option<i64>, StoreError> {
        let first = sqlx::query_scalar(
            "SELECT extract(epoch FROM created)::bigint FROM coverage_holes
             WHERE account = $1 AND filled_at IS NULL AND gone_at IS NULL ORDER BY created LIMIT 1",
        );
        Ok(first.bind(account).fetch_optional(self.pool()).await?)
    }
}

pub(crate) async fn find(
    connection: &mut PgConnection,
    filter: HoleFilter<'_>,
    limit: u32,
) -> Result<Vec<Hole>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM coverage_holes
         WHERE account = $1
           AND ($2 = '{{}}' OR CASE WHEN filled_at IS NOT NULL THEN 'filled' WHEN gone_at IS NOT NULL THEN 'gone'
                                    ELSE 'open' END = ANY ($2))
           AND ($6::text IS NULL OR event_id = $6) AND ($7::text IS NULL OR type = $7)
           AND ($3::bigint IS NULL OR (floor(extract(epoch FROM found_at))::bigint, event_id) < ($3, $4))
         ORDER BY floor(extract(epoch FROM found_at))::bigint DESC, event_id DESC LIMIT $5"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(filter.account)
        .bind(filter.states.iter().map(|it| it.as_str()).collect::<Vec<_>>())
        .bind(filter.after.map(|(at, _)| at))
        .bind(filter.after.map(|(_, id)| id))
        .bind(i64::from(limit))
        .bind(filter.event_id)
        .bind(filter.event_type)
        .fetch_all(connection)
        .await?;
    rows.iter().map(hole).collect()
}

fn hole(row: &PgRow) -> Result<Hole, sqlx::Error> {
    Ok(Hole {
        event_id: row.try_get(0)?,
        event_type: row.try_get(1)?,
        created: row.try_get(2)?,
        found_at: row.try_get(3)?,
        tries: row.try_get(4)?,
        last_error: row.try_get(5)?,
        filled_at: row.try_get(6)?,
        gone_at: row.try_get(7)?,
    })
}
