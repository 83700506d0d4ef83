//! What operators ask of dead letters: of the store, as the command does, and of the API, as the ops page and others do.

use std::sync::Arc;
use std::time::Instant;

use store::Store;
use store::dead::{Cursor, Filter, Group};

use super::PART;
use super::bodies::{REFUSED, TYPE, customer};
use crate::bench::api::requests::Maker;
use crate::bench::report::Unit::Ms;
use crate::bench::rig::Rig;
use crate::bench::roles::Role;
use crate::bench::stats::{quantile, sorted};
use crate::bench::{Bench, Outcome, generator};

/// How often each question is asked.
const TIMES: usize = 50;
/// Letters of a page.
const PAGE: u32 = 50;
/// Causes that are listed at most.
const GROUPS: u32 = 200;
/// Requests a second.
const RATE: f64 = 25.0;
/// Nobody listens there: nothing of this is asked of Stripe.
const NO_STRIPE: &str = "http://127.0.0.1:1";

/// What is asked, in words, for the store and for the API.
struct Question {
    name: &'static str,
    filter: Filter,
    query: String,
}

/// Asks everything.
pub(super) fn ask(bench: &mut Bench<'_>, store: &Store, database: &str) -> Outcome<()> {
    bench.say_text(&format!("{PART}: finding them"));
    let rig = bench.rig;
    let groups = rig.runtime.block_on(groups(store))?;
    let middle = middle(&groups)?;
    let questions = questions(&groups, middle.at_us)?;
    for question in &questions {
        let Question { name, filter, .. } = question;
        for (page, after) in [("first page", None), ("deep page", Some(&middle))] {
            let asked = async || Ok(store.begin().await?.dead().letters(filter, after, PAGE).await?);
            time(bench, &format!("{name}: {page}"), asked)?;
        }
        let counted = async || Ok(store.begin().await?.dead().count(filter).await?);
        time(bench, &format!("{name}: count"), counted)?;
    }
    time(bench, "causes", async || self::groups(store).await)?;
    of_the_api(bench, rig, database, &questions, &middle)
}

/// Asks for the first page once more, of what is left after nearly all letters have gone.
pub(super) fn ask_again(bench: &mut Bench<'_>, store: &Store) -> Outcome<()> {
    let all = Filter::default();
    let asked = async || Ok(store.begin().await?.dead().letters(&all, None, PAGE).await?);
    time(bench, "what is left: first page", asked)?;
    time(bench, "what is left: causes", async || groups(store).await)
}

async fn groups(store: &Store) -> Outcome<Vec<Group>> {
    let mut tx = store.begin().await?;
    Ok(tx.dead().groups(&Filter::default(), GROUPS).await?)
}

/// A place in the middle of all letters.
fn middle(groups: &[Group]) -> Outcome<Cursor> {
    let first = groups.iter().map(|it| it.first_us).min();
    let last = groups.iter().map(|it| it.last_us).max();
    let (first, last) = first.zip(last).ok_or("there are no dead letters")?;
    Ok(Cursor {
        at_us: i64::midpoint(first, last),
        id: "evt".to_owned(),
    })
}

fn questions(groups: &[Group], middle_us: i64) -> Outcome<Vec<Question>> {
    let largest = groups.first().ok_or("there are no causes")?;
    let last_us = groups.iter().map(|it| it.last_us).max().unwrap_or(middle_us);
    // Whole seconds, as the API takes them; on both sides of the middle.
    let twentieth_us = (last_us - middle_us) / 10;
    let (since, until) = (
        (middle_us - twentieth_us) / 1_000_000,
        (middle_us + twentieth_us) / 1_000_000 + 1,
    );
    let all = Filter::default;
    let cause = largest.fingerprint.clone();
    Ok(vec![
        Question {
            name: "all",
            filter: all(),
            query: String::new(),
        },
        Question {
            name: "of a cause",
            query: format!("fingerprint={cause}"),
            filter: Filter {
                fingerprint: Some(cause),
                ..all()
            },
        },
        Question {
            name: "of a type",
            filter: Filter {
                event_type: Some(TYPE.to_owned()),
                ..all()
            },
            query: format!("type={TYPE}"),
        },
        Question {
            name: "for a reason",
            filter: Filter {
                reason: Some(REFUSED.to_owned()),
                ..all()
            },
            query: format!("reason={REFUSED}"),
        },
        Question {
            name: "of a tenth of the time",
            filter: Filter {
                since_us: Some(since * 1_000_000),
                until_us: Some(until * 1_000_000),
                ..all()
            },
            query: format!("since={since}&until={until}"),
        },
        Question {
            name: "of a customer",
            filter: Filter {
                customer: Some(customer(0)),
                ..all()
            },
            query: format!("customer={}", customer(0)),
        },
    ])
}

/// One after another, each in a transaction of its own.
fn time<T>(bench: &mut Bench<'_>, name: &str, ask: impl AsyncFn() -> Outcome<T>) -> Outcome<()> {
    let mut took_ms = Vec::with_capacity(TIMES);
    bench.rig.runtime.block_on(async {
        for _ in 0..TIMES {
            let began = Instant::now();
            ask().await?;
            took_ms.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        Outcome::Ok(())
    })?;
    note(bench, name, &sorted(took_ms));
    Ok(())
}

/// The same lists, from the API.
fn of_the_api(
    bench: &mut Bench<'_>,
    rig: &Rig,
    database: &str,
    questions: &[Question],
    middle: &Cursor,
) -> Outcome<()> {
    let (api, _) = Role::api(rig, database, NO_STRIPE)?;
    let maker = Maker::new(api.address);
    let mut paths = vec![("causes".to_owned(), "/v1/dead-letters/groups".to_owned())];
    for Question { name, query, .. } in questions {
        let path = format!("/v1/dead-letters?{query}");
        paths.push((format!("{name}: deep page"), format!("{path}&after={middle}")));
        paths.push((format!("{name}: first page"), path));
    }
    for (name, path) in paths {
        let requests = Arc::new(vec![maker.get(&path); TIMES]);
        let shot = generator::open(api.address, &requests, RATE)?;
        if shot.refused > 0 {
            return Err(format!("{name}: the API refused {} requests", shot.refused).into());
        }
        note(bench, &format!("API, {name}"), &shot.latencies_ms);
    }
    api.stop()
}

fn note(bench: &mut Bench<'_>, name: &str, sorted_ms: &[f64]) {
    for (q, what) in [(0.5, "p50"), (0.99, "p99")] {
        if let Some(ms) = quantile(sorted_ms, q) {
            bench.report.add(PART, &format!("{name}, {what}"), Ms, ms);
        }
    }
}
