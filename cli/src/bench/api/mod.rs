//! The API on a ledger with a past: what a request costs at a fixed rate, beside what Postgres alone takes for what it
//! comes to, and what Stripe alone does.

mod direct;
pub(super) mod requests;
mod site;

use std::sync::Arc;

use bytes::Bytes;

use super::cpu::{Cpu, Meter};
use super::generator::{self, Shot};
use super::report::Unit::{Ms, Ratio, Seconds};
use super::stats::quantile;
use super::{Bench, Outcome};
use direct::Question;
use requests::Maker;
use site::{Site, forget_states};

/// The part's name.
pub(super) const PART: &str = "api";
/// Users of the ledger.
const USERS: usize = 10_000;
/// Requests a second that read, and that spend.
const READS: f64 = 500.0;
const SPENDS: f64 = 500.0;
/// Checkouts a second, and first ones, which make a customer, too: the budget of an account in test mode lets them pass.
const CHECKOUTS: f64 = 15.0;
const FIRST_CHECKOUTS: f64 = 8.0;
/// Users who buy, again and again.
const BUYERS: usize = 20;
/// A generator that needs so much longer than it should has not kept the rate.
const LATE: f64 = 1.1;

/// Measures all rounds, on one ledger.
pub(super) fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let rows = bench.scale.ledger_rows;
    bench.say_text(&format!("{PART}, filling a ledger with {rows} rows"));
    let site = Site::open(bench.rig, USERS, rows)?;
    let figure = format!("filling the ledger: {rows} rows");
    bench
        .report
        .add(PART, &figure, Seconds, site.filled_in.as_secs_f64());
    let maker = site.maker();
    let customers = (0..BUYERS).map(|buyer| maker.checkout(buyer)).collect();
    site.send("first checkouts", customers, FIRST_CHECKOUTS)?;
    for round in 0..bench.scale.runs {
        bench.say(PART, round);
        let count = |rate: f64| (rate * bench.scale.api.as_secs_f64()) as usize;
        let (reads, spends) = (count(READS), count(SPENDS));
        if bench.wants("state, kept") || bench.wants("state, not kept") {
            states(bench, &site, &maker, reads)?;
        }
        for (who, users) in [("10000 users", USERS), ("one user", 1)] {
            if bench.wants(&format!("spend, {who}")) {
                spend(bench, &site, &maker, who, users, spends)?;
            }
        }
        if bench.wants("checkout") {
            checkout(bench, &site, &maker, bench.scale.checkouts)?;
        }
    }
    site.close(bench.rig)
}

/// First users nobody has asked about since everything was forgotten, each once; then the same ones again and again.
fn states(bench: &mut Bench<'_>, site: &Site, maker: &Maker, count: usize) -> Outcome<()> {
    let users = count.min(USERS);
    let states = |count: usize| (0..count).map(|number| maker.state(number % users)).collect();
    site.send("warm-up", states(users / 5), READS)?;
    forget_states(bench.rig)?;
    for (name, count) in [("state, not kept", users), ("state, kept", count)] {
        let before = site.looks(bench.rig)?;
        measure(bench, site, name, states(count), READS)?;
        let hits = site.looks(bench.rig)?.share_of_hits_since(before);
        bench
            .report
            .add(PART, &format!("{name}: share of hits"), Ratio, hits);
    }
    let questions = vec![Question::Nothing; count];
    direct(bench, site, "raw: SELECT 1", questions, READS)
}

/// Everybody spends in turn; or one user, when there is one.
fn spend(
    bench: &mut Bench<'_>,
    site: &Site,
    maker: &Maker,
    who: &str,
    users: usize,
    count: usize,
) -> Outcome<()> {
    let spends = |count: usize| (0..count).map(|number| maker.spend(number % users)).collect();
    site.send("warm-up", spends(count / 10), SPENDS)?;
    let name = format!("spend, {who}");
    let commits = site.commits(bench.rig)?;
    measure(bench, site, &name, spends(count), SPENDS)?;
    let commits = (site.commits(bench.rig)? - commits) as f64 / count as f64;
    bench
        .report
        .add(PART, &format!("{name}: commits of each"), Ratio, commits);
    let questions = (0..count).map(|number| Question::spend(number % users)).collect();
    direct(
        bench,
        site,
        &format!("raw: spend_credits(), {who}"),
        questions,
        SPENDS,
    )
}

/// Stripe alone is asked for the very same, byte for byte.
fn checkout(bench: &mut Bench<'_>, site: &Site, maker: &Maker, count: usize) -> Outcome<()> {
    let checkouts = (0..count).map(|number| maker.checkout(number % BUYERS));
    let commits = site.commits(bench.rig)?;
    let ours = measure(bench, site, "checkout", checkouts.collect(), CHECKOUTS)?;
    let commits = (site.commits(bench.rig)? - commits) as f64 / count as f64;
    bench
        .report
        .add(PART, "checkout: commits of each", Ratio, commits);
    let requests = Arc::new(site.to_stripe(bench.rig, count)?);
    let stripe = generator::open(site.stripe_address, &requests, CHECKOUTS)?;
    note(bench, "Stripe alone", &stripe, None);
    // What Stripe takes as a rule; that it takes longer at times counts as ours.
    let beyond = |q| Some(quantile(&ours.latencies_ms, q)? - quantile(&stripe.latencies_ms, 0.5)?);
    for (q, what) in [(0.5, "p50"), (0.99, "p99")] {
        if let Some(ms) = beyond(q) {
            bench
                .report
                .add(PART, &format!("checkout beyond Stripe, {what}"), Ms, ms);
        }
    }
    Ok(())
}

/// An open loop against the API.
fn measure(bench: &mut Bench<'_>, site: &Site, name: &str, requests: Vec<Bytes>, rate: f64) -> Outcome<Shot> {
    let count = requests.len() as f64;
    let meter = Meter::start(&bench.rig.watched(&[site.watched()]));
    let shot = site.send(name, requests, rate)?;
    note(bench, name, &shot, Some(meter.per_1000(count)));
    keeps_rate(bench, name, &shot, count / rate);
    Ok(shot)
}

/// An open loop against Postgres with nothing in between.
fn direct(
    bench: &mut Bench<'_>,
    site: &Site,
    name: &str,
    questions: Vec<Question>,
    rate: f64,
) -> Outcome<()> {
    let count = questions.len() as f64;
    let meter = Meter::start(&bench.rig.watched(&[]));
    let shot = direct::ask(&site.store, questions, rate)?;
    note(bench, name, &shot, Some(meter.per_1000(count)));
    keeps_rate(bench, name, &shot, count / rate);
    Ok(())
}

fn note(bench: &mut Bench<'_>, name: &str, shot: &Shot, cpu: Option<Cpu>) {
    if shot.refused > 0 {
        bench
            .report
            .warn(format!("{name}: {} requests were refused", shot.refused));
    }
    let ms = |q| quantile(&shot.latencies_ms, q);
    if let (Some(median), Some(tail)) = (ms(0.5), ms(0.99)) {
        let figure = format!("{name}, p50");
        match cpu {
            Some(cpu) => bench.report.add_with_cpu(PART, &figure, Ms, median, cpu),
            None => bench.report.add(PART, &figure, Ms, median),
        }
        bench.report.add(PART, &format!("{name}, p99"), Ms, tail);
    }
}

fn keeps_rate(bench: &mut Bench<'_>, name: &str, shot: &Shot, seconds: f64) {
    if shot.seconds > seconds * LATE {
        bench
            .report
            .warn(format!("{name}: the rate was not kept ({:.1} s)", shot.seconds));
    }
}
