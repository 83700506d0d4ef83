//! Who asks, and transactions that only see what they may.

use shared::trace::{self, Kind, Span};
use sqlx::postgres::PgConnectOptions;
use sqlx::{PgConnection, Row};

use crate::spare::Spare;
use crate::{STATEMENT_TIMEOUT_MS, Store, StoreError, Tx};

/// The database role of the API.
pub const API_ROLE: &str = "tollgate_api";

/// What an actor is to the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorRole {
    /// A customer, who sees what is theirs.
    User,
    /// The application, which acts for all users.
    Service,
    /// Staff, who also correct.
    Admin,
}

impl ActorRole {
    /// As in tokens and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Admin => "admin",
        }
    }

    /// Reads a role.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Service, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// The Stripe account whose data it is; `""` is the platform's own.
    pub account: String,
    /// What they are.
    pub role: ActorRole,
    /// Who they are: of a user, the user's id.
    pub subject: String,
}

impl Actor {
    /// Whether they may act for a user. Postgres holds the same, should a handler forget to ask.
    #[must_use]
    pub fn may_act_for(&self, user: &str) -> bool {
        self.role != ActorRole::User || self.subject == user
    }
}

/// Why the database's role does not protect.
#[derive(Debug, thiserror::Error)]
pub enum RoleProblem {
    /// It may pass over row-level security.
    #[error(
        "the database role {0} may bypass row-level security; let an administrator run ALTER ROLE {0} NOSUPERUSER NOBYPASSRLS"
    )]
    Bypasses(String),
    /// The tables are its own.
    #[error(
        "the database role {0} owns Tollgate's tables, and row-level security does not apply to owners; let another role own them"
    )]
    Owns(String),
    /// It could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A transaction in which everything is done as somebody. Dropping it rolls back.
#[derive(Debug)]
pub struct ActingTx {
    pub(super) tx: Tx,
    pub(super) actor: Actor,
    /// From asking for a connection to the end of the transaction.
    span: Option<Span>,
}

impl Store {
    /// A pool for the API: every connection works as [`API_ROLE`], of which the login must be a member.
    ///
    /// # Errors
    /// [`StoreError`] when the URL does not parse.
    pub fn for_api(url: &str, connections_max: u32) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(StoreError::from)?;
        let options = options.options([("role", API_ROLE)]);
        let store = Self::with_options(options, "tollgate-api", connections_max, STATEMENT_TIMEOUT_MS);
        Ok(Self {
            spare: Spare::new(connections_max as usize / 2),
            ..store
        })
    }

    /// Whether row-level security really applies to this pool's role. The inner result is what to tell people.
    ///
    /// # Errors
    /// [`RoleProblem`].
    pub async fn check_api_role(&self) -> Result<(), RoleProblem> {
        let row = sqlx::query(
            "SELECT current_user::text, r.rolsuper OR r.rolbypassrls,
                    EXISTS (SELECT FROM pg_class c WHERE c.oid = 'users'::regclass AND c.relowner = r.oid)
             FROM pg_roles r WHERE r.rolname = current_user",
        )
        .fetch_one(self.pool())
        .await;
        let row = match row {
            Ok(row) => row,
            Err(error) => return Err(self.explain(error).await.into()),
        };
        let (role, bypasses, owns): (String, bool, bool) = (
            row.try_get(0).map_err(StoreError::from)?,
            row.try_get(1).map_err(StoreError::from)?,
            row.try_get(2).map_err(StoreError::from)?,
        );
        match (bypasses, owns) {
            (true, _) => Err(RoleProblem::Bypasses(role)),
            (_, true) => Err(RoleProblem::Owns(role)),
            (false, false) => Ok(()),
        }
    }

    /// Begins a transaction as `actor`.
    ///
    /// # Errors
    /// [`StoreError`] when no connection can be had.
    pub async fn begin_as(&self, actor: &Actor) -> Result<ActingTx, StoreError> {
        let mut span = trace::step(Kind::Client, "transaction");
        if let Some(span) = &mut span {
            span.set("db.system.name", "postgresql");
        }
        let mut tx = self.begin().await?;
        // Local to the transaction: a connection that goes back to the pool is nobody's again.
        sqlx::query(
            "SELECT set_config('tollgate.actor_account', $1, true), set_config('tollgate.actor_role', $2, true),
                    set_config('tollgate.actor_user', $3, true)",
        )
        .bind(&actor.account)
        .bind(actor.role.as_str())
        .bind(match actor.role {
            ActorRole::User => actor.subject.as_str(),
            ActorRole::Service | ActorRole::Admin => "",
        })
        .execute(&mut *tx.0)
        .await?;
        Ok(ActingTx {
            tx,
            actor: actor.clone(),
            span,
        })
    }

    /// Begins a transaction as `actor` in which Postgres refuses to write: for whoever only looks.
    ///
    /// # Errors
    /// [`StoreError`] when no connection can be had.
    pub async fn begin_reading_as(&self, actor: &Actor) -> Result<ActingTx, StoreError> {
        let mut reading = self.begin_as(actor).await?;
        sqlx::raw_sql("SET TRANSACTION READ ONLY")
            .execute(reading.connection())
            .await?;
        Ok(reading)
    }
}

impl ActingTx {
    /// Whose data it is.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.actor.account
    }

    /// Commits.
    ///
    /// # Errors
    /// [`StoreError`]; the outcome is then unknown.
    pub async fn commit(self) -> Result<(), StoreError> {
        let Self { tx, mut span, .. } = self;
        let committed = tx.commit().await;
        if let (Some(span), Err(error)) = (&mut span, &committed) {
            span.failed(error.class().as_str());
        }
        committed
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx.0
    }
}
