//! How far Stripe's list of events was compared with the inbox, account by account. One worker at a time does that,
//! under a lease.

pub(crate) mod holes;

use domain::coverage::{Counts, covered_until};
use domain::silence::{EndpointState, Silence, Verdict};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

pub use holes::{Hole, HoleFilter, HoleState, KnownEvent, NewHole};

use crate::{Store, StoreError};

/// Stands in `events.endpoint` of what no endpoint received, because we asked Stripe for it.
pub const ASKED_FOR: &str = "stripe-api";

/// Whose events are compared: an account of Stripe's, and live or test data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `acct_...` of the platform.
    pub stripe_account: String,
    /// Live or test data.
    pub livemode: bool,
}

/// How far an account is. Times are unix seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// When it was first asked about.
    pub began_at: i64,
    /// Whose key it was then.
    pub identity: Option<Identity>,
    /// Up to here everything is settled, or a hole.
    pub looked_until: Option<i64>,
    /// Up to here everything is settled.
    pub covered_until: Option<i64>,
    /// Why events arrive or do not: a word of [`Verdict`].
    pub verdict: Option<String>,
    /// Since when that is so.
    pub verdict_since: Option<i64>,
    /// Our endpoint, as Stripe knew it.
    pub endpoint: Option<EndpointState>,
    /// Until when silence has an explanation.
    pub deaf_until: i64,
    /// Stripe's events of late that did not arrive.
    pub silence: Option<Silence>,
    /// When the last round ended well.
    pub round_at: Option<i64>,
    /// Events of the last round: listed, queued, parked, missing.
    pub listed: i64,
    /// Of these, those that waited for a worker.
    pub queued: i64,
    /// Of these, those that were set aside.
    pub parked: i64,
    /// Of these, those that were nowhere.
    pub missing: i64,
    /// Holes that are to be filled.
    pub holes: i64,
    /// Holes that nobody can fill: Stripe does not have these events any more.
    pub gone: i64,
    /// Why the last round did not end well.
    pub last_error: Option<String>,
    /// How long ago a round ended well, by Postgres's clock, seconds; since the first attempt, when none did.
    pub age: f64,
    /// How far behind now the coverage is, seconds.
    pub lag: f64,
}

/// What a round came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Whose key it was.
    pub identity: Identity,
    /// Up to where was looked.
    pub looked_until: i64,
    /// What there was.
    pub counts: Counts,
    /// Why events arrive or do not; `None` while the round was about the past.
    pub verdict: Option<Verdict>,
    /// Our endpoint.
    pub endpoint: EndpointState,
    /// See [`Coverage::deaf_until`].
    pub deaf_until: i64,
    /// See [`Coverage::silence`].
    pub silence: Option<Silence>,
    /// When to look again, seconds from now.
    pub again_after: i64,
}

const COLUMNS: &str = "c.account, extract(epoch FROM c.began_at)::bigint, c.stripe_account, c.livemode,
    extract(epoch FROM c.looked_until)::bigint, extract(epoch FROM c.covered_until)::bigint,
    c.verdict, extract(epoch FROM c.verdict_since)::bigint, c.endpoint_state, extract(epoch FROM c.deaf_until)::bigint,
    extract(epoch FROM c.silent_since)::bigint, extract(epoch FROM c.silent_until)::bigint, c.silent_pending,
    extract(epoch FROM c.round_at)::bigint, c.listed, c.queued, c.parked, c.missing,
    (SELECT count(*) FROM coverage_holes h WHERE h.account = c.account AND h.filled_at IS NULL AND h.gone_at IS NULL),
    (SELECT count(*) FROM coverage_holes h WHERE h.account = c.account AND h.gone_at IS NOT NULL AND h.filled_at IS NULL),
    c.last_error,
    extract(epoch FROM clock_timestamp() - coalesce(c.round_at, c.began_at))::float8,
    extract(epoch FROM clock_timestamp() - coalesce(c.covered_until, c.began_at))::float8";

const CLAIM: &str = "
    UPDATE coverage c SET lease = $2, leased_until = clock_timestamp() + $3 * interval '1 second'
    WHERE c.account = $1 AND (c.leased_until IS NULL OR c.leased_until < clock_timestamp())
      AND c.next_at <= clock_timestamp()
    RETURNING ";

const FINISH: &str = "
    UPDATE coverage SET stripe_account = $3, livemode = $4, looked_until = to_timestamp($5), covered_until = to_timestamp($6),
        verdict_since = CASE WHEN $7 IS NULL OR $7 IS NOT DISTINCT FROM verdict THEN verdict_since
                             ELSE clock_timestamp() END,
        verdict = coalesce($7, verdict), endpoint_state = $8, deaf_until = to_timestamp($9),
        silent_since = to_timestamp($10), silent_until = to_timestamp($11), silent_pending = $12,
        listed = $13, queued = $14, parked = $15, missing = $16, last_error = NULL, round_at = clock_timestamp(),
        next_at = clock_timestamp() + $17 * interval '1 second', lease = NULL, leased_until = NULL
    WHERE account = $1 AND lease = $2";

const FAIL: &str = "
    UPDATE coverage SET last_error = $3, next_at = clock_timestamp() + $4 * interval '1 second',
        verdict_since = CASE WHEN $5 IS NULL OR $5 IS NOT DISTINCT FROM verdict THEN verdict_since
                             ELSE clock_timestamp() END,
        verdict = coalesce($5, verdict), lease = NULL, leased_until = NULL
    WHERE account = $1 AND lease = $2";

impl Store {
    /// Takes an account that is due and nobody is at, for so many seconds, under a word of the taker's own. The first
    /// round of an account is due after `first_after` seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_coverage(
        &self,
        account: &str,
        lease: &str,
        seconds: i64,
        first_after: i64,
    ) -> Result<Option<Coverage>, StoreError> {
        sqlx::query(
            "INSERT INTO coverage (account, next_at) VALUES ($1, clock_timestamp() + $2 * interval '1 second')
             ON CONFLICT (account) DO NOTHING",
        )
        .bind(account)
        .bind(first_after)
        .execute(self.pool())
        .await?;
        let row = sqlx::query(AssertSqlSafe(format!("{CLAIM}{COLUMNS}")))
            .bind(account)
            .bind(lease)
            .bind(seconds)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.as_ref().map(coverage).transpose()?)
    }

    /// Keeps an account; false when it is somebody else's by now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_coverage(&self, account: &str, lease: &str, seconds: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE coverage SET leased_until = clock_timestamp() + $3 * interval '1 second'
             WHERE account = $1 AND lease = $2",
        )
        .bind(account)
        .bind(lease)
        .bind(seconds)
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Writes down what a round came to, and gives the account back. Up to where it is covered follows from the holes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_round(&self, account: &str, lease: &str, round: &Round) -> Result<(), StoreError> {
        let covered = covered_until(round.looked_until, self.first_hole(account).await?);
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        sqlx::query(FINISH)
            .bind(account)
            .bind(lease)
            .bind(&round.identity.stripe_account)
            .bind(round.identity.livemode)
            .bind(round.looked_until)
            .bind(covered)
            .bind(round.verdict.map(Verdict::as_str))
            .bind(round.endpoint.as_str())
            .bind(round.deaf_until)
            .bind(round.silence.map(|it| it.since))
            .bind(round.silence.map(|it| it.until))
            .bind(round.silence.is_some_and(|it| it.is_pending))
            .bind(count(round.counts.listed()))
            .bind(count(round.counts.queued))
            .bind(count(round.counts.parked))
            .bind(count(round.counts.missing))
            .bind(round.again_after)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Writes down why a round did not end well, and gives the account back.
    ///
    /// # Errors
    /// [`StoreError`]; the lease then runs out.
    pub async fn fail_round(
        &self,
        account: &str,
        lease: &str,
        error: &str,
        again_after: i64,
        verdict: Option<Verdict>,
    ) -> Result<(), StoreError> {
        sqlx::query(FAIL)
            .bind(account)
            .bind(lease)
            .bind(error)
            .bind(again_after)
            .bind(verdict.map(Verdict::as_str))
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// How far every account is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn coverages(&self) -> Result<Vec<Coverage>, StoreError> {
        Ok(all(&mut *self.pool().acquire().await?).await?)
    }

    /// When the first event happened of those received within so many days, unix seconds: comparing begins there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn first_received(&self, account: &str, days: i64) -> Result<Option<i64>, StoreError> {
        let first = sqlx::query_scalar(
            "SELECT extract(epoch FROM created)::bigint FROM events
             WHERE account = $1 AND received_at >= clock_timestamp() - $2 * interval '1 day' AND endpoint <> $3
             ORDER BY received_at LIMIT 1",
        );
        let first = first.bind(account).bind(days).bind(ASKED_FOR);
        Ok(first.fetch_optional(self.pool()).await?)
    }
}

/// Every account's, as far as who asks may see them.
pub(crate) async fn all(connection: &mut PgConnection) -> Result<Vec<Coverage>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM coverage c ORDER BY c.account");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(coverage).collect()
}

pub(crate) async fn one(
    connection: &mut PgConnection,
    account: &str,
) -> Result<Option<Coverage>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM coverage c WHERE c.account = $1");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(account)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(coverage).transpose()
}

fn coverage(row: &PgRow) -> Result<Coverage, sqlx::Error> {
    let (stripe_account, livemode): (Option<String>, Option<bool>) = (row.try_get(2)?, row.try_get(3)?);
    let identity = stripe_account
        .zip(livemode)
        .map(|(stripe_account, livemode)| Identity {
            stripe_account,
            livemode,
        });
    let endpoint: Option<String> = row.try_get(8)?;
    let (since, until): (Option<i64>, Option<i64>) = (row.try_get(10)?, row.try_get(11)?);
    let is_pending = row.try_get(12)?;
    let silence = since.zip(until).map(|(since, until)| Silence {
        since,
        until,
        is_pending,
    });
    Ok(Coverage {
        account: row.try_get(0)?,
        began_at: row.try_get(1)?,
        identity,
        looked_until: row.try_get(4)?,
        covered_until: row.try_get(5)?,
        verdict: row.try_get(6)?,
        verdict_since: row.try_get(7)?,
        endpoint: endpoint.as_deref().and_then(EndpointState::parse),
        deaf_until: row.try_get(9)?,
        silence,
        round_at: row.try_get(13)?,
        listed: row.try_get(14)?,
        queued: row.try_get(15)?,
        parked: row.try_get(16)?,
        missing: row.try_get(17)?,
        holes: row.try_get(18)?,
        gone: row.try_get(19)?,
        last_error: row.try_get(20)?,
        age: row.try_get(21)?,
        lag: row.try_get(22)?,
    })
}
