//! `tollgate dead`: what was set aside, and what is to become of it. The workers run letters again and discard them;
//! this only asks them to, and watches.

mod job;
mod list;
mod preview;
mod show;

use std::process::ExitCode;

use serde_json::{Value, json};
use store::dead::{Filter, IDS_MAX, Letter, LetterState};

use crate::when::{moment, shown};

/// Exit status when some letters were set aside again.
pub(crate) const EXIT_PARTIAL: u8 = 3;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs DATABASE_URL; replay and discard also need a worker, which does it. A dead letter is an event that was set aside
for a person, or an entry of the queue that is no event. Nothing is ever deleted: what was discarded can still be
replayed, with --discarded.

Examples:
  tollgate dead list --groups                                what is wrong, the largest cause first
  tollgate dead list --fingerprint 3f9c0a71be42 --since 1d
  tollgate dead show evt_1NG8Du2eZvKYlo2C
  tollgate dead replay --fingerprint 3f9c0a71be42 --dry-run  which rows would change
  tollgate dead replay --fingerprint 3f9c0a71be42 --rate 50 --why 'fixed in 4.2'
  tollgate dead discard --reason malformed_entry --why 'a load test' --yes

Exit status: 0; 1 when Postgres cannot be asked, its schema does not suit, or nothing is found to show; 2 for unusable
options, or without --yes where nobody can be asked; 3 when some letters were set aside again; 78 for unusable settings.";

/// What `tollgate dead` takes. The database is `DATABASE_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List dead letters, the newest first; or their causes, with --groups
    #[command(
        after_help = "Examples:\n  tollgate dead list --groups\n  tollgate dead list --type 'invoice.*' --since 1d --json"
    )]
    List(list::Options),
    /// Show one dead letter
    #[command(
        after_help = "Examples:\n  tollgate dead show evt_1NG8Du2eZvKYlo2C\n  tollgate dead show evt_1NG8Du2eZvKYlo2C --body --json"
    )]
    Show(show::Options),
    /// Run letters again, through everything an event goes through; one that fails is set aside again
    #[command(after_help = job::HELP)]
    Replay(job::Replay),
    /// Let nobody wait for letters any more; they are kept, and can still be replayed
    #[command(after_help = job::HELP)]
    Discard(job::Discard),
    /// Show how far a replay or discarding is, and watch it to its end
    #[command(after_help = "Examples:\n  tollgate dead watch 17\n  tollgate dead watch 17 --json")]
    Watch(job::Watch),
    /// Stop a replay or discarding; what it has done stays done
    #[command(after_help = "Examples:\n  tollgate dead stop 17")]
    Stop(job::Stop),
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match &options.command {
        Command::List(options) => list::main(options),
        Command::Show(options) => show::main(options),
        Command::Replay(options) => job::replay(options),
        Command::Discard(options) => job::discard(options),
        Command::Watch(options) => job::watch(options),
        Command::Stop(options) => job::stop(options),
    }
}

/// Which letters: those that fit all that is said.
#[derive(clap::Args)]
struct Which {
    /// Only this one; may be repeated
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// Only those with this cause
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only those set aside for this reason, such as unreadable_object
    #[arg(long, value_name = "WORD")]
    reason: Option<String>,
    /// Only those about this customer, or an object of theirs
    #[arg(long, value_name = "CUS")]
    customer: Option<String>,
    /// Set aside then or later: 2026-11-21T20:00:00Z, or how long ago: 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<i64>,
    /// Set aside before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<i64>,
    /// Those that were discarded, in place of those that wait
    #[arg(long)]
    discarded: bool,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
}

impl Which {
    fn filter(&self) -> Result<Filter, String> {
        if self.ids.len() > IDS_MAX {
            return Err(format!("--id: at most {IDS_MAX}"));
        }
        Ok(Filter {
            account: self.account.clone(),
            state: if self.discarded {
                LetterState::Discarded
            } else {
                LetterState::Waiting
            },
            ids: self.ids.clone(),
            fingerprint: self.fingerprint.clone(),
            event_type: self.event_type.clone(),
            reason: self.reason.clone(),
            customer: self.customer.clone(),
            since_us: self.since,
            until_us: self.until,
        })
    }

    /// Whether it says anything at all.
    fn names_some(&self) -> bool {
        !self.ids.is_empty()
            || self.fingerprint.is_some()
            || self.event_type.is_some()
            || self.reason.is_some()
            || self.customer.is_some()
            || self.since.is_some()
            || self.until.is_some()
    }
}

fn object(it: &Letter) -> Value {
    json!({
        "account": it.account, "id": it.id, "type": it.event_type, "class": it.class, "reason": it.reason,
        "fingerprint": it.fingerprint, "detail": it.detail, "state": it.state, "deliveries": it.deliveries,
        "replays": it.replays, "parked_at": shown(it.parked_us), "changed_at": it.changed_us.map(shown),
    })
}
