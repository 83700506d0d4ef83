//! One event's story: what happened to it when, what it changed as far as rows can tell, and what else happened to the
//! same object.

use shared::queue::StreamId;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::find::{COLUMNS, event_line};
use super::{EventLine, Events};
use crate::StoreError;

/// Most events of the same object that are shown.
const RELATED_MAX: i64 = 20;
/// Most moments of one kind that are shown.
const MOMENTS_MAX: i64 = 100;
/// Most rows of one table that are shown.
const CHANGES_MAX: i64 = 20;

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It happened, at Stripe.
    Created,
    /// Ingest accepted it.
    Received,
    /// Redis had it.
    Queued,
    /// A worker began with it.
    Begun,
    /// It was delivered once more.
    Redelivered,
    /// It was set aside.
    Parked,
    /// It was run again.
    Replayed,
    /// Somebody said that nobody is to wait for it.
    Discarded,
    /// It took effect.
    Applied,
    /// It was kept, and changes nothing.
    Ignored,
}

impl What {
    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Received => "received",
            Self::Queued => "queued",
            Self::Begun => "begun",
            Self::Redelivered => "redelivered",
            Self::Parked => "parked",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
            Self::Applied => "applied",
            Self::Ignored => "ignored",
        }
    }
}

/// Something that happened to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When, unix microseconds.
    pub at_us: i64,
    /// What.
    pub what: What,
    /// More: the endpoint, the reason, the outcome.
    pub detail: String,
}

/// A row that an event had to do with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its table.
    pub table: &'static str,
    /// Its key.
    pub key: String,
    /// How it is today.
    pub today: String,
}

/// One event's story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The event.
    pub event: EventLine,
    /// What happened to it, the oldest first.
    pub moments: Vec<Moment>,
    /// Rows it had to do with.
    pub changes: Vec<Change>,
    /// Other events of the same object, the newest first.
    pub related: Vec<EventLine>,
}

/// An event's way through the queue.
struct Way {
    entry: Option<StreamId>,
    begun_us: Option<i64>,
    deliveries: Option<i32>,
}

/// The columns of a [`Way`].
const WAY: &str = "e.entry_id, (extract(epoch FROM e.begun_at) * 1000000)::bigint, e.deliveries";
/// How many those are.
const WAY_COLUMNS: usize = 3;

/// Everything that is noted about an event with a time, as `(time, what, detail)`.
const MOMENTS: &str = "
    SELECT (extract(epoch FROM at) * 1000000)::bigint, what, detail FROM (
        (SELECT received_at AS at, 'redelivered' AS what, concat('endpoint ', endpoint, ', entry ', entry_id) AS detail
         FROM redeliveries WHERE (account, event_id) = ($1, $2) ORDER BY received_at LIMIT $3)
        UNION ALL
        (SELECT parked_at, 'parked', concat(class, ' ', reason, ', fingerprint ', fingerprint, ', delivery ', deliveries,
                                            ': ', detail)
         FROM parked_events WHERE (account, event_id) = ($1, $2) ORDER BY parked_at LIMIT $3)
        UNION ALL
        (SELECT d.done_at, CASE d.outcome WHEN 'discarded' THEN 'discarded' ELSE 'replayed' END,
                concat(d.outcome, ', job ', d.job_id, ' by ', j.actor, ': ', j.why)
         FROM parked_events p JOIN dead_deeds d ON (d.account, d.letter_id) = (p.account, p.id)
         JOIN dead_jobs j ON j.id = d.job_id
         WHERE (p.account, p.event_id) = ($1, $2) ORDER BY d.done_at LIMIT $3)
    ) AS moments (at, what, detail)";

/// What became of the event's object, and of its credits.
const CHANGES: &str = "
    (SELECT 'objects', o.kind || ' ' || o.id,
            CASE WHEN o.event_id = $2 THEN 'this event stands' ELSE 'event ' || o.event_id || ' stands' END
     FROM objects o WHERE (o.account, o.kind, o.id) = ($1, $3, $4))
    UNION ALL
    (SELECT 'money_sources', m.kind || ' ' || m.id,
            concat(m.granted, ' credits granted, ', m.refunded + m.disputed, ' taken back', ', problem ' || m.problem)
     FROM money_sources m WHERE (m.account, m.kind, m.id) = ($1, $3, $4))
    UNION ALL
    (SELECT 'subscription_states', s.subscription_id, concat(s.state, CASE WHEN s.entitled THEN ', entitled' END)
     FROM subscription_states s WHERE $3 = 'subscription' AND (s.account, s.subscription_id) = ($1, $4))
    UNION ALL
    (SELECT 'ledger_transfers', concat(t.key, ' ', t.seq), concat(t.amount, ' credits, ', t.kind)
     FROM ledger_transfers t WHERE (t.account, t.source_kind, t.source_id) = ($1, $3, $4) ORDER BY t.id LIMIT $5)
    UNION ALL
    (SELECT 'outbox', o.key, o.type
     FROM outbox o WHERE (o.account, o.subject_kind, o.subject_id) = ($1, $3, $4) ORDER BY o.id LIMIT $5)";

impl Events<'_> {
    /// One event's story; `None` when it is not in the inbox.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn story(&mut self, account: &str, id: &str) -> Result<Option<Story>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {WAY}, {COLUMNS} FROM events e WHERE (e.account, e.id) = ($1, $2)"
        )))
        .bind(account)
        .bind(id)
        .fetch_optional(&mut *self.0)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (event, way) = (event_line(&row, WAY_COLUMNS)?, way(&row)?);
        Ok(Some(Story {
            moments: self.moments(&event, &way).await?,
            changes: self.changes(&event).await?,
            related: self.related(&event).await?,
            event,
        }))
    }

    /// An event's body, as Stripe sent it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn body(&mut self, account: &str, id: &str) -> Result<Option<String>, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT body FROM events WHERE (account, id) = ($1, $2)")
                .bind(account)
                .bind(id)
                .fetch_optional(&mut *self.0)
                .await?,
        )
    }

    async fn moments(&mut self, event: &EventLine, way: &Way) -> Result<Vec<Moment>, StoreError> {
        let rows = sqlx::query(MOMENTS)
            .bind(&event.account)
            .bind(&event.id)
            .bind(MOMENTS_MAX)
            .fetch_all(&mut *self.0)
            .await?;
        let mut moments = own_moments(event, way);
        for row in rows {
            let what: String = row.try_get(1)?;
            moments.push(Moment {
                at_us: row.try_get(0)?,
                what: match what.as_str() {
                    "redelivered" => What::Redelivered,
                    "parked" => What::Parked,
                    "discarded" => What::Discarded,
                    _ => What::Replayed,
                },
                detail: row.try_get(2)?,
            });
        }
        moments.sort_by_key(|moment| moment.at_us);
        Ok(moments)
    }

    async fn changes(&mut self, event: &EventLine) -> Result<Vec<Change>, StoreError> {
        let (Some(kind), Some(object)) = (&event.object_type, &event.object_id) else {
            return Ok(Vec::new());
        };
        let rows = sqlx::query(CHANGES)
            .bind(&event.account)
            .bind(&event.id)
            .bind(kind)
            .bind(object)
            .bind(CHANGES_MAX)
            .fetch_all(&mut *self.0)
            .await?;
        let change = |row: &PgRow| {
            let table: String = row.try_get(0)?;
            Ok(Change {
                table: match table.as_str() {
                    "objects" => "objects",
                    "money_sources" => "money_sources",
                    "ledger_transfers" => "ledger_transfers",
                    "outbox" => "outbox",
                    _ => "subscription_states",
                },
                key: row.try_get(1)?,
                today: row.try_get(2)?,
            })
        };
        Ok(rows.iter().map(change).collect::<Result<_, sqlx::Error>>()?)
    }

    async fn related(&mut self, event: &EventLine) -> Result<Vec<EventLine>, StoreError> {
        let Some(object) = &event.object_id else {
            return Ok(Vec::new());
        };
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM events e WHERE (e.account, e.object_id) = ($1, $2) AND e.id <> $3
             ORDER BY e.created DESC, e.id DESC LIMIT $4"
        )))
        .bind(&event.account)
        .bind(object)
        .bind(&event.id)
        .bind(RELATED_MAX)
        .fetch_all(&mut *self.0)
        .await?;
        Ok(rows
            .iter()
            .map(|row| event_line(row, 0))
            .collect::<Result<_, _>>()?)
    }
}

fn way(row: &PgRow) -> Result<Way, sqlx::Error> {
    let entry: Option<String> = row.try_get(0)?;
    let entry: Option<StreamId> = entry.and_then(|id| id.parse().ok());
    Ok(Way {
        // Without a time it is none of Redis's.
        entry: entry.filter(|id| id.ms > 0),
        begun_us: row.try_get(1)?,
        deliveries: row.try_get(2)?,
    })
}

/// What the event's way through the queue tells: Redis's clock is in the name of the entry.
fn moments_of(way: &Way) -> impl Iterator<Item = Moment> {
    let queued = way.entry.and_then(|id| {
        Some(Moment {
            at_us: i64::try_from(id.ms).ok()?.checked_mul(1_000)?,
            what: What::Queued,
            detail: format!("shard {}, entry {}", id.shard, id.in_stream()),
        })
    });
    let begun = way.begun_us.map(|at_us| Moment {
        at_us,
        what: What::Begun,
        detail: match way.deliveries {
            Some(attempt) => format!("attempt {attempt}"),
            None => String::new(),
        },
    });
    queued.into_iter().chain(begun)
}

/// What the event's own row tells.
fn own_moments(event: &EventLine, way: &Way) -> Vec<Moment> {
    let mut moments = vec![
        Moment {
            at_us: event.created * 1_000_000,
            what: What::Created,
            detail: event.event_type.clone(),
        },
        Moment {
            at_us: event.received_us,
            what: What::Received,
            detail: format!("endpoint {}", event.endpoint),
        },
    ];
    moments.extend(moments_of(way));
    let settled = match event.status.as_str() {
        "applied" => Some(What::Applied),
        "ignored" => Some(What::Ignored),
        // Told by the letter, which knows more.
        _ => None,
    };
    moments.extend(settled.map(|what| Moment {
        at_us: event.settled_us,
        what,
        detail: event.reason.clone().unwrap_or_default(),
    }));
    moments
}
