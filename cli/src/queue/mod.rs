//! `tollgate queue`: what Redis holds, and whether workers take anything of it.

mod pause;
mod stats;

use std::process::ExitCode;

use shared::config::{Common, Reader};
use shared::queue::{Probe, QueueError};

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs REDIS_URL.

Examples:
  tollgate queue stats
  tollgate queue pause --why 'the database moves at 22:00' --wait 1m
  tollgate queue resume

Exit status: 0; 1 when Redis cannot be asked, or workers did not come to rest in time; 2 for unusable options; 78 for
unusable settings.";

/// What `tollgate queue` takes. Redis is `REDIS_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show what waits and what is held, shard by shard, and whether the queue is paused
    #[command(after_help = stats::HELP)]
    Stats(stats::Options),
    /// Have workers take nothing more from the queue; ingest goes on accepting
    #[command(after_help = pause::HELP)]
    Pause(pause::Pause),
    /// Have workers take from the queue again
    #[command(after_help = pause::RESUME_HELP)]
    Resume(pause::Resume),
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match &options.command {
        Command::Stats(options) => stats::main(options),
        Command::Pause(options) => pause::pause(options),
        Command::Resume(options) => pause::resume(options),
    }
}

/// Who asks, from the settings of every role.
pub(crate) fn probe(reader: &mut Reader<'_>) -> impl FnOnce() -> Result<Probe, QueueError> + use<> {
    let common = Common::read(reader);
    move || Probe::new(&common.redis_url, &common.redis_prefix)
}
