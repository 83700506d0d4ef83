//! Many dead letters, quickly: what a worker has set aside is written again and again under other ids, by Postgres alone,
//! with all triggers on. Bodies are copied as well, for they are what is run again.

use sqlx::{AssertSqlSafe, Connection};

use super::execute;
use crate::{Store, StoreError};

/// How much earlier each copy was set aside than the one before, so that a million lie within days.
const APART: &str = "10 minutes";
/// How many causes a cause becomes: copies have others, in turn.
const CAUSES: usize = 50;
/// The table's rows are to be refused.
const REFUSAL: &str = "of_a_benchmark";

/// What has become of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Letters that wait.
    pub waiting: u64,
    /// The same, as the list of causes has them.
    pub grouped: u64,
    /// Letters that were run again, and had their effect.
    pub replayed: u64,
    /// How often a letter was run again, all together.
    pub replays: u64,
    /// Events that took effect.
    pub applied: u64,
    /// What jobs wrote down of letters that took effect.
    pub deeds: u64,
}

const TALLY: &str = "
    SELECT count(*) FILTER (WHERE state = 'waiting'),
           (SELECT coalesce(sum(letters), 0)::bigint FROM dead_groups WHERE state = 'waiting'),
           count(*) FILTER (WHERE state = 'replayed'), coalesce(sum(replays), 0)::bigint,
           (SELECT count(*) FROM events WHERE status = 'applied'),
           (SELECT count(*) FROM dead_deeds WHERE outcome = 'applied')
    FROM parked_events";

impl Store {
    /// Lets Postgres refuse whatever is written to these tables from now on, so that their events are set aside.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refuse(&self, tables: &[&str]) -> Result<(), StoreError> {
        self.alter(
            tables,
            &format!("ADD CONSTRAINT {REFUSAL} CHECK (false) NOT VALID"),
        )
        .await
    }

    /// Takes that back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn accept(&self, tables: &[&str]) -> Result<(), StoreError> {
        self.alter(tables, &format!("DROP CONSTRAINT {REFUSAL}")).await
    }

    async fn alter(&self, tables: &[&str], how: &str) -> Result<(), StoreError> {
        let mut connection = self.pool().acquire().await?;
        for table in tables {
            execute(&mut connection, &format!("ALTER TABLE {table} {how}")).await?;
        }
        Ok(())
    }

    /// Adds `copies` of each letter that is there, under other ids and of other causes. All ids of the originals contain
    /// `mark`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn copy_letters(&self, mark: &str, copies: usize) -> Result<(), StoreError> {
        let mut connection = self.pool().acquire().await?;
        execute(
            &mut connection,
            "CREATE SCHEMA original;
             CREATE TABLE original.parked_events AS SELECT * FROM public.parked_events;
             CREATE TABLE original.events AS SELECT * FROM public.events WHERE status = 'parked'",
        )
        .await?;
        for copy in 1..=copies {
            let mut tx = connection.begin().await?;
            let cause = copy % CAUSES;
            execute(
                &mut tx,
                &format!(
                    "UPDATE original.parked_events SET parked_at = parked_at - interval '{APART}',
                            fingerprint = left(fingerprint, -2) || lpad('{cause}', 2, '0')"
                ),
            )
            .await?;
            for table in ["events", "parked_events"] {
                // Each row is read once, not once for each of its columns: that is what OFFSET is for.
                let sql = format!(
                    "INSERT INTO public.{table} SELECT (line.row).* FROM (
                         SELECT replace(it::text, $1, $2)::public.{table} AS row FROM original.{table} AS it OFFSET 0
                     ) AS line"
                );
                sqlx::query(AssertSqlSafe(sql))
                    .bind(mark)
                    .bind(format!("{mark}{copy}"))
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
        }
        execute(&mut connection, "DROP SCHEMA original CASCADE").await
    }

    /// What has become of all letters.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tally_letters(&self) -> Result<Tally, StoreError> {
        let counts: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(TALLY).fetch_one(self.pool()).await?;
        Ok(Tally {
            waiting: counts.0.unsigned_abs(),
            grouped: counts.1.unsigned_abs(),
            replayed: counts.2.unsigned_abs(),
            replays: counts.3.unsigned_abs(),
            applied: counts.4.unsigned_abs(),
            deeds: counts.5.unsigned_abs(),
        })
    }
}
