//! `tollgate customer`: one customer of Stripe's.

mod resync;
mod show;

use std::process::ExitCode;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Examples:
  tollgate customer show cus_QZ0ABCDEF
  tollgate customer resync cus_QZ0ABCDEF --dry-run
  tollgate customer resync cus_QZ0ABCDEF --reason 'the endpoint was off on Monday'";

/// What `tollgate customer` takes. The database is `DATABASE_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show how a customer stands, and how much is known of it
    #[command(after_help = show::HELP)]
    Show(show::Options),
    /// Have the workers ask Stripe anew for a customer and all they have, and follow them
    #[command(after_help = resync::HELP)]
    Resync(resync::Options),
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match &options.command {
        Command::Show(options) => show::main(options),
        Command::Resync(options) => resync::main(options),
    }
}
