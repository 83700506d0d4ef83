//! `tollgate migrate`: the only thing, beside `dev`, that changes the schema.

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;
use store::{SchemaError, Store};

use crate::{answer, tool};

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs DATABASE_URL. Only one process at a time applies; others wait.

Examples:
  tollgate migrate --dry-run
  tollgate migrate --json

Exit status: 0; 1 when Postgres cannot be asked, or a migration fails; 78 for unusable settings.";

/// What `tollgate migrate` takes. The database is `DATABASE_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only say what would be applied
    #[arg(long)]
    dry_run: bool,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    dry_run: bool,
    migrations: Vec<Migration>,
}

#[derive(Serialize)]
struct Migration {
    version: i64,
    subject: String,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let store = Store::for_migrating(&url)?;
    let migrations = if options.dry_run {
        store.pending_migrations().await
    } else {
        apply(&store).await
    }?;
    store.close().await;
    report(options, migrations);
    Ok(ExitCode::SUCCESS)
}

async fn apply(store: &Store) -> Result<Vec<(i64, String)>, SchemaError> {
    let applied = store.migrate().await?;
    store.check_schema().await?;
    Ok(applied)
}

fn report(options: &Options, migrations: Vec<(i64, String)>) {
    if options.json {
        let migrations = migrations
            .into_iter()
            .map(|(version, subject)| Migration { version, subject })
            .collect();
        return answer(&tool::json(&Answer {
            dry_run: options.dry_run,
            migrations,
        }));
    }
    if migrations.is_empty() {
        return answer("the schema is up to date");
    }
    let did = if options.dry_run { "would apply" } else { "applied" };
    for (version, subject) in migrations {
        answer(&format!("{did} {version:04} {subject}"));
    }
}
