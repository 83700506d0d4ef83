//! The demonstration: some thousands of signed events in both API versions, duplicated and out of order,
//! and then the question that matters: is each of them in Postgres?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use shared::clock::Clock;
use simulator::sender::{Fate, Outcome, Pace, Report, Sender, Settings};
use simulator::traffic::{Plan, Traffic};
use store::Tally;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::latency::{Histogram, Outcomes, outcomes};
use super::processes::Processes;
use super::progress::{Progress, State, say};
use super::services::{Services, fresh_seed};
use crate::http;

/// How often the picture is refreshed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// An event that is not in Postgres although nothing has moved for this long is lost. Longer than a lease
/// and the restart of a worker, several times over.
const LOST_AFTER: Duration = Duration::from_secs(60);
/// Requests in flight.
const CONCURRENCY: usize = 64;

/// What the demo found. The line for scripts.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DemoResult {
    /// Deliveries made, repetitions included.
    pub sent: usize,
    /// Different events among them.
    pub distinct: usize,
    /// Deliveries answered with 2xx.
    pub accepted: usize,
    /// Deliveries never answered with 2xx, however often they were tried.
    pub given_up: usize,
    /// Events that took effect.
    pub applied: u64,
    /// Events kept that change nothing.
    pub ignored: u64,
    /// Events set aside for a person.
    pub parked: u64,
    /// Events that were accepted and are nowhere.
    pub lost: usize,
    /// Milliseconds from acceptance to commit.
    pub p50_ms: Option<f64>,
    /// Milliseconds from acceptance to commit.
    pub p99_ms: Option<f64>,
    /// Seconds from the first delivery to the last commit.
    pub seconds: f64,
    /// Repeats the demo, together with `start`.
    pub seed: u64,
    /// Unix seconds the histories reach up to.
    pub start: i64,
}

impl DemoResult {
    /// The exit status it deserves.
    pub(super) fn status(&self) -> u8 {
        u8::from(self.lost > 0 || self.given_up > 0)
    }
}

/// Runs the demo; `stop` ends it early, with what there is.
pub(super) async fn run(
    options: &Options,
    services: &Services,
    processes: &Processes,
    stop: &CancellationToken,
) -> Result<DemoResult, Box<dyn std::error::Error>> {
    let clock = Clock::system();
    let (seed, start) = (
        options.seed.unwrap_or_else(|| fresh_seed(&clock)),
        clock.unix_seconds(),
    );
    let events = options.events as usize;
    say(&format!("making {events} events"));
    let traffic = tokio::task::spawn_blocking(move || Plan::new(seed, events, start).traffic()).await?;
    let ids: Vec<String> = traffic.event_ids().into_iter().map(str::to_owned).collect();
    let began = Instant::now();
    let mut watch = Watch::new(traffic.deliveries.len());
    let (report, accepted) = deliver(options, services, processes, traffic, &mut watch, stop).await?;
    let missing = settle(services, processes, &accepted, &mut watch, stop).await?;
    let seconds = began.elapsed().as_secs_f64();
    watch.progress.finish();
    let Tally {
        applied,
        ignored,
        parked,
    } = services.store.tally_of(&ids).await?;
    let ms = |q| {
        watch
            .histogram()
            .quantile(q)
            .map(|seconds| (seconds * 10_000.0).round() / 10.0)
    };
    Ok(DemoResult {
        sent: report.accepted + report.given_up,
        distinct: ids.len(),
        accepted: report.accepted,
        given_up: report.given_up + report.stopped + report.unsent,
        applied,
        ignored,
        parked,
        // Who interrupts the demo does not wait for what is still on its way.
        lost: if stop.is_cancelled() { 0 } else { missing },
        p50_ms: ms(0.5),
        p99_ms: ms(0.99),
        seconds: (seconds * 100.0).round() / 100.0,
        seed,
        start,
    })
}

/// Sends everything, and returns the ids of what was accepted.
async fn deliver(
    options: &Options,
    services: &Services,
    processes: &Processes,
    traffic: Traffic,
    watch: &mut Watch,
    stop: &CancellationToken,
) -> Result<(Report, Vec<String>), Box<dyn std::error::Error>> {
    let pace = if options.rate == 0 {
        Pace::Unlimited
    } else {
        Pace::PerSecond(f64::from(options.rate))
    };
    let settings = Settings {
        pace,
        concurrency: CONCURRENCY,
        ..Settings::default()
    };
    let sender = Sender::new(&processes.ingest_url, vec![services.secret.clone()], settings)?;
    let (sink, mut outcomes) = mpsc::unbounded_channel::<Outcome>();
    let stopped = stop.clone().cancelled_owned();
    let sending = tokio::spawn(async move { sender.send(traffic.deliveries, sink, stopped).await });
    let mut accepted = std::collections::BTreeSet::new();
    let mut ticker = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            outcome = outcomes.recv() => match outcome {
                Some(outcome) => {
                    watch.state.sent += 1;
                    if outcome.fate == Fate::Accepted {
                        watch.state.accepted += 1;
                        accepted.insert(outcome.event_id);
                    }
                }
                None => break,
            },
            _ = ticker.tick() => watch.look(processes).await,
        }
    }
    Ok((sending.await?, accepted.into_iter().collect()))
}

/// Waits until everything accepted is in Postgres. Returns how many events are not, when nothing has moved
/// for [`LOST_AFTER`].
async fn settle(
    services: &Services,
    processes: &Processes,
    accepted: &[String],
    watch: &mut Watch,
    stop: &CancellationToken,
) -> Result<usize, store::StoreError> {
    let mut missing = usize::MAX;
    let mut moved_at = Instant::now();
    loop {
        let now_missing = services.store.missing_events(accepted).await?.len();
        watch.look(processes).await;
        if now_missing == 0 || stop.is_cancelled() {
            return Ok(now_missing);
        }
        if now_missing < missing {
            missing = now_missing;
            moved_at = Instant::now();
        }
        if moved_at.elapsed() > LOST_AFTER {
            say(&format!("{missing} accepted events are not in Postgres"));
            return Ok(missing);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The picture of the workers, from their metrics. A worker that was killed keeps its last numbers: each
/// process counts from zero, so the numbers are kept by process.
struct Watch {
    state: State,
    progress: Progress,
    by_process: BTreeMap<u32, (Histogram, Outcomes)>,
}

impl Watch {
    fn new(deliveries: usize) -> Self {
        Self {
            state: State {
                deliveries,
                ..State::default()
            },
            progress: Progress::new(deliveries),
            by_process: BTreeMap::new(),
        }
    }

    async fn look(&mut self, processes: &Processes) {
        let pids = processes.worker_pids();
        for (pid, url) in pids.into_iter().zip(processes.worker_admin_urls()) {
            // One that does not answer is being restarted; its numbers come with the next look.
            if let Ok((200, text)) = http::get(&format!("{url}/metrics")).await {
                self.by_process
                    .insert(pid, (Histogram::parse(&text), outcomes(&text)));
            }
        }
        let count = |outcome: &str| {
            self.by_process
                .values()
                .filter_map(|(_, outcomes)| outcomes.get(outcome))
                .sum::<u64>()
        };
        self.state.parked = count("parked");
        self.state.settled = count("applied") + count("ignored") + self.state.parked;
        self.progress.show(self.state);
    }

    fn histogram(&self) -> Histogram {
        self.by_process
            .values()
            .fold(Histogram::default(), |mut all, (one, _)| {
                all.add(one);
                all
            })
    }
}
