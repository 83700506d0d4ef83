//! `tollgate events`: what came in, and what became of it.

mod list;
mod show;

use std::process::ExitCode;

use serde_json::{Value, json};
use store::events::EventLine;

use crate::when::shown;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs DATABASE_URL. Reads only.

Examples:
  tollgate events list --type 'invoice.*' --since 2h
  tollgate events list --customer cus_7f3a1c --json | jq -r .id
  tollgate events show evt_1NG8Du2eZvKYlo2C

Exit status: 0; 1 when Postgres cannot be asked, its schema does not suit, or there is no such event; 2 for unusable
options; 78 for unusable settings.";

/// What `tollgate events` takes. The database is `DATABASE_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Find events, the newest first
    #[command(after_help = list::HELP)]
    List(Box<list::Options>),
    /// Tell one event's story: deliveries, being set aside, replays, what it changed, events of the same object
    #[command(
        after_help = "Examples:\n  tollgate events show evt_1NG8Du2eZvKYlo2C\n  tollgate events show evt_1NG8Du2eZvKYlo2C --json"
    )]
    Show(show::Options),
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match &options.command {
        Command::List(options) => list::main(options),
        Command::Show(options) => show::main(options),
    }
}

fn object(it: &EventLine) -> Value {
    json!({
        "account": it.account, "id": it.id, "type": it.event_type, "object_type": it.object_type,
        "object_id": it.object_id, "endpoint": it.endpoint, "livemode": it.livemode, "api_version": it.api_version,
        "created": shown(it.created * 1_000_000), "received_at": shown(it.received_us),
        "settled_at": shown(it.settled_us), "status": it.status, "reason": it.reason,
    })
}

fn line(it: &EventLine) -> String {
    format!(
        "{}  {:<28} {:<34} {:<28} {}",
        shown(it.received_us),
        it.id,
        it.event_type,
        it.object_id.as_deref().unwrap_or("-"),
        match &it.reason {
            Some(reason) => format!("{} ({reason})", it.status),
            None => it.status.clone(),
        }
    )
}
