//! `tollgate reconcile`: Stripe's list of events from some time on, compared with what is here. Workers do the same for
//! ever; this looks further back, or only looks.

use std::collections::HashSet;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use domain::coverage::Counts;
use serde_json::{Value, json};
use shared::clock::Clock;
use store::coverage::NewHole;
use worker::reconcile::{Comparer, KEPT_SECONDS, Listed, Mender, Pass, Span};

use crate::comparing::Settings;
use crate::idle::duration;
use crate::when::{moment, shown_seconds};
use crate::{answer, fail, tool};

/// Exit status when events are missing: found by a dry run, or not filled in within the time.
const EXIT_MISSING: u8 = 3;
/// How often to look whether what was missing is here.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Holes looked at together.
const TOGETHER: usize = 1_000;
const SECOND_US: i64 = 1_000_000;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs DATABASE_URL, REDIS_URL and STRIPE_API_KEY, which must be able to read events, webhook endpoints and the account;
and, unless this is a dry run, workers that run elsewhere. Stripe keeps events for 30 days. Events that Stripe may still
be about to deliver (TOLLGATE_RECONCILE_GRACE_SECONDS) are not looked at, nor are types our endpoint is not sent. What is
missing is put into the queue, behind live traffic. May be interrupted and repeated at any time.

Examples:
  tollgate reconcile --since 7d --dry-run
  tollgate reconcile --since 2026-11-21T00:00:00Z --json

Exit status: 0 when nothing is missing, or everything was filled in; 3 when something is missing; 1 when Stripe, Redis or
Postgres cannot be asked, or the key is of another account; 78 for unusable settings.";

/// What `tollgate reconcile` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// From when on: 2026-11-21T20:00:00Z, or how long ago: 90s, 15m, 2h, 7d
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: i64,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
    /// Only say what is missing
    #[arg(long)]
    dry_run: bool,
    /// Longest to wait for what was filled in: 500ms, 30s, 2m
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    timeout: Duration,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// What came of it.
struct Outcome {
    counts: Counts,
    missing: Vec<NewHole>,
    /// Of these, those that are here by now.
    filled: usize,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    tool::run(Settings::read, |settings| run(options, settings))
}

async fn run(options: &Options, settings: Settings) -> Result<ExitCode, Box<dyn Error>> {
    let Some(stripe) = settings.stripe.clone() else {
        return Err("STRIPE_API_KEY: required here".into());
    };
    let store = tool::open(&settings.database_url).await?;
    let (common, clock) = (&settings.common, Clock::system());
    let mut comparer = Comparer::new(common, stripe, &settings.reconcile, store.clone(), clock.clone())?;
    let mut mender = Mender::new(common, clock);
    let grace = settings.reconcile.grace;
    let mut outcome = compare(options, grace, &mut comparer, &mut mender).await?;
    if !options.dry_run {
        outcome.filled = wait(&comparer, options, &outcome.missing).await?;
    }
    store.close().await;
    report(options, &outcome);
    let is_whole = outcome.filled == outcome.missing.len();
    Ok(ExitCode::from(if is_whole { 0 } else { EXIT_MISSING }))
}

/// Goes through the list, and fills in what is missing unless this is a dry run.
async fn compare(
    options: &Options,
    grace: i64,
    comparer: &mut Comparer,
    mender: &mut Mender,
) -> Result<Outcome, Box<dyn Error>> {
    let known = comparer.store.coverages().await?;
    let known = known.into_iter().find(|it| it.account == options.account);
    comparer
        .identify(known.and_then(|it| it.identity).as_ref())
        .await?;
    let ours = comparer.ours().await?;
    let oldest = ours.as_of - KEPT_SECONDS;
    let span = Span {
        since: options.since.div_euclid(SECOND_US).max(oldest),
        until: None,
    };
    let mut pass = Pass::new(&options.account, span, &ours, 0, grace, Clock::system());
    let mut missing: Vec<NewHole> = Vec::new();
    while let Some(page) = pass.next(comparer).await? {
        let holes: Vec<NewHole> = page.iter().map(Listed::hole).collect();
        if !options.dry_run {
            comparer.store.note_holes(&options.account, &holes).await?;
            mender.mend(comparer, &options.account, &page).await?;
        }
        missing.extend(holes);
        let listed = pass.comparison().map_or(0, |seen| seen.counts().listed());
        eprintln!("tollgate: {listed} events compared, {} missing", missing.len());
    }
    Ok(Outcome {
        counts: pass.comparison().map(|seen| seen.counts()).unwrap_or_default(),
        missing,
        filled: 0,
    })
}

/// Waits until everything that was missing is here, or time runs out; returns how much is.
async fn wait(comparer: &Comparer, options: &Options, missing: &[NewHole]) -> Result<usize, Box<dyn Error>> {
    let began = Instant::now();
    let mut open: HashSet<&str> = missing.iter().map(|hole| hole.event_id.as_str()).collect();
    loop {
        let ids: Vec<&str> = open.iter().copied().collect();
        for ids in ids.chunks(TOGETHER) {
            let here = comparer.store.known_of(&options.account, ids).await?;
            open.retain(|id| !here.contains_key(*id));
        }
        if open.is_empty() || began.elapsed() >= options.timeout {
            let most = u32::try_from(missing.len()).unwrap_or(u32::MAX);
            comparer.store.settle_holes(&options.account, most).await?;
            return Ok(missing.len() - open.len());
        }
        eprintln!(
            "tollgate: {} of {} filled in",
            missing.len() - open.len(),
            missing.len()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn report(options: &Options, outcome: &Outcome) {
    let (counts, missing) = (&outcome.counts, &outcome.missing);
    if options.json {
        let hole =
            |hole: &NewHole| json!({"id": hole.event_id, "type": hole.event_type, "created": hole.created});
        let missing: Vec<Value> = missing.iter().map(hole).collect();
        return answer(
            &json!({
                "dry_run": options.dry_run, "listed": counts.listed(), "applied": counts.applied,
                "ignored": counts.ignored, "parked": counts.parked, "queued": counts.queued,
                "unknown": counts.unknown, "young": counts.young, "unsubscribed": counts.unsubscribed,
                "missing": missing, "filled": outcome.filled,
            })
            .to_string(),
        );
    }
    for hole in missing {
        let at = shown_seconds(hole.created);
        answer(&format!("{at}  {:<45} {}", hole.event_type, hole.event_id));
    }
    answer(&format!(
        "{} events listed: {} applied, {} ignored, {} set aside, {} queued, {} missing, of which {} filled in",
        counts.listed(),
        counts.applied,
        counts.ignored,
        counts.parked,
        counts.queued,
        missing.len(),
        outcome.filled
    ));
    if counts.unknown > 0 {
        fail(&format!(
            "the queue is too long to find out whether {} more events are in it",
            counts.unknown
        ));
    }
}
