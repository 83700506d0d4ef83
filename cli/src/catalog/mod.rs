//! `tollgate catalog`: what is for sale, from a file that is checked in.
//!
//! A file becomes a [`tree`], its [`entry`]s, and [`offer`]s, each with all that is wrong; these are [`compare`]d
//! with what Stripe's events said; their [`diff`] to what was applied before is written.

mod apply;
mod check;
mod compare;
mod diff;
mod entry;
mod finding;
mod offer;
mod show;
#[cfg(test)]
mod tests;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use finding::{Finding, has_errors};
use offer::Offer;
use store::{Store, StoreError};

/// Exit status when a file cannot be applied as it is.
pub(crate) const EXIT_ERRORS: u8 = 1;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
A catalogue file is TOML or JSON, by its ending. An entry, and there are as many as you like:

  [[plan]]                          # or [[package]]: credits that are bought once
  name = \"pro_monthly\"              # what clients ask for
  price = \"price_1SPm3dKd9Lm2Qx7T\"
  credits = 2000                    # for each time it is paid
  unit_amount = 2000                # of minor units; the rest may be left out, too:
  currency = \"usd\"                  # product, interval, active, credits_expire_days, free_monthly_credits

All of it is in docs/catalog.md.

Examples:
  tollgate catalog check                      # the file alone; and against DATABASE_URL when that is set
  tollgate catalog apply --dry-run            # what would change
  tollgate catalog apply prices/live.toml
  tollgate catalog show --json

Exit status: 0; 1 when the file has errors, or Postgres cannot be asked; 78 for unusable settings.";

/// What `tollgate catalog` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Find what is wrong with a file; when DATABASE_URL is set, also against what Stripe's events said
    #[command(
        after_help = "Examples:\n  tollgate catalog check\n  tollgate catalog check prices/live.toml --json"
    )]
    Check(FileOptions),
    /// Make the catalogue what a file says, in one transaction
    #[command(
        after_help = "Examples:\n  tollgate catalog apply --dry-run\n  tollgate catalog apply prices/live.toml --json"
    )]
    Apply(ApplyOptions),
    /// Show the offers, and what every known price costs and grants now
    #[command(after_help = "Examples:\n  tollgate catalog show\n  tollgate catalog show --json | jq .offers")]
    Show(ShowOptions),
}

#[derive(clap::Args)]
struct FileOptions {
    /// The catalogue file, .toml or .json
    #[arg(default_value = "catalog.toml")]
    file: PathBuf,
    #[command(flatten)]
    show: ShowOptions,
}

#[derive(clap::Args)]
struct ApplyOptions {
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    file: FileOptions,
}

#[derive(clap::Args)]
struct ShowOptions {
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match &options.command {
        Command::Check(options) => check::main(options),
        Command::Apply(options) => apply::main(options),
        Command::Show(options) => show::main(options),
    }
}

/// Reads and understands a file. Without errors, the offers are all that it has.
fn read(path: &Path) -> (Vec<Offer>, Vec<Finding>) {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let text = format!("cannot be read: {error}; name another one after the command, or see --help");
            return (Vec::new(), vec![Finding::error(None, None, text)]);
        }
    };
    understand(path, &text)
}

fn understand(path: &Path, text: &str) -> (Vec<Offer>, Vec<Finding>) {
    let tree = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => tree::from_toml(text),
        Some("json") => tree::from_json(text),
        _ => Err(vec![Finding::error(
            None,
            None,
            "is it TOML or JSON? Let its name end in .toml or .json",
        )]),
    };
    match tree {
        Ok(tree) => offer::offers(tree),
        Err(findings) => (Vec::new(), findings),
    }
}

/// What Stripe's events have to say about offers.
async fn against_stripe(store: &Store, account: &str, offers: &[Offer]) -> Result<Vec<Finding>, StoreError> {
    let prices: Vec<&str> = offers.iter().map(|offer| offer.price.as_str()).collect();
    Ok(compare::compare(
        offers,
        &store.known_prices(account, &prices).await?,
    ))
}

/// A file's name, for people.
fn name_of(path: &Path) -> String {
    path.display().to_string()
}
