//! The house: Postgres, and the only crate that names sqlx.
//!
//! Work happens in a [`Tx`]: admit events to the inbox, lock the objects they concern, write what was
//! decided, commit. Every statement handles a whole batch, so the cost per event falls as load rises.

pub mod api;
pub mod backfills;
mod catalog;
pub mod check;
pub mod coverage;
mod credits;
mod customer;
pub mod dead;
mod error;
pub mod events;
mod history;
mod inbox;
mod lock;
mod marks;
mod meters;
mod objects;
mod outbox;
mod parked;
mod patience;
#[cfg(feature = "planted-bugs")]
mod planted;
pub mod policy;
mod projections;
pub mod reckon;
mod refetches;
mod resyncs;
pub mod samples;
mod schema;
mod sizes;
mod spare;
mod standing;
mod state;
mod statistics;
mod summary;
pub mod sweep;
mod terms;
mod touched;
mod trial;
mod tx;
mod upsert;
mod vitals;
pub mod yardstick;

use std::time::Duration;

use shared::state_cache::StateCache;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

use spare::{Lent, Spare};

pub use catalog::{Catalog, EffectiveTerms, KnownPrice, OfferRow, PriceFacts};
pub use credits::{Balance, Spend};
pub use customer::{CustomerSeen, SubscriptionSeen, UserSeen};
pub use error::StoreError;
pub use history::{HISTORY_MAX, History, HistoryCursor, HistoryEntry};
pub use inbox::{Attempt, EventKey, InboxRow, Readmit, Redelivery, Status};
pub use marks::{MARKED, Mark, Taken, USER};
pub use meters::{METRICS, retried};
pub use outbox::OutboxRow;
pub use parked::ParkedRow;
pub use patience::{ATTEMPT_MAX, in_time, within};
pub use projections::Difference;
pub use reckon::{
    ExpiredGrant, Id, PostedTransfer, SourceFacts, SourceKey, Subjects, SubscriptionFacts, SubscriptionRow,
    UserChange,
};
pub use refetches::{Due, Wanted};
pub use resyncs::{Answered, NewResync, Resync, Unplanned};
pub use schema::{SchemaError, migrations};
pub use sizes::Sizes;
pub use standing::Standing;
pub use state::Waiting;
pub use summary::{ExampleRows, Tally};
pub use terms::SeenTerms;
use touched::Touched;
pub use trial::{Crossing, Kept, Moved};
pub use tx::Tx;
pub use vitals::{ApiRole, Vitals};

/// Longest wait for a connection from the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest a single statement may run. A batch takes milliseconds; what takes longer is stuck.
const STATEMENT_TIMEOUT_MS: u32 = 30_000;
/// Longest wait for a row that another worker holds.
const LOCK_TIMEOUT_MS: u32 = 10_000;
/// Longest a connection may sit inside a transaction without a statement. Deciding takes milliseconds; a
/// worker that was stopped in between must not keep its rows locked much longer than its lease.
const IDLE_IN_TRANSACTION_TIMEOUT_MS: u32 = 10_000;
/// Longest wait for an answer of a connection that was given back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest a question may take why no connection can be had.
const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A pool of connections to one database. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    spare: Spare,
    can_ask: bool,
    cache: Option<StateCache>,
}

/// Whether a text names a Postgres database.
#[must_use]
pub fn is_url(text: &str) -> bool {
    let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
    is_postgres && text.parse::<PgConnectOptions>().is_ok()
}

impl Store {
    /// Prepares a pool of at most `connections_max`; nothing is connected yet. `application` names the
    /// role in `pg_stat_activity`. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the URL does not parse.
    pub fn new(url: &str, application: &str, connections_max: u32) -> Result<Self, StoreError> {
        let options = url.parse().map_err(StoreError::from)?;
        Ok(Self::with_options(
            options,
            application,
            connections_max,
            STATEMENT_TIMEOUT_MS,
        ))
    }

    /// The same for a worker, whose statements all look rows up by key. Prepared while the tables were empty,
    /// they would keep plans that read whole tables until the first `ANALYZE`; so these plans are out of the
    /// question.
    ///
    /// # Errors
    /// [`StoreError`] when the URL does not parse.
    pub fn for_working(url: &str, connections_max: u32) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(StoreError::from)?;
        let by_key = [
            "enable_seqscan",
            "enable_bitmapscan",
            "enable_hashjoin",
            "enable_mergejoin",
        ];
        let options = options.options(by_key.map(|plan| (plan, "off")));
        // One plan does for every batch; otherwise a statement with many joins is planned anew for nearly each,
        // which costs more than running it.
        let options = options.options([("plan_cache_mode", "force_generic_plan")]);
        let store = Self::with_options(options, "tollgate-worker", connections_max, STATEMENT_TIMEOUT_MS);
        Ok(Self {
            spare: Spare::new(connections_max as usize / 2),
            ..store
        })
    }

    /// The same for a single connection that migrates: an index on a large table may take hours.
    ///
    /// # Errors
    /// [`StoreError`] when the URL does not parse.
    pub fn for_migrating(url: &str) -> Result<Self, StoreError> {
        let options = url.parse().map_err(StoreError::from)?;
        Ok(Self::with_options(options, "tollgate-migrate", 1, 0))
    }

    /// The same for a process that can ask Stripe: what it wants to ask is due at once.
    #[must_use]
    pub fn asking(self, can_ask: bool) -> Self {
        Self { can_ask, ..self }
    }

    /// Whether this process can ask Stripe.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.can_ask
    }

    fn with_options(
        options: PgConnectOptions,
        application: &str,
        connections_max: u32,
        statement_timeout_ms: u32,
    ) -> Self {
        let options = options.application_name(application).options([
            ("statement_timeout", statement_timeout_ms.to_string()),
            ("lock_timeout", LOCK_TIMEOUT_MS.to_string()),
            // Statements take milliseconds, compiling one takes longer; and where a kind of plan is out of the question,
            // the costs of others are so high that each would be compiled.
            ("jit", "off".to_owned()),
            (
                "idle_in_transaction_session_timeout",
                IDLE_IN_TRANSACTION_TIMEOUT_MS.to_string(),
            ),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_release(|connection, _| Box::pin(still_answers(connection)))
            .connect_lazy_with(options);
        Self {
            pool,
            spare: Spare::new(0),
            can_ask: false,
            cache: None,
        }
    }

    /// Lets balances that fall to so many credits or fewer be told in the outbox; 0 is never. To be said before the
    /// first statement.
    #[must_use]
    pub fn telling_low_credits(self, low: i64) -> Self {
        let options = self.pool.connect_options();
        let options = PgConnectOptions::clone(&options).options([("tollgate.credits_low", low.to_string())]);
        self.pool.set_connect_options(options);
        self
    }

    /// Drops what is kept of users whenever a transaction changes them: before the commit, and while it is under way.
    #[must_use]
    pub fn with_state_cache(self, cache: StateCache) -> Self {
        Self {
            cache: Some(cache),
            ..self
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`StoreError`] when no connection can be had.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        match self.spare.begin(&self.pool).await {
            Ok(open) => Ok(Tx(open, Touched::new(self.cache.clone()))),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// A connection for single statements, each a transaction of its own, without asking first whether it is there.
    pub(crate) async fn lend(&self) -> Result<Lent, StoreError> {
        match self.spare.lend(&self.pool).await {
            Ok(lent) => Ok(lent),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// The pool only says that time ran out; what Postgres says to a new connection is what people need.
    pub(crate) async fn explain(&self, error: sqlx::Error) -> StoreError {
        if !matches!(error, sqlx::Error::PoolTimedOut) {
            return error.into();
        }
        let options = self.pool.connect_options();
        match tokio::time::timeout(EXPLAIN_TIMEOUT, PgConnection::connect_with(&options)).await {
            Ok(Err(reason)) => reason.into(),
            Ok(Ok(_)) | Err(_) => error.into(),
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.spare.close();
        self.pool.close().await;
    }

    /// The pool, for this crate's read-only queries.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// Whether a connection that was given back is of use. The pool asks, too, but waits for ever: of a peer whose packets
/// get lost it would keep the place until the kernel gives up, a quarter of an hour later. That is left to a peer who
/// falls silent after this question and before the pool's own, which follows at once and cannot be bounded from here.
async fn still_answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let answer = tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await;
    answer.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))?;
    Ok(true)
}
