//! Applying migrations, and refusing a schema that does not suit this build.

use sqlx::Row;
use sqlx::migrate::{MigrateError, Migrator};

use crate::{Store, StoreError};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// What to do when a role refuses the schema.
const REMEDY: &str = "run `tollgate migrate`";

/// Why the schema does not suit this build.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Migrations are missing.
    #[error("the database lacks migration {0}: {REMEDY}")]
    Behind(String),
    /// A migration was changed after it was applied, or did not finish.
    #[error("migration {0} in the database is not the one in this build; restore its file, or the database")]
    Different(i64),
    /// A newer release has taken away what this build needs.
    #[error("the database only suits builds that know migration {0}: deploy a newer build")]
    Ahead(i64),
    /// Postgres trouble.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A migration failed.
    #[error("a migration failed: {0}")]
    Migrate(#[from] MigrateError),
}

/// The migrations in this build: number and subject, in order.
#[must_use]
pub fn migrations() -> Vec<(i64, String)> {
    MIGRATOR
        .iter()
        .map(|migration| (migration.version, migration.description.to_string()))
        .collect()
}

impl Store {
    /// Applies missing migrations; returns their numbers and subjects. Only one process at a time does.
    ///
    /// # Errors
    /// [`SchemaError`].
    pub async fn migrate(&self) -> Result<Vec<(i64, String)>, SchemaError> {
        let pending = self.pending_migrations().await?;
        MIGRATOR.run(self.pool()).await?;
        Ok(pending)
    }

    /// The migrations [`Store::migrate`] would apply.
    ///
    /// # Errors
    /// [`SchemaError`].
    pub async fn pending_migrations(&self) -> Result<Vec<(i64, String)>, SchemaError> {
        let applied = self.applied().await?;
        let is_pending = |(version, _): &(i64, String)| applied.iter().all(|(done, ..)| done != version);
        Ok(migrations().into_iter().filter(is_pending).collect())
    }

    /// Refuses a schema that this build cannot work with. A schema with newer migrations is fine until
    /// one of them says otherwise: old and new builds run side by side during a deploy.
    ///
    /// # Errors
    /// [`SchemaError`], which says what to do.
    pub async fn check_schema(&self) -> Result<(), SchemaError> {
        let applied = self.applied().await?;
        for migration in MIGRATOR.iter() {
            let (version, subject) = (migration.version, &migration.description);
            match applied.iter().find(|(done, ..)| *done == version) {
                None => return Err(SchemaError::Behind(format!("{version:04} ({subject})"))),
                Some((_, checksum, true)) if *checksum == *migration.checksum => {}
                Some(_) => return Err(SchemaError::Different(version)),
            }
        }
        let oldest: i64 = sqlx::query_scalar("SELECT oldest_migration FROM schema_compatibility")
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::from)?;
        let newest_known = MIGRATOR
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap_or(0);
        if oldest > newest_known {
            Err(SchemaError::Ahead(oldest))
        } else {
            Ok(())
        }
    }

    /// Number, checksum and success of every migration the database has seen.
    async fn applied(&self) -> Result<Vec<(i64, Vec<u8>, bool)>, StoreError> {
        let exists = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
        let exists: bool = match exists.fetch_one(self.pool()).await {
            Ok(exists) => exists,
            Err(error) => return Err(self.explain(error).await),
        };
        if !exists {
            return Ok(Vec::new());
        }
        let rows = sqlx::query("SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version")
            .fetch_all(self.pool())
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
            .collect()
    }
}

impl Store {
    /// The settings of Postgres with which a commit that was confirmed can be lost in a crash, as `name = value`; none is
    /// how it should be.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unsafe_settings(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT name || ' = off' FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AS name
             WHERE current_setting(name) = 'off'",
        )
        .fetch_all(self.pool())
        .await?)
    }
}
