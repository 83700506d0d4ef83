//! Killing who has something to lose.

use std::time::{Duration, Instant};

use shared::queue::{GROUP, Keys, StreamId};
use stack::RedisServer;

use super::deeds::{Broken, Done, INGEST};
use super::faults::Way;
use super::world::World;

/// How long hands are filled before who has them full is killed.
const FILL: Duration = Duration::from_millis(250);
/// Longest until workers keep up.
const CALM_LIMIT: Duration = Duration::from_secs(8);
/// What is in Redis when they do.
const BACKLOG_CALM: usize = 100;
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl World {
    /// In mid-transaction: Postgres's answers stay away until its hands are full.
    pub(super) async fn kill_worker(&mut self, worker: usize) -> Done<Broken> {
        self.fill_hands().await?;
        let pid = {
            let child = &mut self.children()[INGEST + 1 + worker];
            let pid = child.pid();
            child.kill()?;
            pid
        };
        let at_ms = Some(self.clock.unix_ms());
        self.empty_hands();
        let held = held_by(self.master()?, pid)?;
        Ok(Broken {
            at_ms,
            detail: format!("process {pid} held {} entries", held.len()),
            missed: held.is_empty().then_some("it held nothing"),
            held,
            ..Broken::default()
        })
    }

    /// Lets workers claim, and get nothing done.
    pub(super) async fn fill_hands(&mut self) -> Done<()> {
        self.calm_down().await?;
        self.proxies[&Way::WorkerPostgres].stall(true);
        tokio::time::sleep(FILL).await;
        Ok(())
    }

    pub(super) fn empty_hands(&self) {
        self.proxies[&Way::WorkerPostgres].stall(false);
    }

    /// Waits until workers keep up, because who has not recovered from the fault before has nothing to lose.
    pub(super) async fn calm_down(&mut self) -> Done<()> {
        let deadline = Instant::now() + CALM_LIMIT;
        while Instant::now() < deadline && !self.is_calm() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Whether workers keep up.
    pub(super) fn is_calm(&mut self) -> bool {
        let Ok(master) = self.master() else { return false };
        let lengths = Self::keys().map(|(_, keys)| {
            let answers = master.ask(&[&["XLEN", &keys.events]]);
            answers
                .ok()
                .and_then(|answers| answers[0].first()?.parse::<usize>().ok())
        });
        let length = lengths.sum::<Option<usize>>();
        length.is_some_and(|length| length <= BACKLOG_CALM)
    }

    /// With requests under way that Redis has not seen, and never will.
    pub(super) async fn kill_ingest(&mut self) -> Done<()> {
        let way = &self.proxies[&Way::IngestRedis];
        way.stall(true);
        tokio::time::sleep(FILL).await;
        self.children()[INGEST].kill()?;
        way.cut();
        way.stall(false);
        Ok(())
    }
}

/// The entries that a worker's process holds, as Postgres names them.
fn held_by(redis: &RedisServer, pid: u32) -> Done<Vec<String>> {
    let mark = format!("-{pid}-");
    let mut held = Vec::new();
    for (shard, Keys { events, .. }) in World::keys() {
        // Without a group nobody holds anything.
        let Ok(answers) = redis.ask(&[&["XINFO", "CONSUMERS", &events, GROUP]]) else {
            continue;
        };
        let Some(name) = answers[0].iter().find(|word| word.contains(&mark)) else {
            continue;
        };
        let answers = redis.ask(&[&["XPENDING", &events, GROUP, "-", "+", "100000", name]])?;
        // Id, consumer, idle time, deliveries.
        for entry in answers[0].chunks(4) {
            held.push(StreamId::of(shard, &entry[0])?.to_string());
        }
    }
    Ok(held)
}
