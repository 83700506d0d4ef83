//! `tollgate ledger`: whether the credit ledger is true, and what it holds for whom.

mod balance;
mod check;
mod history;
mod outstanding;

use std::process::ExitCode;

pub(crate) use check::check;
use clap::ValueEnum;
use domain::credits::Owner;

/// Exit status when a rule is broken.
pub(crate) const EXIT_BROKEN: u8 = 1;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs DATABASE_URL.

Examples:
  tollgate ledger check
  tollgate ledger history user usr_7f3a1c
  tollgate ledger balance team acme --json
  tollgate ledger outstanding

Exit status: 0; 1 when the ledger is broken, or when Postgres cannot be asked or its schema does not suit; 78 for
unusable settings.";

/// What `tollgate ledger` takes. The database is `DATABASE_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check every invariant of the ledger, for all accounts: status 0 when all hold, 1 when not
    #[command(after_help = check::HELP)]
    Check(check::Options),
    /// Show what happened to a user's or team's credits, the newest first, with the balance after each
    #[command(after_help = history::HELP)]
    History(history::Options),
    /// Show how many credits a user or team has; of a user, also what their teams have
    #[command(
        after_help = "Examples:\n  tollgate ledger balance user usr_7f3a1c\n  tollgate ledger balance team acme --json"
    )]
    Balance(balance::Options),
    /// Show how many credits all users and teams have together, and how many free ones may still be given
    #[command(after_help = outstanding::HELP)]
    Outstanding(Shown),
}

/// Whose credits.
#[derive(clap::Args)]
struct Whose {
    /// A user or a team
    #[arg(value_enum)]
    kind: OwnerKind,
    /// Their id
    #[arg(value_name = "ID")]
    id: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum OwnerKind {
    User,
    Team,
}

impl Whose {
    fn owner(&self) -> Owner {
        match self.kind {
            OwnerKind::User => Owner::User(self.id.clone()),
            OwnerKind::Team => Owner::Team(self.id.clone()),
        }
    }
}

#[derive(clap::Args)]
struct Shown {
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match &options.command {
        Command::Check(options) => check::main(options),
        Command::History(options) => history::main(options),
        Command::Balance(options) => balance::main(options),
        Command::Outstanding(options) => outstanding::main(options),
    }
}
