//! `tollgate ledger history`.

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;
use store::{HISTORY_MAX, History, HistoryCursor, HistoryEntry};

use super::{Shown, Whose};
use crate::when::shown_seconds;
use crate::{answer, tool};

/// The part of the help that options cannot say.
pub(super) const HELP: &str = "\
Where there is more, the answer ends with what --after takes to go on: pages fit together, whatever is added meanwhile.

Examples:
  tollgate ledger history user usr_7f3a1c
  tollgate ledger history team acme --limit 100 --after 48213.1500
  tollgate ledger history user usr_7f3a1c --json | jq -r '.entries[].key'

Exit status: 0; 1 when Postgres cannot be asked or its schema does not suit; 78 for unusable settings.";

/// What `tollgate ledger history` takes.
#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    whose: Whose,
    /// Most entries to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(HISTORY_MAX)))]
    limit: u32,
    /// Go on where an earlier answer ended
    #[arg(long, value_name = "END")]
    after: Option<HistoryCursor>,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Serialize)]
struct Answer<'a> {
    account: &'a str,
    owner_kind: &'static str,
    owner_id: &'a str,
    /// The newest first.
    entries: Vec<Entry<'a>>,
    /// What `--after` takes; null when there is no more.
    next: Option<String>,
}

#[derive(Serialize)]
struct Entry<'a> {
    transfer_id: i64,
    kind: &'a str,
    /// What came; below zero, what went.
    credits: i64,
    /// The balance after it.
    balance: i64,
    key: &'a str,
    seq: i32,
    source_kind: Option<&'a str>,
    source_id: Option<&'a str>,
    user_id: Option<&'a str>,
    reason: Option<&'a str>,
    /// RFC 3339, as the next one.
    expires_at: Option<String>,
    created_at: String,
}

pub(super) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let store = tool::open(&url).await?;
    let Shown { account, json } = &options.shown;
    let owner = options.whose.owner();
    let history = store
        .history(account, &owner, options.after, options.limit)
        .await?;
    store.close().await;
    if *json {
        answer(&tool::json(&Answer {
            account,
            owner_kind: owner.kind(),
            owner_id: owner.id(),
            entries: history.entries.iter().map(entry).collect(),
            next: history.next.map(|next| next.to_string()),
        }));
    } else {
        answer(&in_words(&history));
    }
    Ok(ExitCode::SUCCESS)
}

fn entry(it: &HistoryEntry) -> Entry<'_> {
    Entry {
        transfer_id: it.transfer_id,
        kind: &it.kind,
        credits: it.credits,
        balance: it.balance,
        key: &it.key,
        seq: it.seq,
        source_kind: it.source_kind.as_deref(),
        source_id: it.source_id.as_deref(),
        user_id: it.user_id.as_deref(),
        reason: it.reason.as_deref(),
        expires_at: it.expires_at.map(shown_seconds),
        created_at: shown_seconds(it.created_at),
    }
}

fn in_words(history: &History) -> String {
    if history.entries.is_empty() {
        return "nothing".to_owned();
    }
    let mut lines: Vec<String> = history.entries.iter().map(line).collect();
    lines.extend(history.next.map(|next| format!("more: --after {next}")));
    lines.join("\n")
}

fn line(it: &HistoryEntry) -> String {
    let mut line = format!(
        "{}  {:>+10}  {:>10}  {:<8} {}",
        shown_seconds(it.created_at),
        it.credits,
        it.balance,
        it.kind,
        it.key
    );
    if let Some(user) = &it.user_id {
        line += &format!("  by {user}");
    }
    if let Some(reason) = &it.reason {
        line += &format!("  for {reason}");
    }
    if let Some(expires_at) = it.expires_at {
        line += &format!("  until {}", shown_seconds(expires_at));
    }
    line
}
