//! The invariant check: whether the ledger is still true, in small steps that never keep anybody waiting.
//!
//! A round goes through all accounts, all transfers and all money sources, a few rows at a time, and ends with the sum
//! of everything. Each question is one statement and so sees one moment, in which balances, transfers and what is noted
//! of their sources belong together: whatever is written meanwhile, nothing healthy looks broken. Where a round is
//! stands in `ledger_check`, for whoever takes the next step.

mod gauges;
mod rules;

use sqlx::{PgConnection, Row};

use crate::upsert::column;
use crate::{Store, StoreError};

pub use gauges::LedgerGauges;

/// Every rule, by the word in tables and metrics.
pub const RULES: [&str; 6] = [
    SUM_IS_ZERO,
    BALANCE_IS_SUM,
    GRANT_IS_PAID,
    KEY_OF_ONE_SOURCE,
    SOURCE_AS_NOTED,
    DEBITS_WITHIN_GRANT,
];
/// What all balances of an account come to.
pub(crate) const SUM_IS_ZERO: &str = "sum_is_zero";
/// Each balance is the sum of its transfers.
pub(crate) const BALANCE_IS_SUM: &str = "balance_is_sum";
/// Nothing is granted but for something that is paid.
pub(crate) const GRANT_IS_PAID: &str = "grant_is_paid";
/// All transfers of a business key are of one kind of source.
pub(crate) const KEY_OF_ONE_SOURCE: &str = "key_of_one_source";
/// What is noted of a source is what its transfers come to.
pub(crate) const SOURCE_AS_NOTED: &str = "source_as_noted";
/// No more is taken back than was granted.
pub(crate) const DEBITS_WITHIN_GRANT: &str = "debits_within_grant";

/// Most violations kept of one rule; who has so many does not need the others.
const VIOLATIONS_MAX: i64 = 1_000;

/// A row that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// One of [`RULES`].
    pub rule: String,
    /// The row: its table and what names it there.
    pub subject: String,
    /// What is wrong with it.
    pub detail: String,
}

/// A round that was begun on request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its number.
    pub round: i64,
    /// When, as Postgres writes it.
    begun_at: String,
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// What it was about: `accounts`, `transfers`, `sources`, or their `sum`.
    pub stage: String,
    /// Through which id, of accounts and of transfers; 0 of the others.
    pub through: i64,
    /// The round that is under way now.
    pub round: i64,
    /// Whether this step ended the one before it.
    pub ended_round: bool,
    /// What was found, and not known before.
    pub found: Vec<Violation>,
}

/// The row of `ledger_check`, and where it goes.
struct Position {
    stage: String,
    account: i64,
    transfer: i64,
    source: Vec<String>,
    /// No transfer up to this id is uncommitted any more.
    settled_id: i64,
    round: i64,
}

impl Store {
    /// Begins a round anew. `from_zero` forgets how far accounts were summed up, so that every
    /// transfer is read again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_check(&self, from_zero: bool) -> Result<Begun, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "UPDATE ledger_check SET stage = 'accounts', next_account = 0, next_transfer = 0, next_source = DEFAULT,
                 round = round + 1, begun_at = clock_timestamp() RETURNING round, begun_at::text",
        )
        .fetch_one(&mut *tx.0)
        .await?;
        let begun = Begun {
            round: row.try_get(0)?,
            begun_at: row.try_get(1)?,
        };
        if from_zero {
            sqlx::query("DELETE FROM ledger_checkpoints")
                .execute(&mut *tx.0)
                .await?;
        }
        tx.commit().await?;
        Ok(begun)
    }

    /// Whether everything has been looked at since a round was begun, by whoever took the steps: that round has ended,
    /// or one that was begun in its place.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_checked(&self, begun: &Begun) -> Result<bool, StoreError> {
        let is_checked =
            sqlx::query_scalar("SELECT coalesce(checked_at > $1::timestamptz, false) FROM ledger_check")
                .bind(&begun.begun_at)
                .fetch_one(self.pool())
                .await?;
        Ok(is_checked)
    }

    /// The newest ids of accounts and transfers: as far as a round has to go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_ids(&self) -> Result<(i64, i64), StoreError> {
        let ids = sqlx::query_as(
            "SELECT (SELECT coalesce(max(id), 0) FROM ledger_accounts), (SELECT coalesce(max(id), 0) FROM ledger_transfers)",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(ids)
    }

    /// Takes the next step, over at most some `rows` rows. While somebody else takes one: waits for them, or (without
    /// `wait`) is `None`.
    ///
    /// # Errors
    /// [`StoreError`]; the step is then taken again by the next call.
    pub async fn check_step(&self, rows: u32, wait: bool) -> Result<Option<Step>, StoreError> {
        let mut tx = self.begin().await?;
        let Some(mut position) = hold(&mut tx.0, wait).await? else {
            return Ok(None);
        };
        position.settled_id = settle(&mut tx.0).await?;
        let (round, stage) = (position.round, position.stage.clone());
        let broken = rules::step(&mut tx.0, &mut position, i64::from(rows.max(1))).await?;
        let found = note(&mut tx.0, &broken, round).await?;
        if position.round > round {
            forget(&mut tx.0, round).await?;
        }
        proceed(&mut tx.0, &position, round).await?;
        tx.commit().await?;
        let through = match stage.as_str() {
            "accounts" => position.account,
            "transfers" => position.transfer,
            _ => 0,
        };
        Ok(Some(Step {
            stage,
            through,
            round: position.round,
            ended_round: position.round > round,
            found,
        }))
    }

    /// What is broken, the longest known first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn violations(&self, limit: u32) -> Result<Vec<Violation>, StoreError> {
        let rows = sqlx::query(
            "SELECT rule, subject, detail FROM ledger_violations ORDER BY found_at, rule, subject LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        Ok(rows.iter().map(violation).collect::<Result<_, _>>()?)
    }
}

fn violation(row: &sqlx::postgres::PgRow) -> Result<Violation, sqlx::Error> {
    Ok(Violation {
        rule: row.try_get(0)?,
        subject: row.try_get(1)?,
        detail: row.try_get(2)?,
    })
}

async fn hold(connection: &mut PgConnection, wait: bool) -> Result<Option<Position>, sqlx::Error> {
    let sql = "SELECT stage, next_account, next_transfer, next_source, settled_id, round FROM ledger_check FOR UPDATE";
    let skip = "SELECT stage, next_account, next_transfer, next_source, settled_id, round FROM ledger_check
                FOR UPDATE SKIP LOCKED";
    let query = sqlx::query(if wait { sql } else { skip });
    let Some(row) = query.fetch_optional(connection).await? else {
        return Ok(None);
    };
    Ok(Some(Position {
        stage: row.try_get(0)?,
        account: row.try_get(1)?,
        transfer: row.try_get(2)?,
        source: row.try_get(3)?,
        settled_id: row.try_get(4)?,
        round: row.try_get(5)?,
    }))
}

/// Up to which id all transfers are settled. Ids are not committed in their order, so the newest id is a candidate
/// first, until every transaction that was under way then has ended. The id is read before the transactions are: in
/// two statements. (A candidate from another server's life, after a restore, is taken anew.)
async fn settle(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let newest: Option<i64> = sqlx::query_scalar(
        "SELECT pg_sequence_last_value(pg_get_serial_sequence('ledger_transfers', 'id')::regclass)",
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query_scalar(
        "UPDATE ledger_check SET
             settled_id = CASE WHEN has_ended THEN greatest(settled_id, candidate_id) ELSE settled_id END,
             candidate_id = CASE WHEN has_ended OR is_foreign THEN $1 ELSE candidate_id END,
             candidate_xid = CASE WHEN has_ended OR is_foreign THEN pg_snapshot_xmax(snapshot) ELSE candidate_xid END
         FROM (SELECT pg_snapshot_xmin(snapshot) >= candidate_xid AS has_ended,
                      candidate_xid > pg_snapshot_xmax(snapshot) AS is_foreign, snapshot
               FROM ledger_check, pg_current_snapshot() AS snapshot) AS now
         RETURNING settled_id",
    )
    .bind(newest.unwrap_or(0))
    .fetch_one(connection)
    .await
}

/// Keeps what is broken; returns what nobody knew.
async fn note(
    connection: &mut PgConnection,
    broken: &[Violation],
    round: i64,
) -> Result<Vec<Violation>, sqlx::Error> {
    if broken.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "INSERT INTO ledger_violations (rule, subject, detail, round)
         SELECT DISTINCT ON (rule, subject) rule, subject, detail, $4
         FROM unnest($1::text[], $2::text[], $3::text[]) AS broken (rule, subject, detail)
         WHERE (SELECT count(*) FROM ledger_violations known WHERE known.rule = broken.rule) < $5
            OR EXISTS (SELECT FROM ledger_violations known WHERE (known.rule, known.subject) = (broken.rule, broken.subject))
         ON CONFLICT (rule, subject) DO UPDATE SET detail = EXCLUDED.detail, round = EXCLUDED.round
         RETURNING rule, subject, detail, xmax = 0",
    )
    .bind(column!(broken, it => it.rule.as_str()))
    .bind(column!(broken, it => it.subject.as_str()))
    .bind(column!(broken, it => it.detail.as_str()))
    .bind(round)
    .bind(VIOLATIONS_MAX)
    .fetch_all(connection)
    .await?;
    let mut new = Vec::new();
    for row in &rows {
        if row.try_get(3)? {
            new.push(violation(row)?);
        }
    }
    Ok(new)
}

/// What the round did not find again is no longer broken.
async fn forget(connection: &mut PgConnection, round: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM ledger_violations WHERE round < $1")
        .bind(round)
        .execute(connection)
        .await?;
    Ok(())
}

async fn proceed(connection: &mut PgConnection, to: &Position, round: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE ledger_check SET stage = $1, next_account = $2, next_transfer = $3, next_source = $4, round = $5,
             begun_at = CASE WHEN $6 THEN clock_timestamp() ELSE begun_at END,
             checked_at = CASE WHEN $6 THEN clock_timestamp() ELSE checked_at END",
    )
    .bind(&to.stage)
    .bind(to.account)
    .bind(to.transfer)
    .bind(&to.source)
    .bind(to.round)
    .bind(to.round > round)
    .execute(connection)
    .await?;
    Ok(())
}
