//! `tollgate replay`: what stored events made of objects, written once more as this build reads them.

use std::collections::HashSet;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use store::Store;
use store::api::AuditRow;
use store::dead::Cursor;
use store::events::{EventFilter, EventLine, EventPage};
use worker::reapply::{Reapplied, reapply};

use crate::when::moment;
use crate::{answer, fail, tool};

/// Exit status for options that do not do.
const EXIT_USAGE: u8 = 2;
/// Exit status when some objects were left as they are.
const EXIT_PARTIAL: u8 = 3;
/// Events looked at together; their objects are written in one transaction.
const PAGE_EVENTS: u32 = 256;
/// Objects that are remembered, so that one with a thousand events is written once. Beyond that some are written again.
const REMEMBERED_MAX: usize = 1_000_000;
/// Pause between lines that say how far it is.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs DATABASE_URL; workers draw the consequences. Of each object that these events are about, the event that stands is
read again, as this build reads it, and the object's rows are written as it says: after a build that reads better, or when
somebody has changed rows by hand. Which event stands stays what it is, so an older one never takes the place of a newer
one; users and credits are reckoned anew from the rows. Whatever is right already stays as it is, so it may be run at any
time, again, and be interrupted; --after goes on where it said it was. Who did it, and why, is in the audit log.

Not for what was set aside (tollgate dead replay), for another policy (tollgate reckon --all), or for events that never
came (tollgate reconcile, tollgate customer resync).

Examples:
  tollgate replay evt_1NG8Du2eZvKYlo2C --why 'a row was deleted by hand'
  tollgate replay --type 'invoice.*' --since 7d --dry-run
  tollgate replay --all --why 'reads tax since 4.3' && tollgate idle --timeout 10m

Exit status: 0; 1 when Postgres cannot be asked, its schema does not suit, or an event is not there; 2 for unusable options;
3 when this build cannot read what stands of some objects, which are left as they are; 78 for unusable settings.";

/// What `tollgate replay` takes. The database is `DATABASE_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// These events
    #[arg(value_name = "EVENT", conflicts_with_all = ["event_type", "customer", "since", "until", "all", "after"])]
    events: Vec<String>,
    /// Events of this type, or one that begins so: 'invoice.*'
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Events about this customer, or an object of theirs
    #[arg(long, value_name = "CUS")]
    customer: Option<String>,
    /// Received then or later: 2026-11-21T20:00:00Z, or how long ago: 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<i64>,
    /// Received before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<i64>,
    /// All events; needed when nothing else says which
    #[arg(long)]
    all: bool,
    /// Go on where an earlier one was
    #[arg(long, value_name = "END")]
    after: Option<Cursor>,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
    /// Why; kept in the audit log
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    why: Option<String>,
    /// Change nothing; count
    #[arg(long)]
    dry_run: bool,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// How far it is, and in the end the answer.
#[derive(Debug, Default, Serialize)]
struct Answer {
    dry_run: bool,
    /// Applied events that fit.
    events: u64,
    /// Objects they are about: written, or, in a dry run, to be written.
    objects: u64,
    /// Left as they are.
    unreadable: u64,
    #[serde(skip)]
    seen: HashSet<String>,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    if options.events.is_empty() && !options.names_some() {
        fail(&"say which events, or --all");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let store = tool::open(&url).await?;
    if !options.dry_run {
        audit(options, &store).await?;
    }
    let mut told = Answer {
        dry_run: options.dry_run,
        ..Answer::default()
    };
    if options.events.is_empty() {
        every(options, &store, &mut told).await?;
    } else {
        let events = named(options, &store).await?;
        page(options, &store, &events, &mut told).await?;
    }
    store.close().await;
    answer(&if options.json {
        tool::json(&told)
    } else {
        in_words(&told)
    });
    let status = if told.unreadable > 0 { EXIT_PARTIAL } else { 0 };
    Ok(ExitCode::from(status))
}

/// All that fit, the newest first.
async fn every(options: &Options, store: &Store, told: &mut Answer) -> Result<(), Box<dyn Error>> {
    let filter = options.filter();
    let (mut after, mut said) = (options.after.clone(), Instant::now());
    loop {
        let found = find(store, &filter, after.as_ref()).await?;
        page(options, store, &found.events, told).await?;
        let Some(next) = found.next else { return Ok(()) };
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            eprintln!("tollgate: {} objects so far; --after {next}", told.objects);
        }
        after = Some(next);
    }
}

/// Those that were named; each has to be there.
async fn named(options: &Options, store: &Store) -> Result<Vec<EventLine>, Box<dyn Error>> {
    let mut events = Vec::with_capacity(options.events.len());
    for id in &options.events {
        let one = EventFilter {
            id: Some(id.clone()),
            ..options.filter()
        };
        let mut found = find(store, &one, None).await?.events;
        events.push(found.pop().ok_or_else(|| format!("there is no event {id}"))?);
    }
    Ok(events)
}

async fn find(
    store: &Store,
    filter: &EventFilter,
    after: Option<&Cursor>,
) -> Result<EventPage, store::StoreError> {
    store
        .begin()
        .await?
        .events()
        .find(filter, after, PAGE_EVENTS)
        .await
}

/// The objects that events are about, and that were not met before.
async fn page(
    options: &Options,
    store: &Store,
    events: &[EventLine],
    told: &mut Answer,
) -> Result<(), store::StoreError> {
    let applied = events.iter().filter(|event| event.status == "applied");
    let mut ids = Vec::new();
    for event in applied {
        told.events += 1;
        if let Some(id) = event.object_id.as_ref().filter(|id| !told.seen.contains(*id)) {
            told.seen.insert(id.clone());
            ids.push(id.clone());
        }
    }
    if told.seen.len() > REMEMBERED_MAX {
        told.seen.clear();
    }
    let done = if options.dry_run {
        Reapplied {
            written: ids.len() as u64,
            unreadable: 0,
        }
    } else {
        reapply(store, &options.account, &ids).await?
    };
    told.objects += done.written;
    told.unreadable += done.unreadable;
    Ok(())
}

/// Before anything is done: it may be interrupted.
async fn audit(options: &Options, store: &Store) -> Result<(), Box<dyn Error>> {
    let why = options.why.as_deref().unwrap_or_default();
    if why.trim().is_empty() {
        return Err("--why: say why".into());
    }
    let detail = json!({
        "events": options.events, "type": options.event_type, "customer": options.customer,
        "since_us": options.since, "until_us": options.until,
    });
    let mut tx = store.begin().await?;
    let row = AuditRow {
        action: "events.replay",
        user: None,
        subject: None,
        reason: why,
        detail: &detail,
    };
    tx.audit_as(&tool::operator(&options.account), row).await?;
    Ok(tx.commit().await?)
}

fn in_words(told: &Answer) -> String {
    let did = if told.dry_run {
        "would be written again"
    } else {
        "written again; the workers reckon what follows"
    };
    let left = match told.unreadable {
        0 => String::new(),
        count => format!("; {count} left as they are, for this build cannot read what stands of them"),
    };
    format!("{} objects of {} events {did}{left}", told.objects, told.events)
}

impl Options {
    fn filter(&self) -> EventFilter {
        EventFilter {
            account: self.account.clone(),
            event_type: self.event_type.clone(),
            customer: self.customer.clone(),
            received_since_us: self.since,
            received_until_us: self.until,
            ..EventFilter::default()
        }
    }

    /// Whether it says anything at all.
    fn names_some(&self) -> bool {
        let says = [
            self.event_type.is_some(),
            self.customer.is_some(),
            self.since.is_some(),
            self.until.is_some(),
        ];
        self.all || says.contains(&true)
    }
}
