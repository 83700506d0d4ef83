//! `tollgate scale-hint`: how many workers the queue wants now, and why. Two looks at Redis; what follows from them is
//! decided in `decide.rs`.

mod decide;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use shared::queue::{Probe, QueueError};

use crate::idle::duration;
use crate::{answer, queue, tool};
use decide::{CAPACITY_DEFAULT, Facts, Hint, decide};

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs REDIS_URL. Looks twice, and says how many workers would take what comes in and work off what waits within --drain.
What one worker settles in a second is measured while the workers are behind; otherwise it is --per-worker, which
`tollgate bench` measures. There are never more than shards, because one worker at a time reads a shard. With --json the
answer is one object: workers (the hint), living, shards, waiting, in_flight, per_second_in, per_second_out, per_worker,
is_measured, paused, and why. How KEDA or an HPA asks the same of Prometheus is in docs/commands.md.

Examples:
  tollgate scale-hint
  tollgate scale-hint --over 10s --drain 30s --json | jq .workers

Exit status: 0; 1 when Redis cannot be asked; 2 for unusable options; 78 for unusable settings.";

/// What `tollgate scale-hint` takes. Redis is `REDIS_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Between the two looks: 500ms, 30s, 2m
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    over: Duration,
    /// In how long what waits should be worked off
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    drain: Duration,
    /// Events a second that one worker settles
    #[arg(long, value_name = "N", default_value_t = CAPACITY_DEFAULT, value_parser = clap::value_parser!(u32).range(1..))]
    per_worker: u32,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    tool::run(queue::probe, |probe| run(options, probe))
}

async fn run(
    options: &Options,
    probe: impl FnOnce() -> Result<Probe, QueueError>,
) -> Result<ExitCode, Box<dyn Error>> {
    let mut probe = probe()?;
    let before = probe.flow().await?;
    tokio::time::sleep(options.over).await;
    let after = probe.flow().await?;
    let roster = probe.roster().await?;
    let depth = probe.depth(after.at_ms).await?;
    let facts = Facts {
        before,
        after,
        living: roster.workers.iter().filter(|it| it.alive).count(),
        shards: probe.shards().await?.len(),
        in_flight: depth.in_flight,
        is_paused: probe.paused().await?.is_some(),
        drain: options.drain,
        per_worker: options.per_worker,
    };
    let hint = decide(&facts);
    answer(&if options.json {
        tool::json(&hint)
    } else {
        in_words(&hint)
    });
    Ok(ExitCode::SUCCESS)
}

fn in_words(hint: &Hint) -> String {
    let first = format!("{} workers ({} live)", hint.workers, hint.living);
    let lines = [first]
        .into_iter()
        .chain(hint.why.iter().map(|why| format!("  {why}")));
    lines.collect::<Vec<_>>().join("\n")
}
