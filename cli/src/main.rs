//! `tollgate`: every role, and everything an operator needs. Without a subcommand it is `tollgate dev`.

mod backfill;
mod bench;
mod catalog;
mod chaos;
mod comparing;
mod completions;
mod config;
mod customer;
mod dead;
mod dev;
mod doctor;
mod events;
mod healthcheck;
mod http;
mod idle;
mod ledger;
mod migrate;
mod ops;
mod own;
mod queue;
mod reckon;
mod reconcile;
mod replay;
mod scale_hint;
mod simulate;
mod state;
mod tool;
mod when;
mod workers;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use shared::config::Setting;
use shared::role::settings_help;

/// Exit status for a run that a signal ended early.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Where to begin.
const HELP: &str = "\
Examples:
  tollgate                      everything, here, with nothing configured
  tollgate doctor               is this installation sound?
  tollgate queue stats          what waits?
  tollgate dead list --groups   what went wrong?

Answers go to stdout, everything else to stderr; `--json` makes answers JSON. Exit status: 0 done; 1 no, or nobody could be
asked; 2 a command line that makes no sense; 78 unusable settings. All of it: docs/commands.md.";

/// Stripe events, all the way to Postgres: nothing lost, nothing doubled.
///
/// Without a subcommand this is `tollgate dev`: a private Redis and Postgres, all roles, and a demonstration.
#[derive(Parser)]
#[command(name = "tollgate", version, args_conflicts_with_subcommands = true, after_help = HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    dev: dev::Options,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything here: private Redis and Postgres, migrations, ingest, workers, simulated Stripe
    #[command(after_help = dev::ENVIRONMENT)]
    Dev(dev::Options),
    /// Receive webhooks, verify them, and answer 200 once Redis has them
    #[command(after_help = role_help("ingest", ingest::SETTINGS))]
    Ingest,
    /// Claim events from Redis and apply each exactly once in effect to Postgres
    #[command(after_help = role_help("worker", worker::config::SETTINGS))]
    Worker,
    /// Serve the billing API: what users may do, their credits, corrections
    #[command(after_help = role_help("api", api::SETTINGS))]
    Api,
    /// Say who may sign in to the ops page
    #[command(after_help = ops::HELP)]
    Ops(ops::Options),
    /// Bring the database's schema up to date
    #[command(after_help = migrate::HELP)]
    Migrate(migrate::Options),
    /// Check, apply and show what is for sale, from a file that is checked in
    #[command(after_help = catalog::HELP)]
    Catalog(catalog::Options),
    /// Show what Postgres holds: users, subscriptions, payments, credits
    #[command(after_help = state::HELP)]
    State(state::Options),
    /// Check the credit ledger; show balances, histories, and what is outstanding
    #[command(after_help = ledger::HELP)]
    Ledger(ledger::Options),
    /// Show how one customer stands; ask Stripe anew for them
    #[command(after_help = customer::HELP)]
    Customer(customer::Options),
    /// Find events, and tell what became of one
    #[command(after_help = events::HELP)]
    Events(events::Options),
    /// List, group, replay and discard what was set aside
    #[command(after_help = dead::HELP)]
    Dead(dead::Options),
    /// Say of everything that is taken for granted whether it holds, and how to mend it
    #[command(after_help = doctor::HELP)]
    Doctor(doctor::Options),
    /// Say what is wrong with settings; show them, and where they come from
    #[command(after_help = config::HELP)]
    Config(config::Options),
    /// Show what is queued; pause and resume the workers
    #[command(after_help = queue::HELP)]
    Queue(queue::Options),
    /// Show which workers live, what they read and hold
    #[command(after_help = workers::HELP)]
    Workers(workers::Options),
    /// Say how many workers the queue wants now, and why
    #[command(after_help = scale_hint::HELP)]
    ScaleHint(scale_hint::Options),
    /// Compare Stripe's list of events with what is here, and fill in what is not
    #[command(after_help = reconcile::HELP)]
    Reconcile(reconcile::Options),
    /// Write what stored events are about once more, as this build reads them
    #[command(after_help = replay::HELP)]
    Replay(replay::Options),
    /// Bring in objects of Stripe's that are in no event any more, list by list
    #[command(after_help = backfill::HELP)]
    Backfill(backfill::Options),
    /// Mark everything, so that workers reckon all effects anew
    #[command(after_help = reckon::HELP)]
    Reckon(reckon::Options),
    /// Wait until nothing is left to do: status 0, or 1 when time runs out
    #[command(after_help = idle::HELP)]
    Idle(idle::Options),
    /// Measure what everything costs, side by side with what it could cost at least
    #[command(after_help = bench::HELP)]
    Bench(bench::Options),
    /// Break everything under load, and compare what was acknowledged with what came of it
    #[command(after_help = chaos::HELP)]
    Chaos(chaos::Options),
    /// Send simulated Stripe events to an endpoint, or play a Stripe that can be written to
    #[command(after_help = simulate::HELP)]
    Simulate(simulate::Options),
    /// Ask a role on this machine whether it lives: status 0 or 1, for containers without a shell
    #[command(after_help = healthcheck::HELP)]
    Healthcheck(healthcheck::Options),
    /// Print what makes a shell complete these commands
    #[command(after_help = completions::HELP)]
    Completions(completions::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Dev(cli.dev)) {
        Command::Dev(options) => dev::main(options),
        Command::Ingest => shared::role::run::<ingest::Ingest>(),
        Command::Worker => shared::role::run::<worker::Worker>(),
        Command::Api => shared::role::run::<api::Api>(),
        Command::Ops(options) => ops::main(&options),
        Command::Migrate(options) => migrate::main(&options),
        Command::Catalog(options) => catalog::main(&options),
        Command::State(options) => state::main(&options),
        Command::Ledger(options) => ledger::main(&options),
        Command::Customer(options) => customer::main(&options),
        Command::Events(options) => events::main(&options),
        Command::Dead(options) => dead::main(&options),
        Command::Doctor(options) => doctor::main(&options),
        Command::Config(options) => config::main(&options),
        Command::Queue(options) => queue::main(&options),
        Command::Workers(options) => workers::main(&options),
        Command::ScaleHint(options) => scale_hint::main(&options),
        Command::Reconcile(options) => reconcile::main(&options),
        Command::Backfill(options) => backfill::main(&options),
        Command::Reckon(options) => reckon::main(&options),
        Command::Replay(options) => replay::main(&options),
        Command::Idle(options) => idle::main(&options),
        Command::Bench(options) => bench::main(&options),
        Command::Chaos(options) => chaos::main(&options),
        Command::Simulate(options) => simulate::main(&options),
        Command::Healthcheck(options) => healthcheck::main(&options),
        Command::Completions(options) => completions::main(&options, &mut Cli::command()),
    }
}

/// Settings, and how to start it.
fn role_help(name: &str, settings: &[Setting]) -> String {
    let settings = settings_help(settings);
    format!(
        "{settings}\nExamples:\n  tollgate {name}\n\nExit status: 0 after a stop; 1 when it cannot go on; 78 for unusable settings."
    )
}

/// Says on stderr why a command failed.
fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("tollgate: {error}");
    ExitCode::FAILURE
}

/// Answers on stdout; everything else goes to stderr. Who closes the pipe (`| head`) has read enough.
fn answer(text: &str) {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("cannot write to stdout: {error}"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The README's table is written by hand, for people; this keeps it whole.
    #[test]
    fn every_setting_is_in_the_readme() {
        let readme = include_str!("../../README.md");
        let roles = [
            ingest::SETTINGS,
            worker::config::SETTINGS,
            api::SETTINGS,
            shared::config::COMMON_SETTINGS,
        ];
        for setting in roles.into_iter().flatten() {
            assert!(
                readme.contains(&format!("`{}`", setting.name)),
                "{} is not in README.md",
                setting.name
            );
        }
    }

    #[test]
    fn dev_is_the_default_and_takes_its_options_without_being_named() {
        let cli = Cli::parse_from(["tollgate", "--json", "--no-demo"]);
        assert!(cli.command.is_none());
        assert!(Cli::try_parse_from(["tollgate", "--json", "worker"]).is_err());
    }
}
