//! Carrying a job out: what the letters hold, and what has become of them, all in the transaction that does it.

use std::collections::HashSet;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::letters::Direction;
use super::{Cursor, Dead, Filter, Job};
use crate::upsert::column;
use crate::{Store, StoreError, Tx};

/// A letter, with what it takes to run it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToReplay {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// Its id.
    pub id: String,
    /// Where it stands in its job.
    pub cursor: Cursor,
    /// Id in the Redis stream.
    pub entry_id: String,
    /// The endpoint of ours that received it.
    pub endpoint: String,
    /// When ingest accepted it, unix milliseconds.
    pub received_at_ms: i64,
    /// Why it was not for this installation, when it was not.
    pub mismatch: Option<String>,
    /// Whether Stripe's API showed it, and no event.
    pub is_fetched: bool,
    /// The trace context it came with first.
    pub traceparent: Option<String>,
    /// What there is of it.
    pub body: Body,
}

/// What there is of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// An event, byte by byte.
    Event(Vec<u8>),
    /// The fields of an entry that was no event, as JSON.
    Fields(Vec<u8>),
}

/// What became of a letter that was run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its snapshot took part in deciding what stands.
    Applied,
    /// It changes nothing, for a reason.
    Ignored,
    /// It was set aside again, and waits as before.
    Parked,
    /// The event had taken effect meanwhile.
    Duplicate,
}

impl Outcome {
    /// The word in tables and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Ignored => "ignored",
            Self::Parked => "parked",
            Self::Duplicate => "duplicate",
        }
    }
}

/// A letter that was run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed<'a> {
    /// Which.
    pub letter: &'a ToReplay,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it still waits under its own id.
    pub waits: bool,
}

/// How far a job has come by a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The job.
    pub job: i64,
    /// Whose it has to be still.
    pub lease: &'a str,
    /// For how long from now, seconds.
    pub lease_seconds: i64,
    /// The last letter that was looked at; none when there are no more.
    pub after: Option<&'a Cursor>,
    /// See [`Job`].
    pub done: u64,
    /// See [`Job`].
    pub failed: u64,
    /// See [`Job`].
    pub skipped: u64,
}

const BODIES: &str = "
    SELECT p.account, p.id, p.entry_id, coalesce(e.endpoint, p.endpoint, ''),
           (extract(epoch FROM coalesce(e.received_at, p.received_at, p.parked_at)) * 1000)::bigint, p.mismatch,
           coalesce(e.rendering = 'fetched', false), p.event_id IS NOT NULL, p.entry, e.body,
           p.traceparent
    FROM parked_events p
    LEFT JOIN events e ON (e.account, e.id) = (p.account, p.event_id) AND p.entry IS NULL
    WHERE p.account = $1 AND p.id = ANY($2)";

impl Store {
    /// The next letters of a job, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn letters_of(&self, job: &Job, limit: u32) -> Result<Vec<ToReplay>, StoreError> {
        let mut tx = self.begin().await?;
        tx.dead().to_replay(&job.filter, job.after.as_ref(), limit).await
    }
}

impl Dead<'_> {
    /// Letters, the oldest first, with what it takes to run them again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn to_replay(
        &mut self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Vec<ToReplay>, StoreError> {
        let letters = self.page(filter, after, limit, Direction::OldestFirst).await?;
        let rows = sqlx::query(BODIES)
            .bind(&filter.account)
            .bind(column!(letters, letter => letter.id.as_str()))
            .fetch_all(&mut *self.0)
            .await?;
        let mut found = Vec::with_capacity(letters.len());
        for letter in letters {
            // Rows are few, and a letter cannot go away.
            for row in &rows {
                if row.try_get::<&str, _>(1)? == letter.id {
                    found.push(to_replay(row, letter.parked_us)?);
                }
            }
        }
        Ok(found)
    }
}

fn to_replay(row: &PgRow, parked_us: i64) -> Result<ToReplay, sqlx::Error> {
    let id: String = row.try_get(1)?;
    let kept: Option<Vec<u8>> = row.try_get(8)?;
    let body: Option<String> = row.try_get(9)?;
    let is_event: bool = row.try_get(7)?;
    let bytes = kept.or(body.map(String::into_bytes)).unwrap_or_default();
    Ok(ToReplay {
        account: row.try_get(0)?,
        cursor: Cursor {
            at_us: parked_us,
            id: id.clone(),
        },
        id,
        entry_id: row.try_get(2)?,
        endpoint: row.try_get(3)?,
        received_at_ms: row.try_get(4)?,
        mismatch: row.try_get(5)?,
        is_fetched: row.try_get(6)?,
        traceparent: row.try_get(10)?,
        body: if is_event {
            Body::Event(bytes)
        } else {
            Body::Fields(bytes)
        },
    })
}

impl Tx {
    /// Locks letters, and says which of them still are in the state a job is about.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_letters(
        &mut self,
        filter: &Filter,
        letters: &[&ToReplay],
    ) -> Result<HashSet<String>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM parked_events WHERE account = $1 AND id = ANY($2) AND state = $3 ORDER BY id FOR UPDATE",
        )
        .bind(&filter.account)
        .bind(column!(letters, letter => letter.id.as_str()))
        .bind(filter.state.as_str())
        .fetch_all(&mut *self.0)
        .await?;
        Ok(ids.into_iter().collect())
    }

    /// Writes down what became of letters that were run again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replayed(&mut self, job: i64, letters: &[Replayed<'_>]) -> Result<(), StoreError> {
        if letters.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "UPDATE parked_events p
             SET replays = p.replays + 1, changed_at = clock_timestamp(),
                 state = CASE WHEN it.waits THEN 'waiting' ELSE 'replayed' END
             FROM unnest($1::text[], $2::text[], $3::boolean[]) AS it (account, id, waits)
             WHERE (p.account, p.id) = (it.account, it.id)",
        )
        .bind(column!(letters, it => it.letter.account.as_str()))
        .bind(column!(letters, it => it.letter.id.as_str()))
        .bind(column!(letters, it => it.waits))
        .execute(&mut *self.0)
        .await?;
        let deeds = letters.iter().map(|it| {
            (
                it.letter.account.as_str(),
                it.letter.id.as_str(),
                it.outcome.as_str(),
            )
        });
        Ok(write_deeds(&mut self.0, job, &deeds.collect::<Vec<_>>()).await?)
    }

    /// Discards the next letters of a job, at most `limit`. Returns how many there were, how many of them nobody else was
    /// quicker with, and the last one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn discard_next(
        &mut self,
        job: &Job,
        limit: u32,
    ) -> Result<(u64, u64, Option<Cursor>), StoreError> {
        let letters = self
            .dead()
            .page(&job.filter, job.after.as_ref(), limit, Direction::OldestFirst)
            .await?;
        let gone: Vec<String> = sqlx::query_scalar(
            "UPDATE parked_events SET state = 'discarded', changed_at = clock_timestamp()
             WHERE account = $1 AND id = ANY($2) AND state = $3 RETURNING id",
        )
        .bind(&job.filter.account)
        .bind(column!(letters, letter => letter.id.as_str()))
        .bind(job.filter.state.as_str())
        .fetch_all(&mut *self.0)
        .await?;
        let deeds = gone
            .iter()
            .map(|id| (job.filter.account.as_str(), id.as_str(), "discarded"));
        write_deeds(&mut self.0, job.id, &deeds.collect::<Vec<_>>()).await?;
        let last = letters.last().map(|letter| Cursor {
            at_us: letter.parked_us,
            id: letter.id.clone(),
        });
        Ok((letters.len() as u64, gone.len() as u64, last))
    }

    /// Moves a job on, in the transaction that did its work. False when it is somebody else's by now, or stopped: then
    /// nothing of the transaction may stay.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn advance_job(&mut self, progress: &Progress<'_>) -> Result<bool, StoreError> {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let done = sqlx::query(
            "UPDATE dead_jobs
             SET done = done + $4, failed = failed + $5, skipped = skipped + $6,
                 after_at = coalesce(timestamptz 'epoch' + $7 * interval '1 microsecond', after_at),
                 after_id = coalesce($8, after_id),
                 state = CASE WHEN $8 IS NULL THEN 'done' ELSE state END,
                 finished_at = CASE WHEN $8 IS NULL THEN clock_timestamp() END,
                 lease = CASE WHEN $8 IS NULL THEN NULL ELSE lease END,
                 leased_until = CASE WHEN $8 IS NOT NULL THEN clock_timestamp() + $3 * interval '1 second' END,
                 attempts = 1
             WHERE id = $1 AND lease = $2 AND state = 'open'",
        )
        .bind(progress.job)
        .bind(progress.lease)
        .bind(progress.lease_seconds)
        .bind(whole(progress.done))
        .bind(whole(progress.failed))
        .bind(whole(progress.skipped))
        .bind(progress.after.map(|after| after.at_us))
        .bind(progress.after.map(|after| after.id.as_str()))
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

async fn write_deeds(
    connection: &mut PgConnection,
    job: i64,
    deeds: &[(&str, &str, &str)],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO dead_deeds (account, letter_id, job_id, outcome)
         SELECT account, id, $4, outcome FROM unnest($1::text[], $2::text[], $3::text[]) AS deed (account, id, outcome)
         ON CONFLICT DO NOTHING",
    )
    .bind(column!(deeds, it => it.0))
    .bind(column!(deeds, it => it.1))
    .bind(column!(deeds, it => it.2))
    .bind(job)
    .execute(connection)
    .await?;
    Ok(())
}
