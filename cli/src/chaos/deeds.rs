//! What is done to the world, and undone.

use std::error::Error;
use std::time::{Duration, Instant};

use shared::queue::{GROUP, Keys};
use stack::{Process, Signal};
use store::{Store, StoreError};

use super::busy::Busy;
use super::children::{Child, READY_LIMIT};
use super::faults::{Kind, Part, Way};
use super::plan::Slot;
use super::world::{World, local};
use crate::http;

/// Longest a role may take to end when asked to.
const END_LIMIT: Duration = Duration::from_secs(30);
/// Longest to wait for one of the last connections.
const CONNECTION_LIMIT: Duration = Duration::from_millis(300);
/// More than Postgres allows.
const CONNECTIONS_MAX: u32 = 100;
/// Counts them in each worker.
const CONTENTION: &str = "tollgate_worker_contention_total ";
/// Until the workers have got into the way of somebody who locks in another order.
const CROSSING: Duration = Duration::from_millis(400);
/// Longest until two transactions have been in each other's way.
const DEADLOCK_LIMIT: Duration = Duration::from_secs(20);
/// Longer than a restart takes.
const WRITES_PAUSED_MS: &str = "20000";
/// The place of ingest among the processes; workers follow.
pub(super) const INGEST: usize = 0;

/// What came of breaking something.
#[derive(Debug, Clone, Default)]
pub(super) struct Broken {
    /// When it broke, where that is not the beginning: unix milliseconds.
    pub at_ms: Option<i64>,
    /// Entries that a killed worker held.
    pub held: Vec<String>,
    /// For people.
    pub detail: String,
    /// Why nothing broke, where nothing did.
    pub missed: Option<&'static str>,
    pub busy: Option<Busy>,
}

pub(super) type Done<T> = Result<T, Box<dyn Error>>;

impl World {
    /// Breaks it.
    pub(super) async fn break_it(&mut self, slot: &Slot) -> Done<Broken> {
        let mut broken = Broken::default();
        match slot.fault.kind {
            Kind::Kill(Part::Worker) => return self.kill_worker(slot.worker).await,
            Kind::Kill(Part::Ingest) => self.kill_ingest().await?,
            Kind::Kill(Part::Redis) => self.master()?.kill()?,
            Kind::Kill(Part::Postgres) => self.stack.postgres_mut().ok_or("no Postgres")?.kill()?,
            Kind::Restart => self.stack.postgres_mut().ok_or("no Postgres")?.restart()?,
            Kind::Stop => {
                self.children()[INGEST + 1 + slot.worker].signal(Signal::STOP)?;
                self.stopped = Some(INGEST + 1 + slot.worker);
            }
            Kind::Roll => self.roll().await?,
            Kind::Cut(way) => self.proxies[&way].cut(),
            Kind::Stall(way) => self.proxies[&way].stall(true),
            Kind::HalfOpen(way) => self.proxies[&way].half_open(),
            Kind::Wipe { disk } => broken.detail = format!("{} entries were in it", self.wipe(disk)?),
            Kind::FlushScripts => self.tell_redis(&["SCRIPT", "FLUSH"])?,
            // Where there is none, there is none to destroy.
            Kind::NoGroup => {
                for (_, keys) in Self::keys() {
                    drop(self.tell_redis(&["XGROUP", "DESTROY", &keys.events, GROUP]));
                }
            }
            Kind::NoMemory => self.tell_redis(&["CONFIG", "SET", "maxmemory", "1000"])?,
            Kind::Failover => self.fail_over()?,
            Kind::Exhaust => broken.detail = format!("{} connections taken", self.exhaust().await?),
            Kind::Deadlock => {
                let deadlocks = self.deadlock().await?;
                broken.detail = format!("{deadlocks} transactions ended");
                broken.missed = (deadlocks == 0).then_some("no deadlock came about");
            }
            Kind::Surge => {
                self.proxies[&Way::WorkerPostgres].stall(true);
                self.surge.send_replace(true);
            }
            Kind::LapseLeases => {
                let lapsed = self.lapse_leases().await?;
                broken.detail = format!("{lapsed} leases");
                broken.missed = (lapsed == 0).then_some("nobody held anything");
            }
            Kind::DiskFull(part) => self.fill_disk(part, true)?,
            Kind::Busy => return self.be_busy().await,
            #[cfg(feature = "planted-bugs")]
            Kind::StepClocks(by) => self.step_clocks(by).await?,
            #[cfg(feature = "planted-bugs")]
            Kind::Upgrade => {
                let waited = self.upgrade().await?;
                broken.detail = format!("{waited} entries waited for the newer build at most");
                broken.missed = (waited == 0).then_some("no older worker met a newer entry");
            }
            #[cfg(feature = "planted-bugs")]
            Kind::Poison(harm) => broken.detail = self.poison(harm).await?,
            Kind::Backends => broken.detail = format!("{} ended", self.store.end_connections().await?),
        }
        Ok(broken)
    }

    /// Mends what does not mend itself.
    pub(super) async fn mend(&mut self, slot: &Slot) -> Done<()> {
        match slot.fault.kind {
            Kind::Kill(Part::Worker) => self.children()[INGEST + 1 + slot.worker].start()?,
            Kind::Kill(Part::Ingest) => {
                self.children()[INGEST].start()?;
                let admin = self.children()[INGEST].admin_url();
                http::wait_until_ready(&admin, READY_LIMIT).await?;
            }
            Kind::Kill(Part::Redis) => {
                self.master()?.restart()?;
                self.join_replica()?;
            }
            Kind::Kill(Part::Postgres) => self.stack.postgres_mut().ok_or("no Postgres")?.restart()?,
            Kind::Stop => {
                self.children()[INGEST + 1 + slot.worker].signal(Signal::CONT)?;
                self.stopped = None;
            }
            Kind::Stall(way) => self.proxies[&way].stall(false),
            // No sender waits for ever; the next has connections of its own.
            Kind::HalfOpen(Way::Sender) => self.proxies[&Way::Sender].cut(),
            Kind::NoMemory => self.tell_redis(&["CONFIG", "SET", "maxmemory", "0"])?,
            Kind::Exhaust => self.connections.clear(),
            Kind::Surge => {
                self.surge.send_replace(false);
                self.proxies[&Way::WorkerPostgres].stall(false);
            }
            Kind::DiskFull(part) => self.fill_disk(part, false)?,
            _ => {}
        }
        Ok(())
    }

    /// Gets in the workers' way until Postgres has ended a transaction of theirs. Says how many.
    async fn deadlock(&mut self) -> Done<u64> {
        let before = self.contentions().await;
        let deadline = Instant::now() + DEADLOCK_LIMIT;
        loop {
            match self.cross().await {
                // It was this one that Postgres has ended.
                Err(error) if error.is_contention() => {}
                result => result?,
            }
            let since = self.contentions().await.saturating_sub(before);
            if since > 0 || Instant::now() >= deadline {
                return Ok(since);
            }
        }
    }

    async fn cross(&self) -> Result<(), StoreError> {
        let crossing = self.store.begin_crossing().await?;
        // Some have locked one of the first half by then, and wait for one of the second.
        tokio::time::sleep(CROSSING).await;
        crossing.end().await
    }

    /// How many transactions of the workers' Postgres has ended because they were in somebody's way.
    async fn contentions(&self) -> u64 {
        let admins: Vec<String> = self.children().iter().map(Child::admin_url).collect();
        let mut sum = 0;
        for admin in admins {
            let text = http::get(&format!("{admin}/metrics"))
                .await
                .map_or(String::new(), |(_, text)| text);
            let value = text.lines().find_map(|line| line.strip_prefix(CONTENTION));
            sum += value.and_then(|value| value.trim().parse().ok()).unwrap_or(0);
        }
        sum
    }

    fn tell_redis(&mut self, command: &[&str]) -> Done<()> {
        self.master()?.ask(&[command])?;
        Ok(())
    }

    /// One after another, each only when the one before is ready. Who stands still cannot be told anything.
    async fn roll(&mut self) -> Done<()> {
        let count = self.children().len();
        let stopped = self.stopped;
        for at in (0..count).rev().filter(|at| Some(*at) != stopped) {
            self.replace(at).await?;
        }
        Ok(())
    }

    /// Tells a process to end, and starts it again.
    pub(super) async fn replace(&mut self, at: usize) -> Done<()> {
        let ending: Option<Process> = self.children()[at].tell_to_end()?;
        if let Some(mut ending) = ending {
            let how = match ending.wait(END_LIMIT)? {
                Some(status) if status.success() => None,
                Some(status) => Some(format!("told to end: {status}")),
                None => Some(format!("told to end: still there after {END_LIMIT:?}")),
            };
            how.into_iter()
                .for_each(|how| self.children()[at].note_bad_end(how));
            ending.kill()?;
        }
        let admin = {
            let child = &mut self.children()[at];
            child.start()?;
            child.admin_url()
        };
        http::wait_until_ready(&admin, READY_LIMIT).await?;
        Ok(())
    }

    /// Leaves no room on a server's disk, or makes room, and does what an administrator does then.
    fn fill_disk(&mut self, part: Part, is_full: bool) -> Done<()> {
        if part == Part::Redis {
            // With `always` it ends itself when it cannot write, which is `kill-redis`.
            if is_full {
                self.tell_redis(&["CONFIG", "SET", "appendfsync", "everysec"])?;
                return Ok(self.master()?.fill_disk(true)?);
            }
            self.master()?.fill_disk(false)?;
            return self.tell_redis(&["CONFIG", "SET", "appendfsync", "always"]);
        }
        let postgres = self.stack.postgres_mut().ok_or("no Postgres")?;
        postgres.fill_disk(is_full)?;
        if !is_full && !postgres.is_running() {
            postgres.restart()?;
        }
        Ok(())
    }

    /// Loses everything Redis has, and notes what that was: exactly, because nobody writes in between.
    fn wipe(&mut self, disk: bool) -> Done<usize> {
        let keys: Vec<Keys> = Self::keys().map(|(_, keys)| keys).collect();
        let all: Vec<[&str; 4]> = keys
            .iter()
            .map(|keys| ["XRANGE", &keys.events, "-", "+"])
            .collect();
        let all: Vec<&[&str]> = all.iter().map(<[&str; 4]>::as_slice).collect();
        let master = self.master()?;
        let answers = if disk {
            let pause: &[&str] = &["CLIENT", "PAUSE", WRITES_PAUSED_MS, "WRITE"];
            let answers = master.ask(&[&[pause][..], &all].concat())?;
            master.restart_empty()?;
            self.join_replica()?;
            answers
        } else {
            let (begin, end): (&[&str], [&[&str]; 2]) = (&["MULTI"], [&["FLUSHALL"], &["EXEC"]]);
            master.ask(&[&[begin][..], &all, &end].concat())?
        };
        let wiped = event_ids(&answers.concat());
        let count = wiped.len();
        for id in wiped {
            *self.gap.entry(id).or_default() += 1;
        }
        Ok(count)
    }

    /// The old master lives on, as many do, and refuses to write.
    fn fail_over(&mut self) -> Done<()> {
        self.is_failed_over = !self.is_failed_over;
        self.join_replica()?;
        let port = self.master()?.port();
        for way in [Way::IngestRedis, Way::WorkerRedis] {
            self.proxies[&way].lead_to(local(port));
        }
        Ok(())
    }

    /// Takes what there is, then the workers'.
    async fn exhaust(&mut self) -> Done<usize> {
        let url = self.stack.database_url().ok_or("no Postgres")?;
        let greedy = Store::new(&url, "tollgate-chaos", CONNECTIONS_MAX)?;
        for _ in 0..2 {
            while let Ok(Ok(connection)) = tokio::time::timeout(CONNECTION_LIMIT, greedy.begin()).await {
                self.connections.push(connection);
            }
            self.proxies[&Way::WorkerPostgres].cut();
        }
        Ok(self.connections.len())
    }
}

/// The ids of the events in a list of entries.
fn event_ids(words: &[String]) -> Vec<String> {
    let metas = words
        .windows(2)
        .filter(|pair| pair[0] == "meta")
        .map(|pair| &pair[1]);
    let parsed = metas.filter_map(|meta| serde_json::from_str::<serde_json::Value>(meta).ok());
    parsed
        .filter_map(|meta| Some(meta["id"].as_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_among_what_redis_says() {
        let words = [
            "1-0",
            "v",
            "1",
            "meta",
            r#"{"id":"evt_1","type":"a"}"#,
            "body",
            "meta",
            "{}",
        ];
        assert_eq!(event_ids(&words.map(str::to_owned)), ["evt_1"]);
    }
}
