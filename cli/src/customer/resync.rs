//! `tollgate customer resync`. The workers ask Stripe; this writes down that somebody wants it, and looks on.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use shared::unique;
use store::{NewResync, Resync, Store, StoreError};

use crate::idle::duration;
use crate::{answer, fail, tool};

/// Exit status when not everything was answered, or not in time.
const EXIT_INCOMPLETE: u8 = 1;
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long nobody may take it up before that is said.
const TAKEN_UP_AFTER: Duration = Duration::from_secs(10);

/// The part of the help that options cannot say.
pub(super) const HELP: &str = "\
Needs DATABASE_URL, and a worker with STRIPE_API_KEY that runs elsewhere: it asks, under the fleet's budget, for the
customer and its subscriptions, invoices, payments, charges and checkouts, and then for refunds, disputes and what
payments paid. What Stripe shows takes part like an event; effects follow within a second. Interrupting this stops nothing.

Examples:
  tollgate customer resync cus_QZ0ABCDEF --dry-run
  tollgate customer resync cus_QZ0ABCDEF --reason 'the endpoint was off on Monday' --json

Exit status: 0 when everything was answered; 1 when something was given up, not answered in time, or when Postgres
cannot be asked or its schema does not suit; 78 for unusable settings.";

/// What `tollgate customer resync` takes. The database is `DATABASE_URL`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Which customer: cus_...
    #[arg(value_name = "CUSTOMER")]
    customer: String,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "tollgate customer resync")]
    reason: String,
    /// Only say what would be asked, and what is known
    #[arg(long)]
    dry_run: bool,
    /// Longest to wait: 500ms, 30s, 2m
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    timeout: Duration,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    customer: &'a str,
    over: bool,
    asked: i64,
    done: i64,
    given_up: i64,
    objects: i64,
    changed: i64,
    trouble: &'a [(String, String, String)],
}

/// Runs the command.
pub(super) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let store = tool::open(&url).await?;
    if options.dry_run {
        return rehearse(&store, options).await;
    }
    if options.reason.trim().is_empty() {
        return Err("--reason: say why".into());
    }
    let (id, key) = (format!("rsy_{}", unique::word()), unique::word());
    let operator = tool::operator(&options.account);
    let new = NewResync {
        id: &id,
        key: &key,
        customer: &options.customer,
        reason: &options.reason,
        by: &operator.login,
    };
    let id = store.begin_resync(&operator, &new).await?;
    let last = watch(&store, options, &id).await?;
    store.close().await;
    report(options, &last);
    let is_whole = last.is_over() && last.given_up == 0;
    Ok(ExitCode::from(if is_whole { 0 } else { EXIT_INCOMPLETE }))
}

/// What would be asked first, and what there is.
async fn rehearse(store: &Store, options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let known = store
        .known_of_customer(&options.account, &options.customer)
        .await?;
    store.close().await;
    let questions = worker::resync::questions(&options.account, &options.customer);
    let asked: Vec<&str> = questions.iter().map(|key| key.kind.as_str()).collect();
    if options.json {
        let known: serde_json::Map<String, serde_json::Value> = known
            .into_iter()
            .map(|(kind, count)| (kind, count.into()))
            .collect();
        answer(&json!({"dry_run": true, "asks_for": asked, "known": known}).to_string());
    } else {
        for (kind, count) in known {
            answer(&format!("{count:>9}  {kind} known"));
        }
        answer(&format!("would ask Stripe for: {}", asked.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}

/// Looks until it is over, or until time runs out, and says how far it is whenever that changes.
async fn watch(store: &Store, options: &Options, id: &str) -> Result<Resync, Box<dyn Error>> {
    let began = Instant::now();
    let (mut said, mut warned) = (None, false);
    loop {
        let seen = look(store, &options.account, id).await?;
        let now = (seen.asked, seen.done, seen.given_up);
        if said != Some(now) && seen.is_planned {
            eprintln!("tollgate: {} of {} questions answered", seen.done, seen.asked);
            said = Some(now);
        }
        if seen.is_over() || began.elapsed() >= options.timeout {
            return Ok(seen);
        }
        if !seen.is_planned && !warned && began.elapsed() >= TAKEN_UP_AFTER {
            eprintln!("tollgate: nobody takes it up; does a worker with STRIPE_API_KEY run?");
            warned = true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn look(store: &Store, account: &str, id: &str) -> Result<Resync, Box<dyn Error>> {
    let found: Result<Option<Resync>, StoreError> = store.resync(account, id).await;
    found?.ok_or_else(|| "the resync is gone".into())
}

fn report(options: &Options, last: &Resync) {
    if options.json {
        return answer(&tool::json(&Answer {
            id: &last.id,
            customer: &last.customer,
            over: last.is_over(),
            asked: last.asked,
            done: last.done,
            given_up: last.given_up,
            objects: last.objects,
            changed: last.changed,
            trouble: &last.trouble,
        }));
    }
    answer(&format!(
        "{} of {} questions answered; {} objects, of which {} were not as we had them",
        last.done, last.asked, last.objects, last.changed
    ));
    for (kind, id, error) in &last.trouble {
        fail(&format!("{kind} {id}: {error}"));
    }
    if !last.is_over() {
        fail(&"not over in time; the workers go on");
    }
}
