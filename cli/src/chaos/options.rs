//! What `tollgate chaos` takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;

use crate::idle;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Starts a private Redis and Postgres, ingest and workers as processes, and a proxy between each two of them; sends
signed events at a steady rate, and breaks things one after another as a seed says. Then it waits until nothing is
left to do, and compares: is everything that was answered with 200 in Postgres, once, and is all that followed from
it what follows when the same events are applied once, in order, with nothing in the way? --list names the faults,
docs/chaos.md says what must hold for each.

Examples:
  tollgate chaos --quick
  tollgate chaos --seed 7 --duration 10m --json | jq .promises
  tollgate chaos --only kill-worker,kill-redis --rate 500

Exit status: 0 everything held; 1 something did not, and is named, or it could not be found out; 78 for unusable
settings.";

/// What `tollgate chaos` takes. Nothing is read from the environment, and nothing is touched that it did not start.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Name the faults, and break nothing
    #[arg(long)]
    pub list: bool,
    /// Repeats what breaks when, and what is sent [default: another one each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Unix seconds up to which the events' histories reach [default: now]
    #[arg(long)]
    pub start: Option<i64>,
    /// Some faults and, as the seed says, some others: less than a minute
    #[arg(long, conflicts_with_all = ["only", "duration"])]
    pub quick: bool,
    /// These faults and no others
    #[arg(long, value_name = "FAULT,...", value_delimiter = ',')]
    pub only: Vec<String>,
    /// At least so long: 90s, 10m, 1h; every fault happens at least once in any case
    #[arg(long, value_name = "DURATION", default_value = "0s", hide_default_value = true, value_parser = idle::duration)]
    pub duration: Duration,
    /// Break two things at once, where they have nothing to do with each other
    #[arg(long)]
    pub pairs: bool,
    /// Events `busy-customer` sends
    #[arg(long, default_value_t = 100_000, value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000_000))]
    pub busy_events: usize,
    /// Deliveries a second
    #[arg(long, default_value_t = 200, value_parser = RangedU64ValueParser::<u32>::new().range(1..=10_000))]
    pub rate: u32,
    /// Worker processes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub workers: u8,
    /// Keep data and logs here, in a directory that is not there yet [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
    /// Make a mistake on purpose, which must be found: acknowledge-before-commit, answer-before-xadd, no-reclaim,
    /// tie-by-less-than, check-then-insert
    #[cfg(feature = "planted-bugs")]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(BUGS))]
    pub with_bug: Option<String>,
}

/// The mistakes there are.
#[cfg(feature = "planted-bugs")]
const BUGS: [&str; 5] = [
    "acknowledge-before-commit",
    "answer-before-xadd",
    "no-reclaim",
    "tie-by-less-than",
    "check-then-insert",
];

impl Options {
    /// The planted bug, where there are any.
    pub(super) fn bug(&self) -> Option<String> {
        #[cfg(feature = "planted-bugs")]
        return self.with_bug.clone();
        #[cfg(not(feature = "planted-bugs"))]
        None
    }
}
