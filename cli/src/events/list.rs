//! `tollgate events list`.

use std::error::Error;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::Value;
use store::Status;
use store::dead::Cursor;
use store::events::{EventFilter, EventPage};

use super::{line, object};
use crate::when::moment;
use crate::{answer, tool};

/// Most events of one page.
const LIMIT_MAX: i64 = 1_000;

/// The part of the help that options cannot say.
pub(super) const HELP: &str = "\
An event has to fit all that is said. An id, an object, a customer and --status parked are found at once; anything else
is looked for backwards in time, 20,000 events at a time: an answer may then be short, or empty, and end with what
--after takes to look further. With --json each line is an event, and its `cursor` is what --after takes.

Examples:
  tollgate events list --since 15m --status ignored
  tollgate events list --object in_1NG8Du2eZvKYlo2C
  tollgate events list --type 'customer.subscription.*' --endpoint default --limit 100

Exit status: 0; 1 when Postgres cannot be asked or its schema does not suit; 2 for unusable options; 78 for unusable
settings.";

/// What `tollgate events list` takes.
#[derive(clap::Args)]
pub(super) struct Options {
    /// The event's id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Its type, or how that begins: 'invoice.*'
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// The customer whose object it is about
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// The object it is about
    #[arg(long, value_name = "ID", conflicts_with = "customer")]
    object: Option<String>,
    /// What became of it
    #[arg(long, value_enum)]
    status: Option<StatusWord>,
    /// The endpoint that received it
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
    /// Received then or later: 2026-11-21T20:00:00Z, or how long ago: 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<i64>,
    /// Received before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<i64>,
    /// Happened at Stripe then or later
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_since: Option<i64>,
    /// Happened at Stripe before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_until: Option<i64>,
    /// Most events to show
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
    limit: u32,
    /// Go on where an earlier answer ended
    #[arg(long, value_name = "END")]
    after: Option<Cursor>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum StatusWord {
    Applied,
    Ignored,
    Parked,
}

impl Options {
    fn filter(&self) -> EventFilter {
        EventFilter {
            account: self.account.clone(),
            id: self.id.clone(),
            object: self.object.clone(),
            customer: self.customer.clone(),
            event_type: self.event_type.clone(),
            status: self.status.map(|status| match status {
                StatusWord::Applied => Status::Applied,
                StatusWord::Ignored => Status::Ignored,
                StatusWord::Parked => Status::Parked,
            }),
            endpoint: self.endpoint.clone(),
            received_since_us: self.since,
            received_until_us: self.until,
            created_since: self.created_since.map(|us| us.div_euclid(1_000_000)),
            created_until: self.created_until.map(|us| us.div_euclid(1_000_000)),
        }
    }
}

pub(super) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let store = tool::open(&url).await?;
    let mut tx = store.begin().await?;
    let page = tx
        .events()
        .find(&options.filter(), options.after.as_ref(), options.limit)
        .await?;
    drop(tx);
    store.close().await;
    if options.json {
        in_json(&page);
    } else {
        page.events.iter().for_each(|event| answer(&line(event)));
        if let Some(next) = &page.next {
            answer(&format!("more: --after {next}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn in_json(page: &EventPage) {
    for event in &page.events {
        let mut line = object(event);
        let cursor = Cursor {
            at_us: event.received_us,
            id: event.id.clone(),
        };
        line["cursor"] = Value::from(cursor.to_string());
        answer(&line.to_string());
    }
}
