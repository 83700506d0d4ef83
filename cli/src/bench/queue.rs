//! The queue alone: the worker's own fetching and acknowledging around a handler that does nothing, against the
//! three Redis commands that it comes down to.

use std::future::poll_fn;
use std::time::Instant;

use shared::admin::Readiness;
use shared::queue::{CHUNK_ENTRIES_MAX, Consumer, GROUP, Leases, Settled};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker::attendance::Attendance;
use worker::claims;
use worker::shards::Shards;
use worker::waiting::Waiting;

use super::cpu::Meter;
use super::load::{self, Entry, Mix};
use super::report::Unit::PerSecond;
use super::resp::Raw;
use super::rig::{Level, PREFIX, Rig};
use super::stream::Into;
use super::{Bench, Outcome, stream};

/// The part's name.
pub(super) const PART: &str = "queue";
/// Chunks in the handler at a time, as a worker has by default.
const CONCURRENCY: usize = 4;

/// Measures all rounds.
pub(super) fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let bodies = Mix::Simple.bodies(bench.seed, bench.scale.queue_events);
    let entries = load::entries(&bodies, &bench.rig.secret)?;
    for round in 0..bench.scale.runs {
        bench.say(PART, round);
        for level in Level::BOTH {
            measure(
                bench,
                &entries,
                level,
                "raw XREADGROUP + XACK + XDEL",
                Into::One,
                |_, raw, count| consume_raw(raw, count),
            )?;
            measure(
                bench,
                &entries,
                level,
                "tollgate, no-op",
                Into::Shards,
                |rig, _, count| rig.runtime.block_on(consume(&rig.redis_url()?, count)),
            )?;
        }
    }
    Ok(())
}

fn measure(
    bench: &mut Bench<'_>,
    entries: &[Entry],
    level: Level,
    who: &str,
    into: Into,
    consume: impl FnOnce(&Rig, &mut Raw, usize) -> Outcome<()>,
) -> Outcome<()> {
    let mut raw = bench.rig.clear_redis(Level::Everysec)?;
    stream::fill(&mut raw, entries, stream::WINDOW, into)?;
    stream::make_group(&mut raw)?;
    stream::set_level(&mut raw, level)?;
    let meter = Meter::start(&bench.rig.watched(&[]));
    let began = Instant::now();
    consume(bench.rig, &mut raw, entries.len())?;
    let seconds = began.elapsed().as_secs_f64();
    let mut cpu = meter.per_1000(entries.len() as f64);
    // Here the consumer is in this process.
    if let Some(seconds) = cpu.remove("load") {
        cpu.insert("worker", seconds);
    }
    cpu.remove("postgres");
    let left = stream::length(&mut raw)?;
    if left > 0 {
        return Err(format!("{who}: {left} entries are left in the stream").into());
    }
    let rate = entries.len() as f64 / seconds;
    bench
        .report
        .add_with_cpu(PART, &format!("{who}, {}", level.name()), PerSecond, rate, cpu);
    Ok(())
}

/// One command after another, in chunks of the same size.
fn consume_raw(raw: &mut Raw, count: usize) -> Outcome<()> {
    let stream = stream::key();
    let (stream, group) = (stream.as_bytes(), GROUP.as_bytes());
    let chunk = CHUNK_ENTRIES_MAX.to_string();
    let mut done = 0;
    while done < count {
        let read: [&[u8]; 9] = [
            b"XREADGROUP",
            b"GROUP",
            group,
            b"raw",
            b"COUNT",
            chunk.as_bytes(),
            b"STREAMS",
            stream,
            b">",
        ];
        let reply = raw.call(&read)?;
        let entries = reply
            .list()
            .first()
            .and_then(|stream| stream.list().get(1))
            .map_or(&[][..], |it| it.list());
        let ids: Vec<&[u8]> = entries
            .iter()
            .filter_map(|entry| Some(entry.list().first()?.text()))
            .collect();
        if ids.is_empty() {
            return Err("the stream ended early".into());
        }
        raw.push(&[&[b"XACK", stream, group][..], &ids].concat());
        raw.push(&[&[b"XDEL", stream][..], &ids].concat());
        raw.flush()?;
        raw.reply()?;
        raw.reply()?;
        done += ids.len();
    }
    Ok(())
}

/// The worker's claims, without apalis and Postgres around them.
async fn consume(url: &str, count: usize) -> Outcome<()> {
    let consumer = Consumer::new(url, PREFIX, "bench".to_owned())?;
    let leases = Leases::new(Instant::now());
    let stop = CancellationToken::new();
    let shards = Shards::default();
    let waiting = Waiting::new(shards.clone());
    let readiness = Readiness::default();
    let attendance = Attendance {
        consumer: consumer.clone(),
        shards: shards.clone(),
        waiting: waiting.clone(),
        leases: leases.clone(),
        readiness: readiness.clone(),
        slots: CONCURRENCY,
    };
    let attending = tokio::spawn(attendance.keep(stop.clone(), stop.clone()));
    let fetching = claims::fetch(
        consumer.clone(),
        leases.clone(),
        readiness,
        shards,
        waiting.clone(),
        stop.clone(),
    );
    let fetching = tokio::spawn(fetching);
    let mut handlers = JoinSet::new();
    let mut done = 0;
    while done < count {
        if handlers.len() >= CONCURRENCY
            && let Some(ended) = handlers.join_next().await
        {
            ended??;
        }
        let Some(chunk) = poll_fn(|cx| waiting.poll_take(cx)).await else {
            return Err("the claims ended early".into());
        };
        done += chunk.entries.len();
        let (consumer, leases) = (consumer.clone(), leases.clone());
        handlers.spawn(async move {
            // Nothing was decided about them, and nobody will look for it.
            let settled = Settled::after_commit(chunk.entries.iter().map(|claimed| claimed.id).collect());
            consumer.acknowledge(&settled).await?;
            leases.let_go(settled.ids());
            Result::<(), shared::queue::QueueError>::Ok(())
        });
    }
    while let Some(ended) = handlers.join_next().await {
        ended??;
    }
    // It may sit in a blocking read for another second, which nobody has to wait for.
    stop.cancel();
    fetching.abort();
    attending.await?;
    Ok(())
}
