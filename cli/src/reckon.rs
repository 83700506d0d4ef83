//! `tollgate reckon`: have all effects reckoned anew. The workers do it; this only marks.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use store::{MARKED, Store, StoreError};

use crate::{answer, tool};

/// Marks written at a time: each batch is a transaction of milliseconds.
const BATCH_MAX: u32 = 5_000;
/// Pause between lines that say how far it is.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs DATABASE_URL. After a change of policy (TOLLGATE_POLICY_...), or after an upgrade that says so: when the last
worker with the old policy or version has ended, mark everything, and the workers reckon it. Whatever is right
already stays as it is, so it may be run at any time, again, and be interrupted. Marks are taken in order, so effects
of new events wait until these are done; `tollgate idle` says when.

Examples:
  tollgate reckon --all --dry-run
  tollgate reckon --all && tollgate idle --timeout 10m

Exit status: 0; 1 when Postgres cannot be asked or its schema does not suit; 78 for unusable settings.";

/// What `tollgate reckon` takes. The database is `DATABASE_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Everything that has effects: customers, subscriptions, whatever was paid or given back, and users
    #[arg(long, required = true)]
    all: bool,
    /// Only count
    #[arg(long)]
    dry_run: bool,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    dry_run: bool,
    /// How many of each kind.
    marked: BTreeMap<&'static str, u64>,
    total: u64,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let store = tool::open(&url).await?;
    let mut marked = BTreeMap::new();
    for kind in MARKED {
        let count = if options.dry_run {
            store.count_of(kind).await?
        } else {
            mark(&store, kind).await?
        };
        marked.insert(kind.0, count);
    }
    store.close().await;
    report(
        options,
        &Answer {
            dry_run: options.dry_run,
            total: marked.values().sum(),
            marked,
        },
    );
    Ok(ExitCode::SUCCESS)
}

/// Marks all objects of a kind, batch by batch, and says how far it is.
async fn mark(store: &Store, kind: (&'static str, &'static str)) -> Result<u64, StoreError> {
    let mut marked = 0;
    let mut said = Instant::now();
    let mut last = (String::new(), String::new());
    while let Some((count, through)) = store.mark_next(kind, (&last.0, &last.1), BATCH_MAX).await? {
        marked += count;
        last = through;
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            eprintln!("tollgate: {}: {marked} marked so far", kind.1);
        }
    }
    Ok(marked)
}

fn report(options: &Options, result: &Answer) {
    if options.json {
        return answer(&tool::json(result));
    }
    for (kind, count) in &result.marked {
        answer(&format!("{count:>9}  {kind}"));
    }
    let did = if options.dry_run {
        "would be marked"
    } else {
        "marked; the workers reckon them"
    };
    answer(&format!("{:>9}  {did}", result.total));
}
