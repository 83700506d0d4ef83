//! One run, from the plan to the report.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Instant;

use stack::Stack;
use store::Store;

use super::compare::{Findings, Found, Outcome, Said, compare};
use super::drive::{wait_until_idle, work};
use super::intent::Intent;
use super::load::{Load, Sent};
use super::recovery::{Happened, Records, answers, lines};
use super::report::Report;
use super::selection::Selection;
use super::waits::Waits;
use super::world::World;
use super::{Options, reference, say};
use crate::ledger;

/// Violations of the ledger that are read.
const VIOLATIONS_MAX: u32 = 1_000;

/// What is known when all is over.
struct Over {
    began: Instant,
    began_ms: i64,
    sent: Sent,
    happened: Vec<Happened>,
    not_idle: Option<String>,
    recovered_ms: u128,
    not_run: BTreeMap<&'static str, String>,
}

/// Starts everything on `stack`, breaks it, and finds out what came of it.
pub(super) async fn run(
    options: &Options,
    selection: Selection,
    stack: Stack,
) -> Result<Report, Box<dyn Error>> {
    let intent = Intent::new(options, &selection)?;
    let mut world = World::start(stack, &intent.roles).await?;
    let (seed, start) = (intent.seed, intent.start);
    let (count, seconds) = (intent.slots.len(), intent.lasts.as_secs());
    say(&format!(
        "{count} faults within {seconds} s: --seed {seed} --start {start}"
    ));
    let watching = world.watch();
    let (began, began_ms) = (Instant::now(), world.clock.unix_ms());
    let (sent, happened) = work(&mut world, &intent, began).await?;
    let load_over = Instant::now();
    let limit = selection.faults.iter().map(|fault| fault.idle_limit()).max();
    let limit = limit.unwrap_or_default();
    let not_idle = wait_until_idle(&mut world, limit).await?;
    let recovered_ms = load_over.elapsed().as_millis();
    watching.abort();
    say("comparing with the same events applied once, in order");
    let over = Over {
        began,
        began_ms,
        sent,
        happened,
        not_idle,
        recovered_ms,
        not_run: selection.not_run,
    };
    conclude(&world, intent, over).await
}

async fn conclude(world: &World, intent: Intent, over: Over) -> Result<Report, Box<dyn Error>> {
    let Over { sent, happened, .. } = over;
    let trial = outcome(&world.store).await?;
    let processes = world.seen();
    let records = Records {
        began_ms: over.began_ms,
        attempts: &sent.attempts,
        kept: &trial.kept,
        waits: &Waits::new(&intent.load, &sent.attempts, &trial.kept),
        processes: &processes,
    };
    let timeline = lines(&records, &happened);
    let kept = trial.kept.len();
    let (acknowledged, findings) = find(world, &intent.load, &sent, trial).await?;
    let report = Report {
        held: false,
        seed: intent.seed,
        start: intent.start,
        bug: intent.roles.bug,
        seconds: (over.began.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        faults: happened.len(),
        deliveries: sent.deliveries,
        unaccepted: sent.unaccepted,
        acknowledged,
        kept,
        answers: answers(&happened, &sent.attempts),
        not_idle: over.not_idle,
        recovered_ms: over.recovered_ms,
        findings,
        ledger: check_ledger(&world.store).await?,
        longest_take_over_ms: timeline.iter().filter_map(|line| line.taken_over_after_ms).max(),
        timeline,
        not_run: over.not_run,
        processes,
        promises: Vec::new(),
    };
    Ok(report.judge())
}

/// How many events were acknowledged, and what is not as it should be.
async fn find(
    world: &World,
    load: &Load,
    sent: &Sent,
    trial: Outcome,
) -> Result<(usize, Findings), Box<dyn Error>> {
    let (trial, apart) = world.take_apart(trial);
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
    let findings = compare(&said, &trial, &outcome(&reference).await?).and_wrong(apart);
    reference.close().await;
    Ok((said.acknowledged.len(), findings))
}

async fn outcome(store: &Store) -> Result<Outcome, Box<dyn Error>> {
    let redeliveries = store.kept_redeliveries().await?;
    let kept = store.kept_events().await?;
    let accounts: BTreeSet<&str> = kept.iter().map(|kept| kept.account.as_str()).collect();
    let mut states = BTreeMap::new();
    for account in accounts {
        states.insert(account.to_owned(), store.state(account).await?);
    }
    Ok(Outcome {
        kept,
        redeliveries: redeliveries
            .into_iter()
            .map(|(id, count)| (id, usize::try_from(count).unwrap_or(0)))
            .collect(),
        states,
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
