//! Objects that are compared with Stripe's, a sample at a time: whose turn it is, what is suspected, and what differs.

use domain::sample::{Look, Suspicion, Walk};
use domain::{Kind, ObjectKey, Snapshot};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::coverage::Identity;
use crate::projections::{self, Difference};
use crate::{MARKED, Store, StoreError};

/// Objects gone through in a step of a walk, also those that are not wanted: what has ended is passed over quickly.
const STEP_MAX: i64 = 1_000;

/// An account whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampling {
    /// Whose events were compared.
    pub identity: Identity,
    /// Up to here every event is settled, unix seconds.
    pub covered_until: i64,
}

/// A step of a walk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// Whose turn it is, in the order of ids.
    pub ids: Vec<String>,
    /// Where the walk is after them; `None`: at its end, and it begins anew.
    pub until: Option<String>,
}

/// A difference, as staff see it. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// Its number: later ones are greater.
    pub id: i64,
    /// Stripe's name for the kind of object.
    pub kind: String,
    /// The object.
    pub object_id: String,
    /// Whether Stripe does not have it any more.
    pub is_gone: bool,
    /// Members that differed, by name.
    pub members: Vec<String>,
    /// When it was found.
    pub found_at: i64,
    /// Since when it is as Stripe has it.
    pub settled_at: Option<i64>,
}

/// How far the sampling of an account is. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sampled {
    /// When the last sample ended.
    pub sampled_at: Option<i64>,
    /// Objects compared in it.
    pub compared: i64,
    /// Differences that are not settled.
    pub differing: i64,
    /// When all subscriptions that have not ended had had their turn.
    pub living_lap_at: Option<i64>,
}

/// Not before coverage says whose events are here and up to when, and not while comparing events fails.
const CLAIM: &str = "
    UPDATE object_samples s SET lease = $2, leased_until = clock_timestamp() + $3 * interval '1 second'
    FROM coverage c
    WHERE s.account = $1 AND c.account = s.account AND c.last_error IS NULL AND c.covered_until IS NOT NULL
      AND c.stripe_account IS NOT NULL AND (s.leased_until IS NULL OR s.leased_until < clock_timestamp())
      AND s.next_at <= clock_timestamp()
    RETURNING c.stripe_account, c.livemode, extract(epoch FROM c.covered_until)::bigint";

const FINISH: &str = "
    UPDATE object_samples SET sampled_at = clock_timestamp(), compared = $3, last_error = $4,
        next_at = clock_timestamp() + $5 * interval '1 second', lease = NULL, leased_until = NULL
    WHERE account = $1 AND lease = $2";

const ADVANCE: &str = "
    INSERT INTO object_walks AS walk (account, walk, after_id) VALUES ($1, $2, coalesce($3, ''))
    ON CONFLICT (account, walk) DO UPDATE SET after_id = EXCLUDED.after_id,
        laps = walk.laps + ($3 IS NULL)::integer,
        lap_at = CASE WHEN $3 IS NULL THEN clock_timestamp() ELSE walk.lap_at END";

/// Whether an event about it waits for a person.
const SET_ASIDE: &str = "
    SELECT EXISTS (SELECT FROM events e JOIN parked_events p ON (p.account, p.event_id) = (e.account, e.id)
                   WHERE (e.account, e.object_id) = ($1, $2) AND e.status = 'parked' AND p.state = 'waiting')";

impl Store {
    /// Takes an account whose turn it is and that nobody is at, for so many seconds, under a word of the taker's own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_sample(
        &self,
        account: &str,
        lease: &str,
        seconds: i64,
    ) -> Result<Option<Sampling>, StoreError> {
        sqlx::query("INSERT INTO object_samples (account) VALUES ($1) ON CONFLICT (account) DO NOTHING")
            .bind(account)
            .execute(self.pool())
            .await?;
        let row = sqlx::query(CLAIM).bind(account).bind(lease).bind(seconds);
        let Some(row) = row.fetch_optional(self.pool()).await? else {
            return Ok(None);
        };
        Ok(Some(Sampling {
            identity: Identity {
                stripe_account: row.try_get(0)?,
                livemode: row.try_get(1)?,
            },
            covered_until: row.try_get(2)?,
        }))
    }

    /// Keeps an account; false when it is somebody else's by now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_sample(&self, account: &str, lease: &str, seconds: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE object_samples SET leased_until = clock_timestamp() + $3 * interval '1 second'
             WHERE account = $1 AND lease = $2",
        );
        let done = done.bind(account).bind(lease).bind(seconds);
        Ok(done.execute(self.pool()).await?.rows_affected() > 0)
    }

    /// A sample has ended, well or with an error; the next is due after so many seconds.
    ///
    /// # Errors
    /// [`StoreError`]; the lease then runs out.
    pub async fn finish_sample(
        &self,
        account: &str,
        lease: &str,
        compared: u32,
        error: Option<&str>,
        again_after: i64,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(FINISH).bind(account).bind(lease);
        let done = done.bind(i64::from(compared)).bind(error).bind(again_after);
        done.execute(self.pool()).await?;
        Ok(())
    }

    /// The next objects of a walk, at most so many. Left out is what changed after `covered_until`, by Stripe's clock.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next_of_walk(
        &self,
        account: &str,
        walk: Walk,
        covered_until: i64,
        at_most: u32,
    ) -> Result<Step, StoreError> {
        let Some(table) = table_of(walk.kind()) else {
            return Ok(Step::default());
        };
        let wanted = match walk {
            Walk::Living => "status NOT IN ('canceled', 'incomplete_expired')",
            Walk::All(Kind::Invoice) => "NOT deleted",
            Walk::All(_) => "true",
        };
        let sql = format!(
            "SELECT id, coalesce(event_created <= to_timestamp($3) AND {wanted}, false) FROM {table}
             WHERE account = $1 AND id > coalesce(
                 (SELECT after_id FROM object_walks WHERE (account, walk) = ($1, $2)), '')
             ORDER BY id LIMIT $4"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(account)
            .bind(walk.as_str())
            .bind(covered_until)
            .bind(STEP_MAX);
        let rows = rows.fetch_all(self.pool()).await?;
        let mut step = Step::default();
        let mut seen = 0;
        for row in &rows {
            if step.ids.len() >= at_most as usize {
                break;
            }
            seen += 1;
            let id: String = row.try_get(0)?;
            step.until = Some(id.clone());
            if row.try_get(1)? {
                step.ids.push(id);
            }
        }
        if seen == rows.len() && seen < usize::try_from(STEP_MAX).unwrap_or(usize::MAX) {
            step.until = None;
        }
        Ok(step)
    }

    /// A step of a walk is done.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn advance_walk(
        &self,
        account: &str,
        walk: Walk,
        until: Option<&str>,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(ADVANCE).bind(account).bind(walk.as_str()).bind(until);
        done.execute(self.pool()).await?;
        Ok(())
    }

    /// Suspected objects of which it is settled whether an event explains them, the first suspected first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_suspects(
        &self,
        account: &str,
        covered_until: i64,
        at_most: u32,
    ) -> Result<Vec<ObjectKey>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT kind, object_id FROM object_suspects WHERE account = $1 AND as_of <= to_timestamp($2)
             ORDER BY as_of LIMIT $3",
        )
        .bind(account)
        .bind(covered_until)
        .bind(i64::from(at_most))
        .fetch_all(self.pool())
        .await?;
        let key = |(kind, id): (String, String)| {
            Some(ObjectKey {
                account: account.to_owned(),
                kind: Kind::parse(&kind)?,
                id,
            })
        };
        Ok(rows.into_iter().filter_map(key).collect())
    }

    /// What is suspected of an object.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn suspicion(&self, key: &ObjectKey) -> Result<Option<Suspicion>, StoreError> {
        let row = sqlx::query(
            "SELECT event_id, extract(epoch FROM as_of)::bigint, is_gone, members FROM object_suspects
             WHERE (account, kind, object_id) = ($1, $2, $3)",
        );
        let row = bind(row, key).fetch_optional(self.pool()).await?;
        let suspicion = |row: PgRow| {
            Ok::<_, sqlx::Error>(Suspicion {
                held: row.try_get(0)?,
                as_of: row.try_get(1)?,
                is_gone: row.try_get(2)?,
                members: row.try_get(3)?,
            })
        };
        Ok(row.map(suspicion).transpose()?)
    }

    /// Suspects an object, or suspects it of something else.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn suspect(&self, key: &ObjectKey, look: &Look) -> Result<(), StoreError> {
        let done = sqlx::query(
            "INSERT INTO object_suspects (account, kind, object_id, event_id, as_of, is_gone, members)
             VALUES ($1, $2, $3, $4, to_timestamp($5), $6, $7)
             ON CONFLICT (account, kind, object_id) DO UPDATE
             SET event_id = EXCLUDED.event_id, as_of = EXCLUDED.as_of, is_gone = EXCLUDED.is_gone,
                 members = EXCLUDED.members",
        );
        let done = bind(done, key).bind(&look.held).bind(look.as_of);
        done.bind(look.is_gone)
            .bind(look.told())
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Suspects an object no more. What differed of it and is as Stripe has it by now (`is_equal`) is settled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clear_suspect(&self, key: &ObjectKey, is_equal: bool) -> Result<(), StoreError> {
        let done = sqlx::query(
            "WITH cleared AS (
                 DELETE FROM object_suspects WHERE (account, kind, object_id) = ($1, $2, $3))
             UPDATE object_differences SET settled_at = clock_timestamp()
             WHERE (account, kind, object_id) = ($1, $2, $3) AND settled_at IS NULL AND $4",
        );
        bind(done, key).bind(is_equal).execute(self.pool()).await?;
        Ok(())
    }

    /// Writes down that an object differs; whether that is new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_difference(&self, key: &ObjectKey, look: &Look) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "INSERT INTO object_differences AS known (account, kind, object_id, is_gone, members)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (account, kind, object_id) WHERE settled_at IS NULL
             DO UPDATE SET is_gone = EXCLUDED.is_gone, members = EXCLUDED.members
             RETURNING xmax = 0",
        );
        let row = bind(row, key).bind(look.is_gone).bind(look.told());
        Ok(row.fetch_one(self.pool()).await?.try_get(0)?)
    }

    /// How snapshots compare with what is held, each object once. Nothing is locked, and nothing written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn compare(&self, snapshots: Vec<Snapshot>) -> Result<Vec<Difference>, StoreError> {
        let mut connection = self.pool().acquire().await?;
        Ok(projections::compare(&mut connection, snapshots).await?)
    }

    /// The event whose snapshot of an object is held, and its `created`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn held(&self, key: &ObjectKey) -> Result<Option<(String, i64)>, StoreError> {
        let row = sqlx::query_as(
            "SELECT event_id, extract(epoch FROM created)::bigint FROM objects
             WHERE (account, kind, id) = ($1, $2, $3) AND event_id IS NOT NULL",
        );
        let row = row.bind(&key.account).bind(key.kind.as_str()).bind(&key.id);
        Ok(row.fetch_optional(self.pool()).await?)
    }

    /// Whether an event about an object waits for a person.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_set_aside(&self, key: &ObjectKey) -> Result<bool, StoreError> {
        let is = sqlx::query_scalar(SET_ASIDE).bind(&key.account).bind(&key.id);
        Ok(is.fetch_one(self.pool()).await?)
    }
}

/// How far the sampling of an account is.
pub(crate) async fn sampled(connection: &mut PgConnection, account: &str) -> Result<Sampled, sqlx::Error> {
    let row = sqlx::query(
        "SELECT extract(epoch FROM s.sampled_at)::bigint, coalesce(s.compared, 0),
                (SELECT count(*) FROM object_differences d WHERE d.account = $1 AND d.settled_at IS NULL),
                (SELECT extract(epoch FROM lap_at)::bigint FROM object_walks w WHERE (w.account, w.walk) = ($1, $2))
         FROM (VALUES ($1)) AS one (account) LEFT JOIN object_samples s ON s.account = one.account",
    )
    .bind(account)
    .bind(Walk::Living.as_str())
    .fetch_one(connection)
    .await?;
    Ok(Sampled {
        sampled_at: row.try_get(0)?,
        compared: row.try_get(1)?,
        differing: row.try_get(2)?,
        living_lap_at: row.try_get(3)?,
    })
}

/// Differences before number `before`, the last found first.
pub(crate) async fn differences(
    connection: &mut PgConnection,
    account: &str,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Differing>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, kind, object_id, is_gone, members, extract(epoch FROM date_trunc('second', found_at))::bigint,
                extract(epoch FROM date_trunc('second', settled_at))::bigint
         FROM object_differences WHERE account = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
    )
    .bind(account)
    .bind(before)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    let differing = |row: &PgRow| {
        Ok(Differing {
            id: row.try_get(0)?,
            kind: row.try_get(1)?,
            object_id: row.try_get(2)?,
            is_gone: row.try_get(3)?,
            members: row.try_get(4)?,
            found_at: row.try_get(5)?,
            settled_at: row.try_get(6)?,
        })
    };
    rows.iter().map(differing).collect()
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind<'q>(query: Query<'q>, key: &'q ObjectKey) -> Query<'q> {
    query.bind(&key.account).bind(key.kind.as_str()).bind(&key.id)
}

fn table_of(kind: Kind) -> Option<&'static str> {
    let found = MARKED.iter().find(|(name, _)| *name == kind.as_str());
    found.map(|(_, table)| *table)
}
