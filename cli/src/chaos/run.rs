//! One run, from the plan to the report.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::{Duration, Instant};

use shared::clock::Clock;
use stack::Stack;
use store::Store;

use super::compare::{Findings, Found, Outcome, Said, compare};
use super::deeds::Broken;
use super::faults::{Fault, Kind};
use super::load::{Ends, Load, Sent};
use super::plan::{Slot, load_ms, plan};
use super::recovery::{Happened, answers, lines};
use super::report::Report;
use super::wiring::Roles;
use super::world::World;
use super::{Options, reference, say};
use crate::idle::{Eye, Left, watch};
use crate::ledger;

/// The load after the last fault: there must be something to recover for.
const AFTER: Duration = Duration::from_millis(1_000);
/// How much more is made ready to be sent than the plan needs, because breaking things may take longer.
const SPARE: f64 = 1.5;
/// See [`SPARE`].
const SPARE_LEAST: Duration = Duration::from_secs(20);
/// How long senders go on trying after the load.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest until everything is done, after the load: a connection that never answers is left after a minute.
const IDLE_LIMIT: Duration = Duration::from_secs(120);
/// The same for `--quick`, in which there is no such connection: a lease, and the work.
const QUICK_IDLE_LIMIT: Duration = Duration::from_secs(25);
/// Violations of the ledger that are read.
const VIOLATIONS_MAX: u32 = 1_000;

/// What is going to be done.
struct Intent {
    seed: u64,
    start: i64,
    slots: Vec<Slot>,
    load: Load,
    /// Deliveries a second.
    rate: f64,
    /// How long, unless breaking things takes longer than planned.
    lasts: Duration,
    roles: Roles,
}

/// Starts everything on `stack`, breaks it, and finds out what came of it.
pub(super) async fn run(
    options: &Options,
    faults: &[&'static Fault],
    stack: Stack,
) -> Result<Report, Box<dyn Error>> {
    let intent = Intent::new(options, faults)?;
    let mut world = World::start(stack, &intent.roles).await?;
    let Intent {
        slots,
        lasts,
        seed,
        start,
        ..
    } = &intent;
    say(&format!(
        "{} faults within {} s: --seed {seed} --start {start}",
        slots.len(),
        lasts.as_secs()
    ));
    let watching = world.watch();
    let began = Instant::now();
    let began_ms = world.clock.unix_ms();
    let (sent, happened) = work(&mut world, &intent, began).await?;
    let load_over = Instant::now();
    let limit = if options.quick {
        QUICK_IDLE_LIMIT
    } else {
        IDLE_LIMIT
    };
    let not_idle = wait_until_idle(&mut world, limit).await?;
    let recovered_ms = load_over.elapsed().as_millis();
    watching.abort();
    say("comparing with the same events applied once, in order");
    let trial = outcome(&world.store).await?;
    let (acknowledged, findings) = find(&world, &intent.load, &sent, &trial).await?;
    let timeline = lines(began_ms, &happened, &sent.attempts, &trial.kept);
    let report = Report {
        held: false,
        seed: intent.seed,
        start: intent.start,
        bug: intent.roles.bug,
        seconds: (began.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        faults: happened.len(),
        deliveries: sent.deliveries,
        unaccepted: sent.unaccepted,
        acknowledged,
        kept: trial.kept.len(),
        answers: answers(&happened, &sent.attempts),
        not_idle,
        recovered_ms,
        findings,
        ledger: check_ledger(&world.store).await?,
        longest_take_over_ms: timeline.iter().filter_map(|line| line.taken_over_after_ms).max(),
        timeline,
        processes: world.seen(),
        promises: Vec::new(),
    };
    Ok(report.judge())
}

impl Intent {
    fn new(options: &Options, faults: &[&'static Fault]) -> Result<Self, Box<dyn Error>> {
        let clock = Clock::system();
        let seed = options.seed.unwrap_or_else(|| clock.unix_ms().unsigned_abs());
        let start = options.start.unwrap_or_else(|| clock.unix_seconds());
        let workers = usize::from(options.workers);
        let duration_ms = u64::try_from(options.duration.as_millis())?;
        let slots = plan(seed, faults, workers, duration_ms);
        let lasts = Duration::from_millis(load_ms(&slots, duration_ms));
        let rate = f64::from(options.rate);
        let deliveries = (lasts.mul_f64(SPARE) + SPARE_LEAST).as_secs_f64() * rate;
        Ok(Self {
            seed,
            start,
            slots,
            load: Load::new(seed, start, deliveries as usize),
            rate,
            lasts,
            roles: Roles {
                workers,
                with_replica: faults.iter().any(|fault| fault.kind == Kind::Failover),
                bug: options.bug(),
            },
        })
    }
}

/// How many events were acknowledged, and what is not as it should be.
async fn find(
    world: &World,
    load: &Load,
    sent: &Sent,
    trial: &Outcome,
) -> Result<(usize, Findings), Box<dyn Error>> {
    let kept: BTreeSet<&str> = trial.kept.iter().map(|kept| kept.id.as_str()).collect();
    let url = world.stack.database_url().ok_or("no Postgres")?;
    let reference = reference::apply(&world.store, &url, &load.events, &kept, &World::secret()).await?;
    let mut said = Said {
        sent: load.events.iter().map(|event| event.id.as_str()).collect(),
        acknowledged: BTreeMap::new(),
        gap: &world.gap,
    };
    for attempt in sent.attempts.iter().filter(|attempt| attempt.is_accepted()) {
        *said
            .acknowledged
            .entry(&load.events[attempt.event].id)
            .or_default() += 1;
    }
    let findings = compare(&said, trial, &outcome(&reference).await?);
    reference.close().await;
    Ok((said.acknowledged.len(), findings))
}

/// Sends, and breaks things meanwhile.
async fn work(
    world: &mut World,
    intent: &Intent,
    began: Instant,
) -> Result<(Sent, Vec<Happened>), Box<dyn Error>> {
    let ends = Ends::default();
    let sending = intent
        .load
        .start(&world.url(), World::secret(), intent.rate, ends.clone())?;
    let happened = do_deeds(world, &intent.slots, began).await?;
    tokio::time::sleep(intent.lasts.saturating_sub(began.elapsed()).max(AFTER)).await;
    ends.enough.cancel();
    let timer = tokio::spawn(async move {
        tokio::time::sleep(PATIENCE).await;
        ends.patience.cancel();
    });
    let sent = sending.await?;
    timer.abort();
    Ok((sent, happened))
}

/// Breaks and mends what the plan says, at its time.
async fn do_deeds(
    world: &mut World,
    slots: &[Slot],
    began: Instant,
) -> Result<Vec<Happened>, Box<dyn Error>> {
    let breaking = slots
        .iter()
        .enumerate()
        .map(|(number, slot)| (slot.at_ms, true, number));
    let mending = slots
        .iter()
        .enumerate()
        .map(|(number, slot)| (slot.until_ms, false, number));
    let mut steps: Vec<(u64, bool, usize)> = breaking.chain(mending).collect();
    // What is broken and mended at once is broken first.
    steps.sort_by_key(|(at, is_break, number)| (*at, !is_break, *number));
    let mut broken: BTreeMap<usize, (i64, Broken)> = BTreeMap::new();
    let mut happened = Vec::new();
    // What takes longer than planned puts off everything after it: pauses stay as long as they were planned.
    let mut behind = Duration::ZERO;
    for (at_ms, is_break, number) in steps {
        let due = Duration::from_millis(at_ms) + behind;
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        behind += began.elapsed().saturating_sub(due);
        let slot = &slots[number];
        if is_break {
            let at = world.clock.unix_ms();
            say(&format!(
                "{:>6.1} s  {}",
                began.elapsed().as_secs_f64(),
                slot.fault.name
            ));
            broken.insert(number, (at, world.break_it(slot).await?));
            continue;
        }
        world.mend(slot).await?;
        let (at, broken) = broken.remove(&number).unwrap_or_default();
        happened.push(Happened {
            fault: slot.fault,
            broke_ms: broken.at_ms.unwrap_or(at),
            mended_ms: world.clock.unix_ms(),
            held: broken.held,
            detail: broken.detail,
        });
    }
    happened.sort_by_key(|it| it.broke_ms);
    Ok(happened)
}

/// What is left when time runs out, if anything.
async fn wait_until_idle(world: &mut World, limit: Duration) -> Result<Option<String>, Box<dyn Error>> {
    let url = world.stack.database_url().ok_or("no Postgres")?;
    let mut eye = Eye::new(&world.redis_url()?, World::keys(), &url)?;
    let seen = watch(async || eye.look().await, Instant::now() + limit).await?;
    Ok(match seen {
        Ok(left) if left == Left::default() => None,
        Ok(left) => Some(format!("{left:?}")),
        Err(trouble) => Some(trouble),
    })
}

async fn outcome(store: &Store) -> Result<Outcome, Box<dyn Error>> {
    let redeliveries = store.kept_redeliveries().await?;
    Ok(Outcome {
        kept: store.kept_events().await?,
        redeliveries: redeliveries
            .into_iter()
            .map(|(id, count)| (id, usize::try_from(count).unwrap_or(0)))
            .collect(),
        state: store.state("").await?,
        moved: store.moved().await?,
        notices: store.notices().await?,
    })
}

async fn check_ledger(store: &Store) -> Result<Found, Box<dyn Error>> {
    let mut found = Found::default();
    ledger::check(store, true).await?;
    for it in store.violations(VIOLATIONS_MAX).await? {
        found.note(format!("{}: {}: {}", it.rule, it.subject, it.detail));
    }
    for transfer in store.not_told_once().await? {
        found.note(format!("{transfer}: not told once"));
    }
    Ok(found)
}
