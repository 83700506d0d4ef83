//! `tollgate queue pause` and `resume`.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use shared::queue::fleet::ATTEND_EVERY;
use shared::queue::roster::{Roster, WorkerSeen};
use shared::queue::{Log, Pause as Kept, Probe, QueueError};

use super::stats::paused_line;
use crate::idle::duration;
use crate::{answer, fail, tool};

/// Exit status when workers still held something, or had not stopped reading, in the end.
const EXIT_NOT_AT_REST: u8 = 1;
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The part of the help that options cannot say.
pub(super) const HELP: &str = "\
Redis keeps the pause until `tollgate queue resume`, through every restart. Workers hear of it within a second, finish
what they have in their hands, and begin nothing more; a dead worker's events are not taken over either. They stay
ready. Ingest goes on accepting until TOLLGATE_BACKLOG_MAX. Reckoning, sweeps, replays and questions to Stripe go on:
they do not come from the queue; stop the workers to stop those. Who paused first stays named. Workers of a build that
knows no pause do not pause: `tollgate workers` shows them without a version. A worker writes into the audit log who
paused and who resumed, when and why.

Examples:
  tollgate queue pause --why 'the database moves at 22:00'
  tollgate queue pause --why 'INC-312' --wait 1m --json   until no worker holds anything any more

Exit status: 0 paused, also when it was before; 1 when Redis cannot be asked, or with --wait when workers did not come to
rest in time (it stays paused); 2 for unusable options; 78 for unusable settings.";

/// The same of `resume`.
pub(super) const RESUME_HELP: &str = "\
Examples:
  tollgate queue resume --why 'the database has moved'
  tollgate queue resume --json

Exit status: 0, also when it was not paused; 1 when Redis cannot be asked; 78 for unusable settings.";

/// What `tollgate queue pause` takes.
#[derive(clap::Args)]
pub(super) struct Pause {
    /// Why, for whoever finds it paused, and for the audit log
    #[arg(long, value_name = "TEXT", value_parser = said)]
    why: String,
    /// Wait so long at most until no worker reads or holds anything: 500ms, 30s, 2m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait: Option<Duration>,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// What `tollgate queue resume` takes.
#[derive(clap::Args)]
pub(super) struct Resume {
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", value_parser = said)]
    why: Option<String>,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct PauseAnswer {
    paused: Kept,
    was_paused: bool,
    /// Whether workers were seen at rest; absent without --wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_rest: Option<bool>,
    /// Who was not; empty without --wait.
    busy: Vec<String>,
}

#[derive(Serialize)]
struct ResumeAnswer {
    was_paused: Option<Kept>,
}

fn said(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("say why".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn pause(options: &Pause) -> ExitCode {
    tool::run(super::probe, |probe| run_pause(options, probe))
}

pub(super) fn resume(options: &Resume) -> ExitCode {
    tool::run(super::probe, |probe| run_resume(options, probe))
}

async fn run_pause(
    options: &Pause,
    probe: impl FnOnce() -> Result<Probe, QueueError>,
) -> Result<ExitCode, Box<dyn Error>> {
    let mut probe = probe()?;
    let paused = probe.pause(&tool::login(), &options.why, Log::ByWorkers).await?;
    let at_ms = paused.pause.at_ms;
    let mut answered = PauseAnswer {
        paused: paused.pause,
        was_paused: paused.was_paused,
        at_rest: None,
        busy: Vec::new(),
    };
    if let Some(limit) = options.wait {
        answered.busy = wait(&mut probe, at_ms, Instant::now() + limit).await?;
        answered.at_rest = Some(answered.busy.is_empty());
    }
    report(options, &answered);
    let is_as_wanted = answered.at_rest.unwrap_or(true);
    Ok(ExitCode::from(if is_as_wanted { 0 } else { EXIT_NOT_AT_REST }))
}

/// Looks until nobody is busy, or until the deadline; who still was. Not before every worker that lives has had its turn
/// to say so: one that has just started is told with its first sign of life.
async fn wait(probe: &mut Probe, at_ms: i64, deadline: Instant) -> Result<Vec<String>, QueueError> {
    let earliest = Instant::now() + ATTEND_EVERY;
    loop {
        let busy = busy(&probe.roster().await?, at_ms);
        let is_over = busy.is_empty() && Instant::now() >= earliest;
        if is_over || Instant::now() >= deadline {
            return Ok(busy);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Workers that live and have not stopped reading for this pause, or hold something. What dead ones held stays where it
/// is.
fn busy(roster: &Roster, at_ms: i64) -> Vec<String> {
    let rests = |worker: &WorkerSeen| {
        let resting = worker.about.as_ref().and_then(|about| about.resting);
        resting == Some(at_ms) && worker.in_flight == 0
    };
    let busy = roster.workers.iter().filter(|it| it.alive && !rests(it));
    busy.map(|it| format!("{} holds {}", it.name, it.in_flight))
        .collect()
}

fn report(options: &Pause, answered: &PauseAnswer) {
    if options.json {
        return answer(&tool::json(answered));
    }
    let already = if answered.was_paused { "already " } else { "" };
    answer(&format!("{already}{}", paused_line(&answered.paused)));
    match answered.at_rest {
        Some(true) => answer("no worker reads or holds anything"),
        Some(false) => fail_each(&answered.busy),
        None => {}
    }
}

fn fail_each(busy: &[String]) {
    for worker in busy {
        fail(&format!("not at rest in time: {worker}"));
    }
}

async fn run_resume(
    options: &Resume,
    probe: impl FnOnce() -> Result<Probe, QueueError>,
) -> Result<ExitCode, Box<dyn Error>> {
    let why = options.why.as_deref().unwrap_or_default();
    let was_paused = probe()?.resume(&tool::login(), why, Log::ByWorkers).await?;
    answer(&match (options.json, &was_paused) {
        (true, _) => tool::json(&ResumeAnswer { was_paused }),
        (false, Some(it)) => format!("resumed; it was {}", paused_line(it)),
        (false, None) => "it was not paused".to_owned(),
    });
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use shared::queue::roster::About;

    use super::*;

    fn worker(resting: Option<i64>, in_flight: usize) -> WorkerSeen {
        WorkerSeen {
            alive: true,
            about: Some(About {
                version: "1".into(),
                slots: 4,
                resting,
            }),
            in_flight,
            ..WorkerSeen::default()
        }
    }

    #[test]
    fn who_rests_for_this_pause_and_holds_nothing_is_not_busy() {
        let old = WorkerSeen {
            about: None,
            ..worker(None, 0)
        };
        let dead = WorkerSeen {
            alive: false,
            ..worker(None, 9)
        };
        let is_busy = |worker: WorkerSeen| {
            let roster = Roster {
                workers: vec![worker],
                handed_back: 0,
            };
            !busy(&roster, 17).is_empty()
        };
        assert!(!is_busy(worker(Some(17), 0)) && !is_busy(dead));
        for it in [worker(Some(17), 1), worker(Some(16), 0), worker(None, 0), old] {
            assert!(is_busy(it.clone()), "{it:?}");
        }
    }
}
