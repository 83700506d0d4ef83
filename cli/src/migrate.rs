//! `tollgate migrate`: the only thing, beside `dev`, that changes the schema.

use std::process::ExitCode;

use serde::Serialize;
use shared::config::{EXIT_CONFIG, Env, Reader};
use store::{SchemaError, Store};

use crate::{answer, fail};

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
    let env = Env::of_process();
    shared::telemetry::init_logs(&env.clone().with_default("TOLLGATE_LOG", "warn"));
    let mut reader = Reader::new(&env);
    let url = worker::config::database_url(&mut reader);
    let url = match reader.finish(url) {
        Ok(url) => url,
        Err(error) => {
            fail(&error);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run(options, &url)) {
        Ok(migrations) => {
            report(options, migrations);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

async fn run(options: &Options, url: &str) -> Result<Vec<(i64, String)>, SchemaError> {
    let store = Store::for_migrating(url)?;
    let migrations = if options.dry_run {
        store.pending_migrations().await
    } else {
        apply(&store).await
    }?;
    store.close().await;
    Ok(migrations)
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
        let json = serde_json::to_string(&Answer {
            dry_run: options.dry_run,
            migrations,
        });
        return answer(&json.expect("integers and texts always serialise"));
    }
    if migrations.is_empty() {
        return answer("the schema is up to date");
    }
    let did = if options.dry_run { "would apply" } else { "applied" };
    for (version, subject) in migrations {
        answer(&format!("{did} {version:04} {subject}"));
    }
}
