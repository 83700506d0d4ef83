//! `tollgate dead list`.

use std::error::Error;
use std::process::ExitCode;

use serde_json::{Value, json};
use store::dead::{Cursor, Group, Letter};

use super::{Which, object};
use crate::when::shown;
use crate::{answer, tool};

/// Most letters of one page.
const LIMIT_MAX: i64 = 1_000;

/// What `tollgate dead list` takes.
#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    which: Which,
    /// Causes in place of letters, those with the most letters first
    #[arg(long, conflicts_with_all = ["ids", "customer", "since", "until", "after"])]
    groups: bool,
    /// Most lines to show
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
    limit: u32,
    /// Go on where an earlier answer ended: with --json, the `cursor` of its last line
    #[arg(long, value_name = "END")]
    after: Option<Cursor>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let filter = options.which.filter()?;
    let store = tool::open(&url).await?;
    let mut tx = store.begin().await?;
    if options.groups {
        let groups = tx.dead().groups(&filter, options.limit).await?;
        for group in &groups {
            answer(&if options.json {
                group_object(group).to_string()
            } else {
                group_line(group)
            });
        }
    } else {
        let mut letters = tx
            .dead()
            .letters(&filter, options.after.as_ref(), options.limit + 1)
            .await?;
        let has_more = letters.len() > options.limit as usize;
        letters.truncate(options.limit as usize);
        for letter in &letters {
            answer(&if options.json {
                with_cursor(letter).to_string()
            } else {
                line(letter)
            });
        }
        if let Some(last) = letters.last().filter(|_| has_more && !options.json) {
            answer(&format!("more: --after {}", cursor(last)));
        }
    }
    drop(tx);
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn cursor(letter: &Letter) -> Cursor {
    Cursor {
        at_us: letter.parked_us,
        id: letter.id.clone(),
    }
}

fn with_cursor(letter: &Letter) -> Value {
    let mut line = object(letter);
    line["cursor"] = Value::from(cursor(letter).to_string());
    line
}

fn line(it: &Letter) -> String {
    let replays = match it.replays {
        0 => String::new(),
        replays => format!("  replayed {replays}x"),
    };
    format!(
        "{}  {}  {:<28} {:<30} {}: {}{replays}",
        shown(it.parked_us),
        it.fingerprint,
        it.id,
        it.event_type.as_deref().unwrap_or("-"),
        it.reason,
        it.detail,
    )
}

fn group_object(it: &Group) -> Value {
    json!({
        "fingerprint": it.fingerprint, "letters": it.letters, "class": it.class, "reason": it.reason,
        "type": it.event_type, "first_at": shown(it.first_us), "last_at": shown(it.last_us),
        "sample_id": it.sample_id, "sample_detail": it.sample_detail,
    })
}

fn group_line(it: &Group) -> String {
    format!(
        "{:>9}  {}  {:<30} {}: {}  ({}, from {} to {})",
        it.letters,
        it.fingerprint,
        it.event_type.as_deref().unwrap_or("-"),
        it.reason,
        it.sample_detail,
        it.sample_id,
        shown(it.first_us),
        shown(it.last_us),
    )
}
