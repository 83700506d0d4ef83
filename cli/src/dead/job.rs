//! `tollgate dead replay`, `discard`, `watch` and `stop`: jobs, which a worker carries out.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use store::Store;
use store::api::AuditRow;
use store::dead::{Deed, Filter, Job, JobState, NewJob};

use super::{EXIT_PARTIAL, Which, preview};
use crate::{answer, fail, tool};

/// Exit status for options that do not do.
const EXIT_USAGE: u8 = 2;
/// Letters that a dry run runs, when nothing else is said: each is a transaction.
const DRY_RUN_LETTERS: u32 = 10;
/// At most.
const DRY_RUN_MAX: i64 = 1_000;
/// How often to look how far a job is.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long nobody may be at a job before that is said.
const NOBODY_AFTER: Duration = Duration::from_secs(10);

/// The part of the help that options cannot say.
pub(super) const HELP: &str = "\
Counts first, and asks when somebody is there to answer; elsewhere it needs --yes. Which letters is settled then: what
is set aside later is not among them. A worker carries it out, so Ctrl-C ends only the watching; `tollgate dead watch`
takes it up again, and `tollgate dead stop` ends the job. A letter is run again exactly once in effect, whatever dies in
between and however often it is asked for. Who asked for what, and why, is in the audit log.

A dry run of a replay runs the oldest letters (10, or --limit) in transactions that are taken back, and shows which rows
would change: those of the event, of its letter and of its object. Credits and states follow later and are not shown.

Examples:
  tollgate dead replay --fingerprint 3f9c0a71be42 --dry-run
  tollgate dead replay --fingerprint 3f9c0a71be42 --rate 50 --why 'fixed in 4.2'
  tollgate dead discard --reason malformed_entry --why 'a load test' --yes

Exit status: 0; 1 when Postgres cannot be asked or its schema does not suit; 2 for unusable options; 3 when some letters
were set aside again, or would be; 78 for unusable settings.";

/// What both take.
#[derive(clap::Args)]
struct Asked {
    #[command(flatten)]
    which: Which,
    /// All that wait; needed when nothing else says which
    #[arg(long)]
    all: bool,
    /// Letters a second, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Why; kept in the audit log
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    why: Option<String>,
    /// Change nothing; say how many there are
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Do not watch; the job's id is the answer
    #[arg(long)]
    no_wait: bool,
    /// Answer with one JSON object; a dry run with one a line
    #[arg(long)]
    json: bool,
}

/// What `tollgate dead replay` takes.
#[derive(clap::Args)]
pub(super) struct Replay {
    #[command(flatten)]
    asked: Asked,
    /// Letters that a dry run runs
    #[arg(long, value_name = "N", requires = "dry_run", value_parser = clap::value_parser!(u32).range(1..=DRY_RUN_MAX))]
    limit: Option<u32>,
}

/// What `tollgate dead discard` takes.
#[derive(clap::Args)]
pub(super) struct Discard {
    #[command(flatten)]
    asked: Asked,
}

/// What `tollgate dead watch` takes.
#[derive(clap::Args)]
pub(super) struct Watch {
    #[command(flatten)]
    named: Named,
}

/// What `tollgate dead stop` takes.
#[derive(clap::Args)]
pub(super) struct Stop {
    #[command(flatten)]
    named: Named,
}

#[derive(clap::Args)]
struct Named {
    /// The job's id
    #[arg(value_name = "JOB")]
    id: i64,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn replay(options: &Replay) -> ExitCode {
    let limit = options.limit.unwrap_or(DRY_RUN_LETTERS);
    tool::run(worker::config::database_url, |url| {
        ask(&options.asked, Deed::Replay, limit, url)
    })
}

pub(super) fn discard(options: &Discard) -> ExitCode {
    tool::run(worker::config::database_url, |url| {
        ask(&options.asked, Deed::Discard, 0, url)
    })
}

pub(super) fn watch(options: &Watch) -> ExitCode {
    let Named { id, account, json } = &options.named;
    tool::run(worker::config::database_url, async |url: String| {
        let store = tool::open(&url).await?;
        watch_job(&store, account, *id, *json).await
    })
}

pub(super) fn stop(options: &Stop) -> ExitCode {
    let Named { id, account, json } = &options.named;
    tool::run(worker::config::database_url, async |url: String| {
        let store = tool::open(&url).await?;
        let mut tx = store.begin().await?;
        let stopped = tx.dead().stop_job(account, *id).await?;
        if stopped {
            tx.audit_as(
                &tool::operator(account),
                audit_row("dead_letters.stop", &id.to_string(), "by hand", &json!({})),
            )
            .await?;
        }
        tx.commit().await?;
        if !stopped {
            return Ok(fail(&format!("there is no open job {id}")));
        }
        answer(&if *json {
            json!({"stopped": id}).to_string()
        } else {
            format!("stopped job {id}")
        });
        Ok(ExitCode::SUCCESS)
    })
}

async fn ask(asked: &Asked, deed: Deed, limit: u32, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let filter = asked.which.filter()?;
    if !asked.all && !asked.which.names_some() {
        fail(&"say which letters, or --all");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let store = tool::open(&url).await?;
    let mut tx = store.begin().await?;
    let counted = tx.dead().count(&filter).await?;
    drop(tx);
    if asked.dry_run {
        eprintln!("tollgate: {counted} dead letters fit; nothing is changed");
        let again = match deed {
            Deed::Replay => preview::show(&store, &filter, limit, asked.json).await?,
            Deed::Discard => 0,
        };
        if deed == Deed::Discard && asked.json {
            answer(&json!({"counted": counted}).to_string());
        }
        store.close().await;
        return Ok(ExitCode::from(if again > 0 { EXIT_PARTIAL } else { 0 }));
    }
    if counted > 0 && !asked.yes {
        match is_wanted(deed, counted) {
            Some(true) => {}
            Some(false) => return Ok(ExitCode::SUCCESS),
            None => {
                fail(&format!(
                    "{counted} dead letters fit; say --yes, for there is nobody to ask"
                ));
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        }
    }
    let why = asked.why.as_deref().unwrap_or_default();
    let job = open_job(&store, asked, deed, &filter, counted, why).await?;
    if asked.no_wait {
        answer(&if asked.json {
            object(&job).to_string()
        } else {
            format!("job {}", job.id)
        });
        return Ok(ExitCode::SUCCESS);
    }
    watch_job(&store, &filter.account, job.id, asked.json).await
}

/// The job and its place in the audit log, or neither.
async fn open_job(
    store: &Store,
    asked: &Asked,
    deed: Deed,
    filter: &Filter,
    counted: u64,
    why: &str,
) -> Result<Job, Box<dyn Error>> {
    let operator = tool::operator(&filter.account);
    if why.trim().is_empty() {
        return Err("--why: say why".into());
    }
    let mut tx = store.begin().await?;
    let job = tx
        .dead()
        .open_job(NewJob {
            deed,
            filter,
            rate: asked.rate,
            why,
            actor: &operator.login,
            counted,
        })
        .await?;
    tx.audit_as(
        &operator,
        audit_row(
            deed.audited(),
            &job.id.to_string(),
            why,
            &json!({"counted": job.counted}),
        ),
    )
    .await?;
    tx.commit().await?;
    Ok(job)
}

fn audit_row<'a>(
    action: &'static str,
    job: &'a str,
    reason: &'a str,
    detail: &'a serde_json::Value,
) -> AuditRow<'a> {
    AuditRow {
        action,
        user: None,
        subject: Some(job),
        reason,
        detail,
    }
}

/// Asks whoever is there; `None` when nobody is.
fn is_wanted(deed: Deed, counted: u64) -> Option<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    eprint!("{} {counted} dead letters? [y/N] ", deed.as_str());
    std::io::stderr().flush().ok();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).ok()?;
    Some(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// Shows how far a job is until it is over.
async fn watch_job(store: &Store, account: &str, id: i64, in_json: bool) -> Result<ExitCode, Box<dyn Error>> {
    let mut bar = None;
    let (mut moved_at, mut seen, mut is_said) = (Instant::now(), 0, false);
    let job = loop {
        let mut tx = store.begin().await?;
        let Some(job) = tx.dead().job(account, id).await? else {
            return Ok(fail(&format!("there is no job {id}")));
        };
        drop(tx);
        let looked = job.done + job.failed + job.skipped;
        bar.get_or_insert_with(|| progress_bar(job.counted))
            .set_position(looked);
        if looked > seen {
            (moved_at, seen) = (Instant::now(), looked);
        }
        if job.state != JobState::Open {
            break job;
        }
        if !is_said && job.attempts == 0 && moved_at.elapsed() > NOBODY_AFTER {
            is_said = true;
            eprintln!("tollgate: nobody is at job {id} yet; does a worker run?");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    store.close().await;
    answer(&if in_json {
        object(&job).to_string()
    } else {
        in_words(&job)
    });
    Ok(ExitCode::from(if job.failed > 0 { EXIT_PARTIAL } else { 0 }))
}

/// On stderr, and only where somebody looks.
fn progress_bar(counted: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(counted), target);
    let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {pos}/{len} letters, {eta} to go");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn object(it: &Job) -> serde_json::Value {
    json!({
        "job": it.id, "deed": it.deed.as_str(), "state": it.state.as_str(), "counted": it.counted, "done": it.done,
        "failed": it.failed, "skipped": it.skipped,
    })
}

fn in_words(it: &Job) -> String {
    let deed = match it.deed {
        Deed::Replay => "run again",
        Deed::Discard => "discarded",
    };
    let mut parts = vec![format!("{} of {} {deed}", it.done, it.counted)];
    if it.failed > 0 {
        parts.push(format!("{} set aside again", it.failed));
    }
    if it.skipped > 0 {
        parts.push(format!("{} settled by somebody else meanwhile", it.skipped));
    }
    format!("job {} {}: {}", it.id, it.state.as_str(), parts.join(", "))
}
