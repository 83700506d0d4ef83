//! `tollgate queue stats`.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;
use shared::clock::Clock;
use shared::queue::roster::Roster;
use shared::queue::survey::Survey;
use shared::queue::{Depth, Pause, Probe, QueueError};

use crate::when::shown;
use crate::{answer, tool};

/// The part of the help that options cannot say.
pub(super) const HELP: &str = "\
With --json the answer is one object: paused (by, why, at_ms, or null), total, and shards, each with waiting, in_flight,
newer (entries that wait for a newer build), oldest_age_ms, pending_oldest_ms and reader.

Examples:
  tollgate queue stats
  tollgate queue stats --json | jq .total.waiting

Exit status: 0; 1 when Redis cannot be asked; 78 for unusable settings.";

/// What `tollgate queue stats` takes. Redis is `REDIS_URL`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    paused: Option<Pause>,
    total: Numbers,
    shards: Vec<Shard>,
}

#[derive(Serialize)]
struct Shard {
    shard: u16,
    #[serde(flatten)]
    numbers: Numbers,
    /// The worker that reads it.
    reader: Option<String>,
}

#[derive(Serialize, Clone, Copy, Default)]
struct Numbers {
    /// Entries that no worker holds.
    waiting: u64,
    in_flight: u64,
    newer: u64,
    oldest_age_ms: u64,
    pending_oldest_ms: u64,
}

pub(super) fn main(options: &Options) -> ExitCode {
    tool::run(super::probe, |probe| run(options, probe))
}

async fn run(
    options: &Options,
    probe: impl FnOnce() -> Result<Probe, QueueError>,
) -> Result<ExitCode, Box<dyn Error>> {
    let mut probe = probe()?;
    let paused = probe.paused().await?;
    let survey = probe.survey(Clock::system().unix_ms()).await?;
    let answered = put_together(paused, &survey, &probe.roster().await?);
    answer(&if options.json {
        tool::json(&answered)
    } else {
        in_words(&answered)
    });
    Ok(ExitCode::SUCCESS)
}

fn put_together(paused: Option<Pause>, survey: &[(u16, Survey)], roster: &Roster) -> Answer {
    let readers: BTreeMap<u16, &str> = roster
        .workers
        .iter()
        .flat_map(|worker| worker.shards.keys().map(|shard| (*shard, &*worker.name)))
        .collect();
    let shards = survey.iter().map(|(shard, seen)| Shard {
        shard: *shard,
        numbers: Numbers::of(seen),
        reader: readers.get(shard).map(|name| (*name).to_owned()),
    });
    Answer {
        paused,
        total: survey
            .iter()
            .fold(Numbers::default(), |sum, (_, seen)| sum.and(Numbers::of(seen))),
        shards: shards.collect(),
    }
}

impl Numbers {
    fn of(seen: &Survey) -> Self {
        let Depth {
            entries,
            in_flight,
            newer,
            oldest_age_ms,
        } = seen.depth;
        Self {
            waiting: entries.saturating_sub(in_flight),
            in_flight,
            newer,
            oldest_age_ms,
            pending_oldest_ms: seen.pending_oldest_ms,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            waiting: self.waiting + other.waiting,
            in_flight: self.in_flight + other.in_flight,
            newer: self.newer + other.newer,
            oldest_age_ms: self.oldest_age_ms.max(other.oldest_age_ms),
            pending_oldest_ms: self.pending_oldest_ms.max(other.pending_oldest_ms),
        }
    }
}

fn in_words(answer: &Answer) -> String {
    let mut lines = vec![
        answer
            .paused
            .as_ref()
            .map_or_else(|| "not paused".to_owned(), paused_line),
    ];
    lines.push(format!(
        "{:>5} {:>9} {:>9} {:>9} {:>12} {:>12}  reader",
        "shard", "waiting", "in flight", "newer", "oldest (s)", "held (s)"
    ));
    for it in &answer.shards {
        let reader = it.reader.as_deref().unwrap_or("-");
        lines.push(line(&it.shard.to_string(), it.numbers, reader));
    }
    lines.push(line("all", answer.total, ""));
    lines.join("\n")
}

/// A pause, for people.
pub(super) fn paused_line(it: &Pause) -> String {
    format!(
        "paused by {} since {}: {}",
        it.by,
        shown(it.at_ms * 1_000),
        it.why
    )
}

fn line(shard: &str, it: Numbers, reader: &str) -> String {
    let seconds = |ms: u64| format!("{}.{}", ms / 1_000, ms % 1_000 / 100);
    let line = format!(
        "{shard:>5} {:>9} {:>9} {:>9} {:>12} {:>12}  {reader}",
        it.waiting,
        it.in_flight,
        it.newer,
        seconds(it.oldest_age_ms),
        seconds(it.pending_oldest_ms),
    );
    line.trim_end().to_owned()
}
