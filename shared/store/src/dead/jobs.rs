//! Jobs: what somebody wants to become of dead letters. A row says which letters, why, and how far it is.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::letters::Direction;
use super::{Cursor, Dead, Filter, IDS_MAX, LetterState, count};
use crate::{Store, StoreError};

/// What is to become of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Run them again.
    Replay,
    /// Let nobody wait for them any more. They are kept.
    Discard,
}

impl Deed {
    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }

    /// The word in the audit log.
    #[must_use]
    pub fn audited(self) -> &'static str {
        match self {
            Self::Replay => "dead_letters.replay",
            Self::Discard => "dead_letters.discard",
        }
    }
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// A worker is at it, or will be.
    Open,
    /// Every letter was looked at.
    Done,
    /// Somebody stopped it.
    Stopped,
}

impl JobState {
    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Stopped => "stopped",
        }
    }
}

/// A job to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    /// What is to be done.
    pub deed: Deed,
    /// With which letters. What is parked after the job was made is not among them.
    pub filter: &'a Filter,
    /// Letters a second, at most.
    pub rate: Option<u32>,
    /// Why, in the actor's words; never empty.
    pub why: &'a str,
    /// Who asks.
    pub actor: &'a str,
    /// How many letters there are.
    pub counted: u64,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Names it.
    pub id: i64,
    /// What is to be done.
    pub deed: Deed,
    /// With which letters.
    pub filter: Filter,
    /// Letters a second, at most.
    pub rate: Option<u32>,
    /// Why.
    pub why: String,
    /// Who asked.
    pub actor: String,
    /// How many letters there were when it was made.
    pub counted: u64,
    /// Letters it is done with: run again, or discarded.
    pub done: u64,
    /// Letters that were run again, and set aside again.
    pub failed: u64,
    /// Letters somebody else was quicker with.
    pub skipped: u64,
    /// The last letter it looked at.
    pub after: Option<Cursor>,
    /// Where it is.
    pub state: JobState,
    /// How often its next letters were begun with, this time included.
    pub attempts: u32,
    /// When it was made, unix microseconds.
    pub created_us: i64,
    /// When it ended, unix microseconds.
    pub finished_us: Option<i64>,
}

/// An id that no letter has: for a job about none.
const NO_LETTER: &str = "";

const COLUMNS: &str = "id, deed, account, of_state, ids, fingerprint, event_type, reason,
    (extract(epoch FROM since) * 1000000)::bigint, (extract(epoch FROM until) * 1000000)::bigint, rate, why, actor,
    counted, done, failed, skipped, (extract(epoch FROM after_at) * 1000000)::bigint, after_id, state, attempts,
    (extract(epoch FROM created_at) * 1000000)::bigint, (extract(epoch FROM finished_at) * 1000000)::bigint";

/// What was parked later is not part of a job: so it ends, and nothing goes round in circles.
const OPEN: &str = "
    INSERT INTO dead_jobs (account, deed, of_state, ids, fingerprint, event_type, reason, since, until, rate, why, actor,
                           counted)
    VALUES ($1, $2, $3, $4, $5, $6, $7, timestamptz 'epoch' + $8 * interval '1 microsecond',
            least(timestamptz 'epoch' + $9 * interval '1 microsecond', clock_timestamp()), $10, $11, $12, $13)
    RETURNING ";

/// The oldest job nobody is at. Whoever takes it says so before it begins: should it die, the next one knows.
const CLAIM: &str = "
    UPDATE dead_jobs SET lease = $1, leased_until = clock_timestamp() + $2 * interval '1 second', attempts = attempts + 1
    WHERE id = (SELECT id FROM dead_jobs
                WHERE state = 'open' AND (leased_until IS NULL OR leased_until < clock_timestamp())
                ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING ";

impl Dead<'_> {
    /// Makes a job. A worker finds it. Of a customer it takes the oldest [`IDS_MAX`] letters.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_job(&mut self, new: NewJob<'_>) -> Result<Job, StoreError> {
        let filter = new.filter;
        let of_customer = self.of_customer(filter).await?;
        let counted = of_customer.as_ref().map_or(new.counted, |ids| ids.len() as u64);
        let ids = match of_customer {
            None => filter.ids.clone(),
            // None named would be all.
            Some(ids) if ids.is_empty() => vec![NO_LETTER.to_owned()],
            Some(ids) => ids,
        };
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{OPEN}{COLUMNS}")))
            .bind(&filter.account)
            .bind(new.deed.as_str())
            .bind(filter.state.as_str())
            .bind(&ids)
            .bind(&filter.fingerprint)
            .bind(&filter.event_type)
            .bind(&filter.reason)
            .bind(filter.since_us)
            .bind(filter.until_us)
            .bind(new.rate.map(|rate| i32::try_from(rate).unwrap_or(i32::MAX)))
            .bind(new.why)
            .bind(new.actor)
            .bind(i64::try_from(counted).unwrap_or(i64::MAX))
            .fetch_one(&mut *self.0)
            .await?;
        Ok(job(&row)?)
    }

    /// A customer's letters are looked up when the job is made, and named in it one by one: a job that named the customer
    /// would be about all letters there are to a worker of an older build. `None` when no customer is named.
    async fn of_customer(&mut self, filter: &Filter) -> Result<Option<Vec<String>>, StoreError> {
        if filter.customer.is_none() {
            return Ok(None);
        }
        let most = u32::try_from(IDS_MAX).unwrap_or(u32::MAX);
        let letters = self.page(filter, None, most, Direction::OldestFirst).await?;
        Ok(Some(letters.into_iter().map(|letter| letter.id).collect()))
    }

    /// A job, by its id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job(&mut self, account: &str, id: i64) -> Result<Option<Job>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM dead_jobs WHERE account = $1 AND id = $2"
        )))
        .bind(account)
        .bind(id)
        .fetch_optional(&mut *self.0)
        .await?;
        Ok(row.as_ref().map(job).transpose()?)
    }

    /// Jobs, the newest first, at most `limit`: those before `before`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn jobs(
        &mut self,
        account: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM dead_jobs WHERE account = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
        )))
        .bind(account)
        .bind(before.unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(&mut *self.0)
        .await?;
        Ok(rows.iter().map(job).collect::<Result<_, _>>()?)
    }

    /// Stops a job; false when it is not open. What it has done stays done.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stop_job(&mut self, account: &str, id: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE dead_jobs SET state = 'stopped', finished_at = clock_timestamp(), lease = NULL, leased_until = NULL
             WHERE account = $1 AND id = $2 AND state = 'open'",
        )
        .bind(account)
        .bind(id)
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}

impl Store {
    /// Takes the oldest job nobody is at, for so many seconds, under a word of the taker's own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_job(&self, lease: &str, seconds: i64) -> Result<Option<Job>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{CLAIM}{COLUMNS}")))
            .bind(lease)
            .bind(seconds)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.as_ref().map(job).transpose()?)
    }

    /// Gives a job back unharmed: it goes on with whoever comes next.
    ///
    /// # Errors
    /// [`StoreError`]; the lease then runs out.
    pub async fn release_job(&self, id: i64, lease: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE dead_jobs SET lease = NULL, leased_until = NULL, attempts = greatest(attempts - 1, 0)
             WHERE id = $1 AND lease = $2",
        )
        .bind(id)
        .bind(lease)
        .execute(self.pool())
        .await?;
        Ok(())
    }
}

fn job(row: &PgRow) -> Result<Job, sqlx::Error> {
    let strange = |text: &str| sqlx::Error::Decode(format!("dead_jobs holds {text:?}").into());
    let (deed, of_state, state): (String, String, String) =
        (row.try_get(1)?, row.try_get(3)?, row.try_get(19)?);
    let after_us: Option<i64> = row.try_get(17)?;
    let after_id: Option<String> = row.try_get(18)?;
    Ok(Job {
        id: row.try_get(0)?,
        deed: [Deed::Replay, Deed::Discard]
            .into_iter()
            .find(|it| it.as_str() == deed)
            .ok_or_else(|| strange(&deed))?,
        filter: Filter {
            account: row.try_get(2)?,
            state: LetterState::parse(&of_state).ok_or_else(|| strange(&of_state))?,
            ids: row.try_get(4)?,
            fingerprint: row.try_get(5)?,
            event_type: row.try_get(6)?,
            reason: row.try_get(7)?,
            customer: None,
            since_us: row.try_get(8)?,
            until_us: row.try_get(9)?,
        },
        rate: row
            .try_get::<Option<i32>, _>(10)?
            .and_then(|rate| u32::try_from(rate).ok()),
        why: row.try_get(11)?,
        actor: row.try_get(12)?,
        counted: count(row, 13)?,
        done: count(row, 14)?,
        failed: count(row, 15)?,
        skipped: count(row, 16)?,
        after: after_us.zip(after_id).map(|(at_us, id)| Cursor { at_us, id }),
        state: [JobState::Open, JobState::Done, JobState::Stopped]
            .into_iter()
            .find(|it| it.as_str() == state)
            .ok_or_else(|| strange(&state))?,
        attempts: u32::try_from(row.try_get::<i32, _>(20)?).unwrap_or(0),
        created_us: row.try_get(21)?,
        finished_us: row.try_get(22)?,
    })
}
