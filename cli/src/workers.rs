//! `tollgate workers`: who works, on what, and since when they were heard of.

use std::error::Error;
use std::process::ExitCode;

use shared::queue::roster::{Roster, WorkerSeen};
use shared::queue::{Probe, QueueError};

use crate::{answer, queue, tool};

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs REDIS_URL. A worker says every second that it lives; one that was not heard of for six is dead, and is listed while
it holds events, which others take over. One that lives and reads no shard is a spare. Names are host, process, when it
started, and which worker of the process it is. With --json the answer is one object: workers, each with name, alive,
seen_ms_ago, about (version, slots, and resting: the pause for which it has stopped), shards (each with how long it is
its own yet, in milliseconds) and in_flight; and handed_back, which nobody has taken yet.

Examples:
  tollgate workers
  tollgate workers --json | jq -r '.workers[] | select(.alive | not) | .name'

Exit status: 0; 1 when Redis cannot be asked, or no worker lives; 78 for unusable settings.";

/// Exit status when nobody works.
const EXIT_NOBODY: u8 = 1;

/// What `tollgate workers` takes. Redis is `REDIS_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
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
    let roster = probe()?.roster().await?;
    answer(&if options.json {
        tool::json(&roster)
    } else {
        in_words(&roster)
    });
    let lives = roster.workers.iter().any(|worker| worker.alive);
    Ok(ExitCode::from(if lives { 0 } else { EXIT_NOBODY }))
}

fn in_words(roster: &Roster) -> String {
    let mut lines: Vec<String> = roster.workers.iter().map(line).collect();
    if lines.is_empty() {
        lines.push("no worker lives".to_owned());
    }
    if roster.handed_back > 0 {
        lines.push(format!(
            "{} events were handed back and wait to be taken",
            roster.handed_back
        ));
    }
    lines.join("\n")
}

fn line(it: &WorkerSeen) -> String {
    let about = it.about.as_ref();
    let version = about.map_or("-", |about| &about.version);
    let shards: Vec<String> = it.shards.keys().map(u16::to_string).collect();
    let state = match (it.alive, shards.is_empty()) {
        (false, _) => "dead".to_owned(),
        (true, true) => "spare".to_owned(),
        (true, false) => format!("shards {}", shards.join(",")),
    };
    let rests = about.is_some_and(|about| about.resting.is_some());
    let rests = if rests {
        "  at rest: the queue is paused"
    } else {
        ""
    };
    format!(
        "{:<40} {version:<8} seen {:>5} ms ago  in flight {:>5}  {state}{rests}",
        it.name, it.seen_ms_ago, it.in_flight
    )
}
