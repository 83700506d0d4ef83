//! Killing who has something to lose.

use std::time::{Duration, Instant};

use shared::queue::GROUP;
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
        self.calm_down().await?;
        self.proxies[&Way::WorkerPostgres].stall(true);
        tokio::time::sleep(FILL).await;
        let pid = {
            let child = &mut self.children()[INGEST + 1 + worker];
            let pid = child.pid();
            child.kill()?;
            pid
        };
        let at_ms = Some(self.clock.unix_ms());
        self.proxies[&Way::WorkerPostgres].stall(false);
        let held = held_by(self.master()?, pid)?;
        let detail = format!("process {pid} held {} entries", held.len());
        Ok(Broken { at_ms, held, detail })
    }

    /// Waits until workers keep up, because who has not recovered from the fault before has nothing to lose.
    async fn calm_down(&mut self) -> Done<()> {
        let key = Self::keys().events;
        let deadline = Instant::now() + CALM_LIMIT;
        while Instant::now() < deadline {
            let answers = self.master()?.ask(&[&["XLEN", &key], &["XPENDING", &key, GROUP]]);
            let length = answers.ok().and_then(|answers| answers[0].first()?.parse().ok());
            if length.is_some_and(|length: usize| length <= BACKLOG_CALM) {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
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

/// The entries that a worker's process holds.
fn held_by(redis: &RedisServer, pid: u32) -> Done<Vec<String>> {
    let key = World::keys().events;
    // Without a group nobody holds anything.
    let Ok(answers) = redis.ask(&[&["XINFO", "CONSUMERS", &key, GROUP]]) else {
        return Ok(Vec::new());
    };
    let mark = format!("-{pid}-");
    let Some(name) = answers[0].iter().find(|word| word.contains(&mark)) else {
        return Ok(Vec::new());
    };
    let answers = redis.ask(&[&["XPENDING", &key, GROUP, "-", "+", "100000", name]])?;
    // Id, consumer, idle time, deliveries.
    Ok(answers[0].chunks(4).map(|entry| entry[0].clone()).collect())
}
